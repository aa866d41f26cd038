"""The schemas that ship with the axis, and how a record names its own."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from avro.schema import _crc_64_fingerprint as crc_64_avro
from avro.schema import parse as oracle_parse
from fastavro.schema import to_parsing_canonical_form

from axis.core.receipt import Event, Outcome
from axis.schemas import compatibility, registry

Json = dict[str, Any]


def schema(name: str) -> Json:
    """A current schema as JSON."""
    parsed: Json = json.loads(compatibility.current_text(name))
    return parsed


def simple(node: object) -> object:
    """The schema with each logical type as its simple form: avro 1.12 omits that step of the canonical form."""
    match node:
        case {"logicalType": str(), "type": str(primitive)}:
            return primitive
        case dict():
            return {key: simple(child) for key, child in node.items()}
        case list():
            return [simple(child) for child in node]
        case _:
            return node


def records(node: object) -> Iterator[Json]:
    """Every record within a schema."""
    if isinstance(node, dict):
        if node.get("type") == "record":
            yield node
        for child in node.values():
            yield from records(child)
    elif isinstance(node, list):
        for child in node:
            yield from records(child)


@pytest.mark.parametrize("name", sorted({*registry.NAMES} - {"receipt"}))
def test_fingerprints_are_those_of_the_specification(name: str) -> None:
    """Apache Avro's own library computes the same CRC-64-AVRO, in the byte order of the wire."""
    fingerprint = oracle_parse(json.dumps(simple(schema(name)))).fingerprint("CRC-64-AVRO")
    assert registry.current(name).prefix == b"\xc3\x01" + bytes(fingerprint)


def test_the_fingerprint_of_receipts_is_over_their_canonical_form() -> None:
    """The receipt names a type twice, which avro 1.12 writes out twice; its checksum alone is compared."""
    canonical = to_parsing_canonical_form(schema("receipt"))
    assert canonical.count('"name":"vn.thanhhoa.axis.Sha256"') == 1
    assert registry.current("receipt").prefix == b"\xc3\x01" + bytes(crc_64_avro(canonical.encode()))


@pytest.mark.parametrize("name", registry.NAMES)
def test_every_field_is_documented(name: str) -> None:
    """A reader in twenty years has the schema and nothing else."""
    found = list(records(schema(name)))
    assert found
    for record in found:
        assert record.get("doc", "").endswith("."), record["name"]
        for field in record["fields"]:
            assert field.get("doc", "").endswith("."), f"{record['name']}.{field['name']}"


def test_no_two_schemas_share_a_prefix() -> None:
    """A prefix names one schema, so a record is never read as another kind."""
    assert len({registry.current(name).prefix for name in registry.NAMES}) == len(registry.NAMES)
    assert all(registry.by_prefix()[registry.current(name).prefix].name == name for name in registry.NAMES)


def test_every_schema_was_released() -> None:
    """What records are written with is kept for those who read them later, and each released one is still read."""
    released = registry.released()
    assert {name for _, name, _ in released} == set(registry.NAMES)
    assert all(registry.parse(name, text).prefix in registry.by_prefix() for _, name, text in released)


def test_enums_of_the_schema_are_those_of_the_core() -> None:
    """UNKNOWN, which an older reader sees of what is newer, is the schema's alone and its default."""
    enums = {
        field["type"]["name"]: field["type"]
        for record in records(schema("receipt"))
        for field in record["fields"]
        if isinstance(field["type"], dict) and field["type"]["type"] == "enum"
    }
    for name, members in (("Event", Event), ("Outcome", Outcome)):
        assert enums[name]["symbols"] == ["UNKNOWN", *(each.value for each in members)]
        assert enums[name]["default"] == "UNKNOWN"
