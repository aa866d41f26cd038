"""Every log call of the axis keeps to the rules, read from the source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from axis.telemetry.redaction import FACTS

PACKAGE = Path(__file__).parents[3] / "axis"
EVENT = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
METHODS = {"debug", "info", "warning", "error", "critical", "exception"}


def _name(node: ast.expr) -> str | None:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return None


def loggers(tree: ast.Module) -> set[str]:
    """Return the names that are bound to a structlog logger, or to one derived by `bind`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            function = node.value.func
            made = _name(function) == "get_logger"
            derived = (
                isinstance(function, ast.Attribute)
                and function.attr == "bind"
                and _name(function.value) in names
            )
            if made or derived:
                names |= {name for target in node.targets if (name := _name(target))}
    return names


def faults(source: str) -> Iterator[str]:
    """Yield what is wrong with the log calls of one module."""
    tree = ast.parse(source)
    names = loggers(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=method, value=owner)) if _name(owner) in names:
                yield from (f"line {node.lineno}: {fault}" for fault in _call_faults(method, node))
            case _:
                pass


def _call_faults(method: str, call: ast.Call) -> Iterator[str]:
    if method in METHODS | {"log"}:
        positional = call.args[1:] if method == "log" else call.args
        match positional:
            case [ast.Constant(value=str(event))] if EVENT.fullmatch(event):
                pass
            case _:
                yield "expected one literal event name such as 'receipt.signed', and facts as keywords"
    for keyword in call.keywords:
        match keyword:
            case ast.keyword(arg=None):
                yield "got **mapping, expected facts by name"
            case ast.keyword(arg="exc_info") | ast.keyword(arg="error", value=ast.Name()):
                pass
            case ast.keyword(arg="error"):
                yield "pass the exception itself as `error`: its type decides whether its message may be seen"
            case ast.keyword(arg=name) if name not in FACTS:
                yield f"fact {name!r} would be withheld; list it in FACTS if it may be seen"
            case _:
                pass


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_log_calls_have_constant_names_and_listed_facts(path: Path) -> None:
    """An event name is a literal, and every fact is on the list of those that may be seen."""
    assert list(faults(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ('log.info(f"received {x}")', "literal event name"),
        ('log.info("received %s", x)', "literal event name"),
        ('log.info("Received it")', "literal event name"),
        ('log.info("receipt.signed", **facts)', "by name"),
        ('log.error("receipt.failed", whatever=1)', "'whatever'"),
        ('self.log.error("receipt.failed", password=1)', "'password'"),
        ('log.error("receipt.failed", error=str(error))', "exception itself"),
        ('log.log(30, f"receipt_{x}")', "literal event name"),
        ("bound = log.bind(whatever=1)", "'whatever'"),
        ('bound = log.bind(topic=1)\nbound.info("X")', "literal event name"),
    ],
)
def test_the_reader_sees_each_fault(call: str, words: str) -> None:
    """Each rule finds the call that breaks it."""
    (fault,) = faults(f"log = structlog.stdlib.get_logger(__name__)\n{call}\n")

    assert words in fault


def test_the_reader_accepts_a_call_that_keeps_the_rules() -> None:
    """A literal name with listed facts passes."""
    source = 'log = structlog.get_logger(__name__)\nlog.info("receipt.signed", topic="axis.receipts", exc_info=True, error=error)\n'

    assert list(faults(source)) == []
