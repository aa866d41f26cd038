"""The schemas of the axis by name and by fingerprint.

A record names its writer's schema by the CRC-64-AVRO fingerprint in its first bytes (Avro specification, "Single-object
encoding"), so no registry service stands between a document and its reader, now or in twenty years. Schemas of released
versions stay in `released/<version>/` and are never edited: they are what old records are read with.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

NAMES: Final = ("envelope", "header", "receipt", "signed-receipt", "quarantine", "decision")
MARKER: Final = b"\xc3\x01"
FINGERPRINT_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Schema:
    """A parsed schema with the ten bytes that every record written with it begins with."""

    name: str
    parsed: Any
    prefix: bytes


def parse(name: str, text: str) -> Schema:
    """Parse schema JSON.

    Raises:
        fastavro.schema.SchemaParseException: the text is no Avro schema.
    """
    source = json.loads(text)
    crc = fingerprint(to_parsing_canonical_form(source), "CRC-64-AVRO")
    # fastavro prints the fingerprint in the byte order of the wire (little-endian), so nothing is reversed.
    return Schema(name, parse_schema(source), MARKER + bytes.fromhex(crc))


def _folder() -> Traversable:
    return files("axis.schemas")


@cache
def current(name: str) -> Schema:
    """Return the schema that this version writes."""
    return parse(name, (_folder() / f"{name}.avsc").read_text("utf-8"))


def released() -> list[tuple[str, str, str]]:
    """Return (version, name, JSON text) of every schema of every released version."""
    return [
        (version.name, name, text.read_text("utf-8"))
        for version in sorted((_folder() / "released").iterdir(), key=lambda entry: entry.name)
        for name in NAMES
        if (text := version / f"{name}.avsc").is_file()
    ]


@cache
def by_prefix() -> dict[bytes, Schema]:
    """Return every schema ever released, and the current ones, by the ten bytes that their records begin with."""
    known = [parse(name, text) for _, name, text in released()]
    return {schema.prefix: schema for schema in [*known, *(current(name) for name in NAMES)]}
