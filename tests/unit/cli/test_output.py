"""What is written stays readable, parseable and harmless, whoever chose the words in it."""

import csv
import json
from datetime import UTC, datetime
from io import BytesIO, StringIO, TextIOWrapper

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axis.cli.output import Column, Row, json_text, safe_text, write_card, write_rows
from axis.cli.parameters import Format

ROWS: list[Row] = [
    {
        "id": "a1",
        "subject": "Báo cáo \x1b[2Jxóa\u202e",
        "at": datetime(2026, 11, 22, 7, 30, tzinfo=UTC),
        "digest": b"\x01\xff",
        "to": ["H56", "H56.01"],
        "reason": None,
        "count": -3,
    },
    {"id": "a2", "subject": "=1+1", "at": None, "digest": b"", "to": [], "reason": "x", "count": 0},
]
COLUMNS = [
    Column("subject", "Trích yếu", "Subject"),
    Column("id", "Mã", "Id", beneath=True),
    Column("at", "Lúc (+07:00)", "At"),
    Column("to", "Nơi nhận", "To"),
    Column("count", "Số lượng", "Count", show=lambda count: f"<{count}>"),
    Column("digest", "SHA-256", "SHA-256", spare=True),
    Column("reason", "Lý do", "Reason", show=str.upper),
]
HARMFUL = "\x1b\x07\x9b\x00\x7f\r\u200b\u202e\u2066\u2028\ufeff"


def written(form: Format, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the rows look like in a form."""
    write_rows(ROWS, COLUMNS, form)
    return capsys.readouterr().out


def test_a_table_has_a_line_per_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal each row is one line with local times, words for values and nothing spare or coloured."""
    lines = written(Format.TABLE, capsys).splitlines()
    assert len(lines) == 3 + len(ROWS)
    assert " ".join(lines[0].split()) == "Trích yếu Mã Lúc (+07:00) Nơi nhận Số lượng Lý do"
    assert "22/11/2026 14:30" in lines[3]
    assert "H56, H56.01" in lines[3]
    assert "<-3>" in lines[3]
    assert lines[4].endswith("X")


def test_json_keeps_every_value(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON carries all keys with their exact text, times in UTC and digests in hexadecimal; JSON lines the same."""
    rows = json.loads(written(Format.JSON, capsys))
    assert rows[0] == {
        "id": "a1",
        "subject": "Báo cáo \x1b[2Jxóa\u202e",
        "at": "2026-11-22T07:30:00.000Z",
        "digest": "01ff",
        "to": ["H56", "H56.01"],
        "reason": None,
        "count": -3,
    }
    assert [json.loads(line) for line in written(Format.JSONL, capsys).splitlines()] == rows


def test_csv_opens_in_spreadsheets_and_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """CSV begins with a byte order mark, carries spare columns, and text that looks like a formula is quoted."""
    text = written(Format.CSV, capsys)
    assert text.startswith("\ufeffsubject,id,at,to,count,digest,reason\r\n")
    rows = list(csv.DictReader(StringIO(text.removeprefix("\ufeff"), newline="")))
    assert rows[1]["subject"] == "'=1+1"
    assert (rows[0]["count"], rows[0]["to"], rows[0]["digest"]) == ("-3", "H56 H56.01", "01ff")


@pytest.mark.parametrize("cell", ["=cmd()", "+1", "-1", "@x", "\tx", "\rx"])
def test_every_beginning_of_a_formula_is_guarded(cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Text that begins as a formula or a separator trick is never the beginning of a cell."""
    write_rows([{"a": cell}], [Column("a", "A", "A")], Format.CSV)
    assert capsys.readouterr().out.splitlines()[1][0] in "'\\\""


@pytest.mark.parametrize(
    "value", [["=cmd()", "H56"], ("@communes",), [-1, 2], "-3"], ids=["list", "tuple", "numbers", "text"]
)
def test_whatever_becomes_text_is_guarded(value: object, capsys: pytest.CaptureFixture[str]) -> None:
    """A list is guarded as a text is: its first word may be what an attacker wrote as a recipient."""
    write_rows([{"a": value}], [Column("a", "A", "A")], Format.CSV)
    assert capsys.readouterr().out.splitlines()[1][0] == "'"


@pytest.mark.parametrize("form", list(Format))
def test_no_form_lets_a_terminal_be_commanded(form: Format, capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences and invisible characters in a subject never reach standard output as themselves."""
    write_rows([{"a": f"x{HARMFUL}y"}], [Column("a", "A", "A")], form)
    text = capsys.readouterr().out.removeprefix("\ufeff").replace("\r\n", "\n")
    assert not set(HARMFUL) & set(text)


def test_a_card_is_safe_and_leaves_out_what_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    """A card shows labels in both languages, local times with their zone, and no line for None."""
    write_card([("Lúc", "at", ROWS[0]["at"]), ("Tên", "name", "a\x1bb"), ("Lý do", "reason", None)])
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert lines == [["Lúc", "(at)", "22/11/2026 14:30 (+07:00)"], ["Tên", "(name)", "a\\x1bb"]]


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1"])
def test_json_stays_exact_where_letters_are_lacking(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where standard output is not UTF-8, JSON is written in ASCII, and CSV begins without a mark that none would know."""
    written = BytesIO()
    output = TextIOWrapper(written, encoding, errors="backslashreplace", newline="")
    monkeypatch.setattr("sys.stdout", output)
    row = {"a": "Kế hoạch Đ \U0001f600"}
    write_rows([row], [Column("a", "A", "A")], Format.JSONL)
    write_rows([row], [Column("a", "A", "A")], Format.CSV)
    output.flush()
    line, heading, _ = written.getvalue().splitlines()
    assert json.loads(line) == row
    assert heading == b"a"


@given(st.text())
def test_json_text_is_harmless_and_exact_for_any_text(text: str) -> None:
    """Whatever the text, JSON gives it back exactly and holds no character that is not plainly visible."""
    encoded = json_text({"text": text}, indent=1)
    assert json.loads(encoded) == {"text": text}
    assert safe_text(encoded.replace("\n", "")) == encoded.replace("\n", "")


@given(st.text())
def test_safe_text_is_one_line_and_stays_as_it_is_when_repeated(text: str) -> None:
    """Shown text is a single line, and showing it again changes nothing."""
    shown = safe_text(text)
    assert len(shown.splitlines()) <= 1
    assert safe_text(shown) == shown


def test_vietnamese_stays_readable() -> None:
    """Letters with marks, composed or not, and no-break spaces are shown as they are."""
    text = "Ủy ban nhân dân xã Điền Quang\u00a0– số 12/UBND Ế"
    assert safe_text(text) == text
