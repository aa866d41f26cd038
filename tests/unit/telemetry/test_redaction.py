"""What a log event may carry."""

import json
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axis.core.disposition import Reason
from axis.core.envelope import Urgency
from axis.errors import Bilingual, Refused, Unavailable
from axis.telemetry.redaction import (
    FACTS,
    MAX_ITEMS,
    MAX_TEXT_CHARACTERS,
    SENSITIVE_WORDS,
    WITHHELD,
    exception_facts,
    printable,
    redacted,
)

SECRET = "V/v thanh tra đột xuất"

SENSITIVE_KEYS = [
    "key",
    "private_key",
    "passphrase",
    "password",
    "pin",
    "token_pin",
    "secret",
    "access_token",
    "subject",
    "content",
    "body",
    "header",
    "Authorization",
    "X-Api-Key",
]


@pytest.mark.parametrize("key", SENSITIVE_KEYS)
@pytest.mark.parametrize(
    "value", [SECRET, SECRET.encode(), 1234, [SECRET], {"topic": SECRET}, ValueError(SECRET)]
)
def test_a_sensitive_key_shows_nothing_of_its_value(key: str, value: object) -> None:
    """A key that names a secret or content is withheld whatever its value's type is."""
    assert redacted({key: value}) == {key: WITHHELD}


@pytest.mark.parametrize(
    "value", [SECRET, 42, True, None, [SECRET], {"topic": SECRET}, datetime(2026, 1, 1, tzinfo=UTC)]
)
def test_a_key_nobody_has_listed_is_withheld(value: object) -> None:
    """A new fact is hidden until it has been put on the list."""
    assert redacted({"brand_new_fact": value}) == {"brand_new_fact": WITHHELD}


def test_the_list_of_facts_names_nothing_sensitive() -> None:
    """A listed fact with a sensitive word would never be seen, so none may stand there."""
    assert [fact for fact in FACTS if SENSITIVE_WORDS & set(fact.split("_"))] == []


@pytest.mark.parametrize("value", [b"\x00secret", bytearray(b"\x00secret"), memoryview(b"\x00secret")])
@pytest.mark.parametrize("key", ["envelope", "topic"])
def test_bytes_become_their_length_and_a_digest(key: str, value: object) -> None:
    """Bytes can be compared by length and the beginning of their SHA-256, and are never shown."""
    assert redacted({key: value}) == {key: "7 bytes sha256:7c8cc910759bf004"}


def test_listed_facts_keep_their_values() -> None:
    """Identifiers, numbers, times and enums of listed keys are written in plain form."""
    shown = redacted(
        {
            "message_id": UUID("01920000-0000-7000-8000-000000000001"),
            "sender": "H56.14812",
            "offset": 42,
            "reason": Reason.EXPIRED,
            "priority": Urgency.FLASH,
            "duration_seconds": timedelta(seconds=1.5),
            "lag_seconds": 0.25,
            "not_after": datetime(2026, 11, 22, 3, 0, tzinfo=UTC),
            "path": PurePosixPath("/var/lib/axis"),
            "topics": ["axis.receipts", "axis.quarantine"],
            "result": None,
        }
    )

    assert shown == {
        "message_id": "01920000-0000-7000-8000-000000000001",
        "sender": "H56.14812",
        "offset": 42,
        "reason": "expired",
        "priority": 3,
        "duration_seconds": 1.5,
        "lag_seconds": 0.25,
        "not_after": "2026-11-22T03:00:00+00:00",
        "path": "/var/lib/axis",
        "topics": ["axis.receipts", "axis.quarantine"],
        "result": None,
    }


def test_a_message_in_both_languages_is_logged_in_english() -> None:
    """Programs that read logs find one language in them, whichever people were told the same in."""
    fault = Bilingual("chủ đề chưa được khai báo", "topic is not declared")
    shown = redacted({"faults": (fault,), "error": Unavailable(fault)})
    assert shown == {
        "faults": ["topic is not declared"],
        "error": "axis.errors.Unavailable: topic is not declared",
    }


def test_an_unknown_object_is_named_by_type_only() -> None:
    """The `repr` of an object may hold content, so it is not asked for."""

    class Envelope:
        def __repr__(self) -> str:
            return SECRET

    assert SECRET not in json.dumps(redacted({"topic": Envelope()}), ensure_ascii=False)


