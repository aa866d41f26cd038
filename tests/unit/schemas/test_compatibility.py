"""The compatibility check sees what would make old records unreadable."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from axis.schemas import compatibility

Json = dict[str, Any]
Change = Callable[[Json], object]


def field(schema: Json, name: str) -> Json:
    """A field of a record, by name."""
    found: Json = next(each for each in schema["fields"] if each["name"] == name)
    return found


def added(schema: Json, **extra: object) -> None:
    """Add a field."""
    schema["fields"].append({"name": "later", "type": "string", "doc": "New.", **extra})


def faults(name: str, change: Change) -> list[str]:
    """What the check finds when one schema is changed like this."""

    def text_of(each: str) -> str:
        schema = json.loads(compatibility.current_text(each))
        if each == name:
            change(schema)
        return json.dumps(schema)

    return list(compatibility.faults(text_of))


def test_the_current_schemas_are_compatible() -> None:
    """Every record of every release can be read, and a release that is shown what is written now can resolve it to its own."""
    assert list(compatibility.faults()) == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("header", added),
        ("header", lambda schema: schema["fields"].remove(field(schema, "subject"))),
        ("header", lambda schema: field(schema, "subject").update(name="title")),
        ("header", lambda schema: field(schema, "urgency").update(type="string")),
        ("header", lambda schema: field(schema, "operation")["type"]["symbols"].remove("RECALL")),
        ("header", lambda schema: field(schema, "operation")["type"]["symbols"].append("MERGE")),
        ("receipt", lambda schema: field(schema, "envelope_digest")["type"].update(size=64)),
        ("receipt", lambda schema: field(schema, "message_id").update(type="string")),
        ("quarantine", lambda schema: field(schema, "offset").update(type="int")),
        ("quarantine", lambda schema: schema.update(name="Parked")),
        ("decision", lambda schema: field(schema, "receipt").update(type="bytes")),
        ("envelope", lambda schema: field(schema, "parts").update(type="bytes")),
    ],
)
def test_a_planted_break_is_found(name: str, change: Change) -> None:
    """A change that keeps an old reader from new records, or a new one from old records, is named."""
    found = faults(name, change)
    assert found
    assert all(each.startswith(f"{name}: the current schema no longer ") for each in found)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("header", lambda schema: added(schema, default="")),
        ("decision", lambda schema: added(schema, default="")),
        ("receipt", lambda schema: field(schema, "event")["type"]["symbols"].append("RETENTION_ENDED")),
        ("receipt", lambda schema: schema.update(doc="Other words.")),
    ],
)
def test_a_careful_change_passes(name: str, change: Change) -> None:
    """A field with a default, a symbol of an enum with a default, and other words break nobody."""
    assert faults(name, change) == []


def test_the_command_ends_with_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    """The command of `make check` ends with 0 and says how many faults there are."""
    with pytest.raises(SystemExit) as caught:
        compatibility.main()
    assert caught.value.code == 0
    assert capsys.readouterr().out == "schema compatibility: 0 faults\n"
