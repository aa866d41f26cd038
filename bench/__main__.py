"""`python -m bench`: measure the floor and the axis side by side, print the table, write `build/bench.json`."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import cyclopts
from cyclopts import Parameter
from rich.console import Console

from bench import attachment, circle, drain, ground, latency, report, sampler
from bench.contenders import ONE_WORKER, ROUTER, Stable
from bench.documents import Authors
from bench.signatures import signatures

app = cyclopts.App(name="bench", help=__doc__, help_format="plaintext")


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured.

    Attributes:
        documents: of one point-to-point drain.
        broadcasts: of one broadcast drain.
        rounds: how often each contender of a comparison runs.
        seconds: length of one latency run.
        backlog: standard documents that wait while express documents pass.
        burst: broadcasts that go round at once.
    """

    documents: int
    broadcasts: int
    rounds: int
    seconds: float
    backlog: int
    burst: int


FULL: Final = Scale(documents=6000, broadcasts=600, rounds=5, seconds=20, backlog=20_000, burst=10)
QUICK: Final = Scale(documents=1800, broadcasts=120, rounds=1, seconds=5, backlog=4_000, burst=2)

Section = Callable[[Stable, Scale], dict[str, float]]

SECTIONS: Final[Mapping[str, Section]] = {
    "verify": lambda stable, _: signatures(stable.ground, stable.authors, count=1000),
    "point_to_point": lambda stable, scale: drain.point_to_point(
        stable, count=scale.documents, rounds=scale.rounds
    ),
    "broadcast": lambda stable, scale: drain.broadcast(stable, count=scale.broadcasts, rounds=scale.rounds),
    "loop": lambda stable, scale: drain.bare_loop(
        stable, count=scale.documents, broadcasts=scale.broadcasts, rounds=scale.rounds
    ),
    "latency": lambda stable, scale: latency.latency(stable, seconds=scale.seconds, rounds=scale.rounds),
    "express": lambda stable, scale: latency.express(
        stable, seconds=scale.seconds / 2, backlog=scale.backlog, rounds=scale.rounds
    ),
    "circle": lambda stable, scale: circle.circle(stable, rounds=2 * scale.rounds, burst=scale.burst),
    "attachment": lambda stable, _: attachment.attachment(stable),
}
"""What can be measured, in the order in which it is."""


@app.default
def main(
    *,
    only: Annotated[str, Parameter(help=f"sections, separated by commas: {', '.join(SECTIONS)}")] = "",
    quick: Annotated[bool, Parameter(help="smaller and fewer runs; noisier")] = False,
    rounds: Annotated[int | None, Parameter(help="how often each contender runs")] = None,
    profile: Annotated[
        bool,
        Parameter(help="only: drain once with a router of one process sampled, and show where its time goes"),
    ] = False,
    site: Annotated[Path | None, Parameter(help="folder of a site to use again, made when missing")] = None,
    output: Annotated[Path, Parameter(help="folder of bench.json, logs and samples")] = Path("build"),
) -> int:
    """Measure; the exit status says whether it was possible and complete, the table whether the targets were met."""
    names = [name for name in only.split(",") if name] or list(SECTIONS)
    if unknown := [name for name in names if name not in SECTIONS]:
        print(f"got {', '.join(unknown)}; expected some of {', '.join(SECTIONS)}", file=sys.stderr)
        return 2
    # Asked to end, the contenders and the broker are stopped as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scale = QUICK if quick else FULL
    scale = replace(scale, rounds=rounds or scale.rounds)
    console = Console()
    output.mkdir(parents=True, exist_ok=True)
    # What else runs here is part of every result.
    figures: dict[str, float] = {
        "machine.cores": os.cpu_count() or 0,
        "machine.workers": ROUTER.members,
        "machine.load_before": os.getloadavg()[0],
    }
    with (
        tempfile.TemporaryDirectory(prefix="axis-bench-") as folder,
        ground.prepared(site or Path(folder), output) as there,
    ):
        stable = Stable(there, Authors(there))
        if profile:
            _profile(stable, scale)
            return 0
        for name in names:
            began = time.monotonic()
            figures |= SECTIONS[name](stable, scale)
            console.print(f"{name}: {time.monotonic() - began:.0f} s")
    report.write(figures, output / "bench.json")
    report.show(figures, console)
    if lacking := report.missing(figures):
        console.print(f"{'a partial' if only else 'an incomplete'} run, without {', '.join(lacking)}")
    return 1 if lacking and not only else 0


def _profile(stable: Stable, scale: Scale) -> None:
    """Drain point-to-point, then broadcast, with a router of one process sampled."""
    for broadcast in (False, True):
        count = scale.broadcasts if broadcast else scale.documents
        one = drain.drain(stable, ONE_WORKER, stable.authors.write(count, broadcast=broadcast), profile=True)
        print(
            f"\n{'broadcast' if broadcast else 'point-to-point'}: {one.deliveries_per_second:,.0f} deliveries/s"
        )
        print(sampler.table(stable.ground.output / "router-samples.json"))


if __name__ == "__main__":
    sys.exit(app())