def test_nested_facts_follow_the_same_rules() -> None:
    """What stands inside a mapping or a list is judged like what stands outside."""
    shown = redacted(
        {"check": {"topic": "axis.receipts", "password": SECRET, "other": SECRET, "got": [b"x"]}}
    )

    assert shown == {
        "check": {
            "topic": "axis.receipts",
            "password": WITHHELD,
            "other": WITHHELD,
            "got": ["1 bytes sha256:2d711642b726b044"],
        }
    }


def test_what_is_endless_is_cut() -> None:
    """Long text, long lists and structures that contain themselves end somewhere."""
    circle: dict[str, object] = {}
    circle["check"] = circle

    shown = redacted({"got": "a" * 10_000, "topics": list(range(1000)), "check": circle})

    assert len(str(shown["got"])) < MAX_TEXT_CHARACTERS + 30
    assert isinstance(shown["topics"], list)
    assert shown["topics"][MAX_ITEMS:] == ["… (+950 items)"]
    assert "<dict>" in json.dumps(shown["check"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400])
def test_every_number_is_valid_json(value: float) -> None:
    """Numbers that JSON has no form for become text; none is refused."""
    text = json.dumps(redacted({"count": value}), allow_nan=False)

    assert json.loads(text)["count"] in (value, str(value))


@given(st.text())
def test_printable_text_is_one_harmless_line(text: str) -> None:
    """No control, format, surrogate or separator character survives, and text without any is not changed."""
    shown = printable(text)

    assert not [c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    assert len(shown.splitlines()) <= 1
    if text.isprintable() and len(text) <= MAX_TEXT_CHARACTERS:
        assert shown == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", r"a\nb"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("\x9b2J", r"\x9b2J"),
        ("\u2028", r"\u2028"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("Quyết định số 15/QĐ-UBND", "Quyết định số 15/QĐ-UBND"),
    ],
    ids=[
        "newline",
        "escape",
        "right-to-left",
        "isolate",
        "c1",
        "line-separator",
        "surrogate",
        "tag",
        "vietnamese",
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    """Characters that could forge a line or turn the reading direction are written as escapes; Vietnamese stays."""
    assert printable(text) == shown


def test_an_exception_shows_its_path_but_neither_locals_nor_foreign_words() -> None:
    """Frames name file, line and function; messages of codecs, which quote content, are withheld along the chain."""
    subject_line = SECRET

    def read_number() -> int:
        try:
            return int(subject_line)
        except ValueError as error:
            raise Refused("header-malformed", "got text in number, expected digits") from error

    with pytest.raises(Refused) as caught:
        read_number()
    facts = exception_facts(caught.value)

    text = json.dumps(facts, ensure_ascii=False)
    assert SECRET not in text
    assert facts["type"] == "axis.errors.Refused"
    assert facts["message"] == "header-malformed: got text in number, expected digits"
    assert "in read_number" in text
    cause = facts["cause"]
    assert isinstance(cause, dict)
    assert (cause["type"], cause["message"]) == ("ValueError", WITHHELD)


def test_an_exception_group_shows_its_members() -> None:
    """Each member of a group is shown; the group's own words are withheld like any foreign message."""
    facts = exception_facts(
        ExceptionGroup(SECRET, [Unavailable("broker 1 does not answer"), KeyError(SECRET)])
    )

    assert SECRET not in json.dumps(facts, ensure_ascii=False)
    members = facts["members"]
    assert isinstance(members, list)
    assert [member["message"] for member in members] == ["broker 1 does not answer", WITHHELD]


def test_an_exception_as_a_fact_keeps_to_the_same_rule() -> None:
    """An exception under any harmless key becomes its type and, where it is safe, its message."""
    shown = redacted({"fault": Unavailable("broker 1\ndoes not answer"), "cause": ValueError(SECRET)})

    assert shown == {
        "fault": r"axis.errors.Unavailable: broker 1\ndoes not answer",
        "cause": f"ValueError: {WITHHELD}",
    }


def test_a_chain_of_exceptions_that_turns_on_itself_ends() -> None:
    """An exception whose cause leads back to itself is shown to a limited depth."""
    first, second = Unavailable("first"), Unavailable("second")
    first.__cause__, second.__cause__ = second, first

    assert json.dumps(exception_facts(first)).count('"type"') == 9
