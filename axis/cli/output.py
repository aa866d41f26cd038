"""Writes results: tables for people, JSON, JSON lines and CSV for machines; text of others cannot play tricks.

Subjects and names come from other organisations. For people, control, format and unassigned characters are shown as
escapes, so that they can neither command a terminal nor turn the reading direction; in JSON they are escaped by its own
rules, so that the value stays the same. A CSV cell that a spreadsheet would run as a formula is quoted by an apostrophe.
"""

import csv
import json
import sys
import unicodedata
from codecs import lookup
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from io import StringIO
from shutil import get_terminal_size
from typing import Any, Final, assert_never

from axis.cli.moments import shown_moment, utc_text
from axis.cli.parameters import Format

Row = Mapping[str, Any]
"""Text, numbers, truth values, moments, bytes, enumerations, lists and rows by key; None for what is not known."""

_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_FORMULA: Final = tuple("=+-@\t\r")
_WIDE: Final = 10_000
_GAP: Final = 3
_BOM: Final = "\ufeff"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        key: the row's key; also the name in JSON and CSV.
        heading: in Vietnamese.
        english: the heading in English, on the second line.
        show: the words for a value; by default what `shown` makes of it.
        style: a rich style for a value, used on terminals only.
        beneath: on a terminal it stands under the column before, to save room, and is never cut.
        spare: for spreadsheets only.
    """

    key: str
    heading: str
    english: str
    show: Callable[[Any], str] | None = None
    style: Callable[[Any], str] | None = None
    beneath: bool = False
    spare: bool = False


def shown(value: object) -> str:
    """Return a value on one line for people."""
    match value:
        case None:
            return ""
        case datetime():
            return shown_moment(value, zone=False)
        case bytes():
            return value.hex()
        case Enum():
            return str(value.value)
        case list() | tuple():
            return ", ".join(shown(each) for each in value)
        case _:
            return safe_text(str(value))


def safe_text(text: str) -> str:
    """Return text with everything invisible as an escape."""
    return _replaced(text, _escaped)


def write_rows(rows: Iterable[Row], columns: Sequence[Column], form: Format) -> None:
    """Write rows to standard output.

    Args:
        rows: all with the same keys; JSON carries every key, the others those of `columns`.
        columns: what people and spreadsheets see, in this order.
        form: the form.
    """
    match form:
        case Format.TABLE:
            write_table(list(rows), columns)
        case Format.JSON:
            _write(json_text(list(rows), indent=1))
        case Format.JSONL:
            for row in rows:
                write_line(json_text(row))
        case Format.CSV:
            _write_csv(rows, columns)
        case _:
            assert_never(form)


def write_table(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    """Write a table with two-line headings; as wide as the terminal, or as its content where there is none."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - slow, and machines never need it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    stacks = _stacks([column for column in columns if not column.spare])
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for stack in stacks:
        heading = Text(f"{stack[0].heading}\n{stack[0].english}")
        table.add_column(heading, overflow="fold", width=_width(stack, stacks, rows))
    for row in rows:
        cells = (Text("\n").join(Text(*_cell(row, column)) for column in stack) for stack in stacks)
        table.add_row(*cells)
    _print(table)


def write_card(entries: Sequence[tuple[str, str, object]]) -> None:
    """Write one thing for people: (Vietnamese label, English label, value) on a line each; None is left out."""
    from rich.table import Table  # noqa: PLC0415 - slow, and machines never need it
    from rich.text import Text  # noqa: PLC0415

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for vietnamese, english, value in entries:
        if value is not None:
            text = shown_moment(value) if isinstance(value, datetime) else shown(value)
            grid.add_row(Text(f"{vietnamese} ({english})"), Text(text))
    _print(grid)


def write_line(text: str) -> None:
    """Write one line of the result at once, so that a reader in a pipe has it now."""
    print(text, flush=True)


def say(*texts: str) -> None:
    """Tell people something on standard error, Vietnamese first; it is not part of the result."""
    for text in texts:
        print("\n".join(safe_text(line) for line in text.splitlines()), file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """Write one line of warning on standard error."""
    print(f"axis: {safe_text(text)}", file=sys.stderr, flush=True)


def json_text(value: object, *, indent: int | None = None) -> str:
    """Return JSON: times in UTC, digests in hexadecimal, nothing in it that a terminal would obey."""
    text = json.dumps(_plain(value), ensure_ascii=not _speaks_utf8(), allow_nan=False, indent=indent)
    # Line ends stand only between tokens: those of values are escaped already.
    return "\n".join(_replaced(line, _json_escaped) for line in text.split("\n"))


def _stacks(columns: Sequence[Column]) -> list[list[Column]]:
    """Return the columns by place: on a terminal several may share one."""
    stacks: list[list[Column]] = []
    for column in columns:
        if column.beneath and stacks and sys.stdout.isatty():
            stacks[-1].append(column)
        else:
            stacks.append([column])
    return stacks


def _cell(row: Row, column: Column) -> tuple[str, str]:
    """Return the text for people and its style."""
    value = row[column.key]
    text = safe_text(column.show(value)) if column.show and value is not None else shown(value)
    return text, column.style(value) if column.style else ""


def _width(stack: Sequence[Column], stacks: Sequence[Sequence[Column]], rows: Sequence[Row]) -> int | None:
    """Return the width of a column with something beneath, which must stay in one piece to be copied; else None."""
    if len(stack) == 1 or not rows:
        return None
    least = max(len(_cell(row, column)[0]) for column in stack[1:] for row in rows)
    widest = max(len(_cell(row, column)[0]) for column in stack for row in rows)
    room = get_terminal_size().columns - sum(_natural(each, rows) for each in stacks if each is not stack)
    return max(least, min(widest, room))


def _natural(stack: Sequence[Column], rows: Sequence[Row]) -> int:
    words = [stack[0].heading, stack[0].english, *(_cell(row, column)[0] for column in stack for row in rows)]
    return max(map(len, words)) + _GAP


def _plain(value: object) -> object:
    match value:
        case datetime():
            return utc_text(value)
        case bytes():
            return value.hex()
        case Enum():
            return value.value
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return value


def _write_csv(rows: Iterable[Row], columns: Sequence[Column]) -> None:
    _write((_BOM if _speaks_utf8() else "") + _csv_line([column.key for column in columns]), end="")
    for row in rows:
        _write(_csv_line([_csv_cell(row[column.key]) for column in columns]), end="")


def _csv_line(cells: Sequence[str]) -> str:
    line = StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _csv_cell(value: object) -> str:
    plain = _plain(value)
    text = shown(" ".join(map(str, plain)) if isinstance(plain, list) else plain)
    return f"'{text}" if text.startswith(_FORMULA) and not isinstance(plain, int | float) else text


def _replaced(text: str, escape: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return "".join(escape(each) if unicodedata.category(each) in _UNSAFE else each for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _json_escaped(character: str) -> str:
    return json.dumps(character)[1:-1]


def _speaks_utf8() -> bool:
    """Tell whether standard output can carry every letter; a file that a test puts in its place can."""
    return lookup(sys.stdout.encoding or "utf-8").name == "utf-8"


def _write(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)


def _print(renderable: object) -> None:
    from rich.console import Console  # noqa: PLC0415 - slow, and machines never need it

    if sys.stdout.isatty():
        Console(highlight=False).print(renderable)
        return
    # Without a terminal a row is one line, however long, without the blanks that fill a screen.
    rendered = StringIO()
    Console(file=rendered, width=_WIDE, color_system=None, highlight=False).print(renderable)
    for line in rendered.getvalue().splitlines():
        _write(line.rstrip())
