"""May this reader read what that writer wrote?

Inboxes are read years later and by nodes that upgrade at their own pace, so every current schema must read every
released one and every released reader must read the current one (FULL_TRANSITIVE).
"""

import json
from collections.abc import Callable, Iterator
from importlib.resources import files

from axis.schemas import registry


def current_text(name: str) -> str:
    """Return the JSON text of the schema that this version writes."""
    return (files("axis.schemas") / f"{name}.avsc").read_text("utf-8")


def faults(text_of: Callable[[str], str] = current_text) -> Iterator[str]:
    """Yield one line per incompatibility between current schemas and all released ones.

    Args:
        text_of: returns the JSON text of a current schema by name.
    """
    for version, name, old_text in registry.released():
        new, old = json.loads(text_of(name)), json.loads(old_text)
        for direction, reader, writer in (("reads", new, old), ("is read by", old, new)):
            for fault in _mismatches(reader, writer):
                yield f"{name}: the current schema no longer {direction} {version}: {fault}"


def _mismatches(reader: object, writer: object) -> list[str]:
    # The checker is a development dependency: only CI compares schemas.
    from avro.compatibility import (  # noqa: PLC0415
        ReaderWriterCompatibilityChecker,
        SchemaCompatibilityType,
    )
    from avro.schema import parse  # noqa: PLC0415

    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call] # the library leaves it unannotated
    result = checker.get_compatibility(parse(json.dumps(reader)), parse(json.dumps(writer)))
    if result.compatibility is SchemaCompatibilityType.compatible:
        return []
    return sorted(result.messages)


def main() -> None:
    """Print every fault and exit with 1 when there is one (`python -m axis.schemas.compatibility`)."""
    found = list(faults())
    for fault in found:
        print(fault)  # noqa: T201 - this is a command
    print(f"schema compatibility: {len(found)} faults")  # noqa: T201
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
