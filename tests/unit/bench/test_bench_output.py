"""What a run of the bench leaves behind: one flat object of names and numbers."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from bench import report

FIGURES = {
    "ratio.point_to_point": 0.8123456789,
    "ratio.broadcast": 0.9,
    "ratio.latency_p99": 1.25,
    "ratio.express_p99_under_backlog": 2.5,
    "memory.attachment_200mb_extra_mb": 24.5,
    "memory.ratio_twice_the_backlog": 1.1,
    "point_to_point.router_docs_per_s": 1634.2,
    "express.backlog_documents": 20_000,
}


def test_the_figures_are_one_flat_object_of_numbers(tmp_path: Path) -> None:
    """`bench.json` maps every name to a number, the deciding names among them, and nests nothing."""
    path = tmp_path / "build" / "bench.json"

    report.write(FIGURES, path)

    read = json.loads(path.read_text("utf-8"))
    assert read.keys() == FIGURES.keys()
    assert read.keys() >= report.TARGETS.keys()
    assert all(type(figure) in {int, float} for figure in read.values())
    assert read["point_to_point.router_docs_per_s"] == pytest.approx(1634.2)


def test_a_partial_run_names_the_deciding_figures_that_it_lacks() -> None:
    """A run of some sections is not taken for a complete one."""
    assert report.missing(FIGURES) == []
    assert report.missing({"ratio.broadcast": 0.9}) == [
        "ratio.point_to_point",
        "ratio.latency_p99",
        "ratio.express_p99_under_backlog",
        "memory.attachment_200mb_extra_mb",
        "memory.ratio_twice_the_backlog",
    ]


@pytest.mark.parametrize(
    ("name", "figure", "met"),
    [
        ("ratio.point_to_point", 0.7, True),
        ("ratio.point_to_point", 0.69, False),
        ("ratio.latency_p99", 1.5, True),
        ("ratio.latency_p99", 1.51, False),
        ("memory.attachment_200mb_extra_mb", 64.1, False),
    ],
)
def test_a_target_is_a_bound_on_the_right_side(name: str, figure: float, *, met: bool) -> None:
    """Rates have a lower bound, delays and memory an upper one."""
    assert report.TARGETS[name].met_by(figure) is met


def test_the_table_shows_targets_beside_the_figures() -> None:
    """A reader sees each deciding figure with what it should be, and every other figure."""
    terminal = io.StringIO()

    report.show(FIGURES, Console(file=terminal, width=120))

    lines = terminal.getvalue().splitlines()
    assert any("ratio.broadcast" in line and "≥ 0.85" in line for line in lines)
    assert any("point_to_point.router_docs_per_s" in line and "1,634" in line for line in lines)
