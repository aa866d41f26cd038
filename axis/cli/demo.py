"""`axis demo`: a short working day on a real Kafka, each step with its proof."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Annotated, Final, Self

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from axis.apps import site
from axis.apps.demo.programme import STEPS, Step, StepResult, all_held, perform
from axis.cli.exit_codes import ExitCode
from axis.cli.parameters import Switch
from axis.errors import Bilingual, ConfigurationError
from axis.settings import FILE_NAME, Settings, load

ENVIRONMENT: Final = "demo"

app = cyclopts.App(
    name="demo",
    help="""Một ngày làm việc mẫu trên Kafka thật, mỗi bước kèm bằng chứng; mã thoát 3 nếu có điều không đúng.

    A short working day on a real Kafka, each step with its proof; exit status 3 if anything did not hold.""",
)


@app.default
def demo(
    *,
    data: Annotated[
        Path | None,
        Parameter(help="Thư mục dữ liệu được giữ lại. A data folder, which is kept."),
    ] = None,
    keep: Annotated[
        bool, Switch, Parameter(help="Giữ lại thư mục tạm. Keep the temporary data folder.")
    ] = False,
    config: Annotated[
        Path | None,
        Parameter(help="Thư mục có topics.toml và directory/. Folder with topics.toml and directory/."),
    ] = None,
) -> ExitCode:
    """Diễn sáu bước trên Kafka thật và đối soát.

    Play six steps on a real Kafka, and reconcile.
    """
    configuration = site.configuration_folder(config)
    with _folder(data, keep=keep) as folder:
        results = _performed(folder, configuration)
        _show_table(results)
        _show_next(folder, kept=keep or data is not None)
    return exit_code(results)


def exit_code(results: Sequence[StepResult], steps: Sequence[Step] = STEPS) -> ExitCode:
    """Return OK only when every step was played and every claim held."""
    return ExitCode.OK if all_held(results, steps) else ExitCode.NOT_VERIFIED


@contextmanager
def _folder(data: Path | None, *, keep: bool) -> Iterator[Path]:
    """Provide the data folder; a temporary one is removed in the end unless it is to be kept.

    Raises:
        ConfigurationError: the folder holds an installation that is not a demo's; the demo submits forgeries.
    """
    if data is not None:
        if (data / FILE_NAME).is_file() and (found := load(data).environment) != ENVIRONMENT:
            raise ConfigurationError(
                Bilingual(
                    f"{data} là hệ thống {found!r}, cần thư mục chưa có hệ thống hoặc của {ENVIRONMENT!r}: hãy chọn thư"
                    " mục khác, vì `axis demo` nộp cả văn bản giả mạo",
                    f"{data} holds the installation {found!r}, expected none or a {ENVIRONMENT!r}: give another folder,"
                    " because the demo submits forged documents",
                )
            )
        yield data
        return
    folder = Path(tempfile.mkdtemp(prefix="axis-demo-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder)


def _performed(folder: Path, configuration: Path) -> list[StepResult]:
    """Start a site, play every step on it, and show each as it comes."""
    with (
        _Display() as display,
        site.start(folder, configuration, display.tell, environment=ENVIRONMENT, telemetry_port=0) as started,
    ):
        return asyncio.run(_played(started.settings, display))


async def _played(settings: Settings, display: "_Display") -> list[StepResult]:
    results: list[StepResult] = []
    display.tell("router")
    async for result in perform(settings, announce=display.announce):
        display.show(result)
        results.append(result)
    return results


class _Display:
    """The running account of a performance on standard error: a progress bar on a terminal, else plain lines."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not self._console.is_terminal,
        )
        self._bar = self._progress.add_task("", total=len(STEPS))
        self._began = self._step_began = monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def tell(self, what: str) -> None:
        """Say what is being prepared."""
        self._progress.update(self._bar, description=what)
        self._console.print(f"[dim]{monotonic() - self._began:5.1f} s  {escape(what)}[/]")

    def announce(self, number: int, step: Step) -> None:
        """Say which step begins."""
        self._step_began = monotonic()
        self._progress.update(self._bar, description=f"bước (step) {number}")
        self._console.print(f"\n[bold]{number}. {escape(step.title.vietnamese)}[/]")
        self._console.print(f"   [dim]{escape(step.title.english)}[/]")

    def show(self, result: StepResult) -> None:
        """Show what a step found."""
        for claim in result.findings.claims:
            mark = "[green]✔[/]" if claim.held else "[bold red]✘[/]"
            self._console.print(f"   {mark} {escape(claim.words.vietnamese)}")
            self._console.print(f"     [dim]{escape(claim.words.english)}[/]")
            for line in claim.evidence:
                self._console.print(f"       [cyan]{escape(line)}[/]")
        self._console.print(f"   [dim]{monotonic() - self._step_began:.1f} s[/]")
        self._progress.advance(self._bar)


def _show_table(results: Sequence[StepResult]) -> None:
    table = Table(title="Kết quả (result)", title_justify="left", show_lines=True)
    table.add_column("#", justify="right")
    table.add_column("Bước (step)", ratio=5)
    table.add_column("Đúng (held)", justify="center")
    table.add_column("Bằng chứng (proof)", ratio=4)
    for result in results:
        table.add_row(
            str(result.number),
            escape(result.step.title.vietnamese),
            "[green]có (yes)[/]" if result.findings.held else "[bold red]KHÔNG (NO)[/]",
            escape(result.findings.proof),
        )
    console = Console(highlight=False)
    console.print()
    console.print(table)


def _show_next(folder: Path, *, kept: bool) -> None:
    """Say where to look next."""
    if kept:
        print(f"\nXem tiếp (look further), {folder}:")
        print(
            f"  axis up --data {folder}            # chạy lại, giữ nguyên dữ liệu (runs it again as it was)"
        )
    else:
        folder = Path("axis-demo")
        print("\nXem tiếp (look further):")
        print(
            f"  axis demo --data {folder}          # diễn lại và giữ dữ liệu (play again and keep everything)"
        )
        print(f"  axis up --data {folder}            # rồi chạy tiếp (then run it)")
    print("và ở cửa sổ khác (and in another terminal):")
    for command in ("inbox list --as H56.14812", "receipts find --as H56.01", "replay", "reconcile"):
        print(f"  axis {command} --data {folder}")
