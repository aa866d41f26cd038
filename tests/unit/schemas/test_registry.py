"""The schemas that ship with the axis, and how a record names its own."""

import json
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from typing import Any

import pytest
from avro.schema import _crc_64_fingerprint as crc_64_avro
from avro.schema import parse as oracle_parse
from fastavro.schema import to_parsing_canonical_form

from axis.core.receipt import Event, Outcome
from axis.schemas import compatibility, registry

Json = dict[str, Any]

# What was released stays as it was, to the last byte: a new release adds lines here, and changes none.
RELEASED = {
    "0.1.0/decision.avsc": "d538562642861a956c0b7b082934218697c32cb940b9086dd8cbb0294d1345a7",
    "0.1.0/envelope.avsc": "293cbac04ee9be30467342974a025b6809c5cbcdcbffac04dcc42cff211dd6f1",
    "0.1.0/header.avsc": "fdb7e2c1115da3457a8d9ab938915292bfe8af9aea9b8a8f67a1af7428d72f98",
    "0.1.0/quarantine.avsc": "415e3c38d068d462170abfca9e417094e09a0c58f4040d343bfeeb8f35526370",
    "0.1.0/receipt.avsc": "392048adfb5aa3496530d807033080deec3692c59b791ad6de218a7cad0efb82",
    "0.1.0/signed-receipt.avsc": "3ae14beb7a45cede460074f550814350464e43cd22f1aa009ae17cedc1225c7e",
    "0.2.0/decision.avsc": "e56ba20825e0189f5112c97443eccb827925a5d8bb8ca2d8051a07250a6484ca",
    "0.2.0/header.avsc": "91c1c651d4d3ce1a75951147b369c2caa891c2eeb40f407fd82defca596e0a9a",
}


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


def test_released_schemas_are_what_was_released() -> None:
    """A schema that records were written with is never edited, removed or joined by another one, not even with the current one."""
    found = {
        f"{version.name}/{schema_file.name}": sha256(schema_file.read_bytes()).hexdigest()
        for version in (files("axis.schemas") / "released").iterdir()
        for schema_file in version.iterdir()
    }
    assert found == RELEASED


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
