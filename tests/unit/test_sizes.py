"""The house rule on sizes: a function has at most 50 lines, a module at most 400."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUNCTION_LINES = 50
MODULE_LINES = 400
MODULES = sorted(path for folder in ("axis", "bench", "tests") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_longer_than_a_reader_can_hold(path: Path) -> None:
    """What is longer has more than one thing to do."""
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= MODULE_LINES
    lengths = [
        ((node.end_lineno or 0) - node.lineno + 1, node.name)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [(lines, name) for lines, name in lengths if lines > FUNCTION_LINES] == []
