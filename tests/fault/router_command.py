"""`axis router` as operators run it: its log, line by line, and its metrics, scraped over HTTP."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from axis.settings import Settings
from tests.fault.routers import READY_SECONDS, bury_dead_members

_ROOT: Final = Path(__file__).parents[2]
INSTANCE: Final = "command"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(port: int) -> Samples:
    """Return every sample that a router shows."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


async def value(port: int, name: str, **labels: str) -> float | None:
    """Return one sample of a scrape; None while it is absent."""
    return (await asyncio.to_thread(scrape, port)).get((name, frozenset(labels.items())))


@dataclass(slots=True)
class RouterCommand:
    """A router as operators run it.

    Attributes:
        port: of its telemetry, once it is ready.
    """

    child: asyncio.subprocess.Process
    log: Path
    port: int = 0

    async def ready(self) -> None:
        """Return when the command says that it is ready."""
        assert self.child.stdout is not None
        line = (await asyncio.wait_for(self.child.stdout.readline(), READY_SECONDS)).decode()
        match = re.fullmatch(r"ready telemetry=127\.0\.0\.1:(\d+)\n", line)
        assert match, f"the router ended before it was ready, see {self.log}"
        self.port = int(match[1])

    def close_output(self) -> None:
        """Read no more of what it writes to standard output."""
        self.child._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]

    def workers(self) -> list[int]:
        """Return the process ids of its workers."""
        return [each["pid"] for each in self.events() if each["event"] == "worker.started"]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the command and all its workers, as a terminal does."""
        os.killpg(self.child.pid, number)

    async def ended(self) -> int:
        """Return its exit status when it has ended; minus the signal's number if one ended it."""
        return await asyncio.wait_for(self.child.wait(), READY_SECONDS)

    def text(self) -> str:
        """Return what it wrote to standard error so far."""
        return self.log.read_text("utf-8")

    def events(self) -> list[dict[str, Any]]:
        """Return the events of its log that are there by now."""
        lines = self.text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def has_logged(self, event: str) -> bool:
        """Tell whether an event of this name is in its log."""
        return any(each["event"] == event for each in self.events())

    def statuses(self) -> list[int]:
        """Return with what status each worker ended, in the order of their names."""
        ends = {
            each["instance"]: each["exit_code"] for each in self.events() if each["event"] == "worker.ended"
        }
        return [ends[name] for name in sorted(ends)]


@asynccontextmanager
async def router_command(
    settings: Settings, log: Path, *, workers: int = 1, status: int = 0, ready: bool = True
) -> AsyncIterator[RouterCommand]:
    """Run `axis router` with debug events, and tell it to stop at the end of the block.

    Args:
        settings: the installation; the command reads them from its folder.
        log: where its standard error goes.
        workers: as how many processes.
        status: with what exit status it ends.
        ready: whether it is ready when the block begins; otherwise it has just been started.
    """
    words = ["--log-level", "debug", "router", "--data", str(settings.folder), "--instance", INSTANCE]
    words += ["--workers", str(workers), "--telemetry-port", "0"]
    with log.open("wb") as stream:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "axis.cli.main", *words),
            cwd=_ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stream,
            # As a shell does it: what is typed at its terminal reaches all its processes, and not the tests.
            start_new_session=True,
        )
    try:
        command = RouterCommand(child, log)
        if ready:
            await command.ready()
        yield command
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
        assert await command.ended() == status
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
            await bury_dead_members(settings)
