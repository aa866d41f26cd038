"""Every command that a page or a message names can be given so."""

import re
import shlex
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Final

import pytest
from cyclopts import CycloptsError

from axis.cli.main import app
from axis.errors import AxisError

ROOT: Final = Path(__file__).parents[3]
PAGES: Final = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
)
SOURCES: Final = sorted((ROOT / "axis").rglob("*.py"))
QUOTED: Final = re.compile(r"`axis ([a-z][^`\n]*)`")
SHOWN: Final = re.compile(r"^ *axis ([a-z-].*?)(?:  +#.*)?$", re.MULTILINE)


def commands(page: str) -> Iterator[str]:
    """Yield the arguments of each command of a page; one that offers words to choose from, with each of them."""
    fenced = "\n".join(re.findall(r"^```.*?^```", page, re.MULTILINE | re.DOTALL))
    for command in (*QUOTED.findall(page), *SHOWN.findall(fenced)):
        choices = [
            word.split("|") if re.fullmatch(r"[a-z|]+", word) else [word] for word in command.split(" ")
        ]
        yield from (" ".join(words) for words in product(*choices))


def understood(command: str) -> str | None:
    """Return what is wrong with a command; None when it can be given so."""
    tokens = [word for word in shlex.split(command) if word not in {"…", "..."}]
    try:
        app.parse_args(tokens, print_error=False, exit_on_error=False)
    except (CycloptsError, AxisError) as error:
        # A sentence may name a command without its arguments.
        named = all(re.fullmatch(r"[a-z]+", word) for word in tokens)
        return None if named and type(error).__name__ == "MissingArgumentError" else str(error)
    return None


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_of_a_page_can_be_given(path: Path) -> None:
    """What a page tells people to type is a command with options that exist."""
    faults = {each: understood(each) for each in commands(path.read_text(encoding="utf-8"))}

    assert {command: fault for command, fault in faults.items() if fault} == {}


def test_a_newcomer_can_type_the_readme() -> None:
    """Whoever opens a terminal for a block of the README finds `axis` there, and the document to publish."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = [
        block for block in re.findall(r"^```.*?^```", page, re.MULTILINE | re.DOTALL) if "\naxis " in block
    ]
    published = re.findall(r"^axis publish (\S+)", page, re.MULTILINE)

    assert [block for block in blocks if "\nsource .venv/bin/activate\naxis " not in block] == []
    assert "make setup" in blocks[0]
    assert published
    assert [file for file in published if not (ROOT / file).is_file()] == []


def test_every_command_that_a_message_names_can_be_given() -> None:
    """What a message tells people to run is a command with options that exist."""
    faults = {
        command: fault
        for path in SOURCES
        for quoted in QUOTED.findall(path.read_text(encoding="utf-8"))
        if "{" not in quoted
        for command in commands(f"`axis {quoted}`")
        if (fault := understood(command))
    }

    assert faults == {}


@pytest.mark.parametrize(
    "command",
    ["quarantine list", "inbox lists --as H56", "replay --form-offset 3:1", "publish a.pdf --urgency 9"],
)
def test_a_command_that_does_not_exist_is_noticed(command: str) -> None:
    """A mistyped command, subcommand, option or value is a fault."""
    assert understood(command)


def test_commands_are_found_in_text_and_blocks() -> None:
    """Quoted commands and lines of code blocks are read, with every choice that they offer."""
    page = 'Run `axis topics plan|drift`.\n```\n  axis up --data "a b"   # start\naxis inbox list\n```\naxis is a word\n'

    assert list(commands(page)) == ["topics plan", "topics drift", 'up --data "a b"', "inbox list"]
