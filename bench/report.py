"""The figures: one flat object of names and numbers, as a file and as a table with the targets beside."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be: at least, or at most, a value."""

    value: float
    at_least: bool = False

    def met_by(self, figure: float) -> bool:
        """Tell whether a figure reaches it."""
        return figure >= self.value if self.at_least else figure <= self.value

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.value:g}"


TARGETS: Final[Mapping[str, Target]] = {
    "ratio.point_to_point": Target(0.7, at_least=True),
    "ratio.broadcast": Target(0.85, at_least=True),
    "ratio.latency_p99": Target(1.5),
    "ratio.express_p99_under_backlog": Target(2.0),
    "memory.attachment_200mb_extra_mb": Target(64.0),
    "memory.ratio_twice_the_backlog": Target(1.25),
}
"""The figures that decide; every complete run has all of them."""


def missing(figures: Mapping[str, float]) -> list[str]:
    """Return the deciding figures that a run lacks, because only a part of it was asked for."""
    return [name for name in TARGETS if name not in figures]


def write(figures: Mapping[str, float], path: Path) -> None:
    """Write figures as one flat JSON object, names to numbers, in the order of their names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rounded = {name: float(f"{figures[name]:.6g}") for name in sorted(figures)}
    path.write_text(json.dumps(rounded, indent=1) + "\n", "utf-8")


def show(figures: Mapping[str, float], console: Console) -> None:
    """Print figures by section, the deciding ones first, with their targets."""
    table = Table(title="Bench", title_justify="left", header_style="bold")
    table.add_column("figure")
    table.add_column("measured", justify="right")
    table.add_column("target", justify="right")
    for name, target in TARGETS.items():
        if name in figures:
            colour = "green" if target.met_by(figures[name]) else "red"
            table.add_row(name, f"[{colour}]{_text(figures[name])}[/]", str(target))
    section = ""
    for name in sorted(figures.keys() - TARGETS.keys()):
        table.add_section() if (first := name.partition(".")[0]) != section else None
        section = first
        table.add_row(name, _text(figures[name]), "")
    console.print(table)


def _text(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
