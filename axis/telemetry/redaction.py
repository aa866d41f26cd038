"""What a log event may carry: listed facts in plain form, everything else withheld.

The rules, in order, for each fact of an event:

1. A key with a word of `SENSITIVE_WORDS` is withheld, whatever its value.
2. Bytes become their length and the beginning of their SHA-256, so that two sightings can be compared.
3. An exception becomes its type, and its message where the message is known to hold no content.
4. A key that is not in `FACTS` is withheld: a new fact is hidden until somebody has decided that it may be seen.
5. Numbers, times, enums, paths and identifiers are written as text or number; text is cut and its control characters
   are escaped, so that no value can forge a line, colour a terminal or turn the reading direction.
6. Any other object is named by its type and never asked for its `repr`.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from enum import Enum
from hashlib import sha256
from pathlib import PurePath
from traceback import StackSummary, walk_tb
from typing import Final
from uuid import UUID

from axis.errors import AxisError

WITHHELD: Final = "[withheld]"
"""Stands where a value was not let through."""

FACTS: Final = frozenset(
    {
        # which consignment
        *("message_id", "sender", "partition", "offset"),
        # whose and where
        *("organisation", "recipient", "inbox", "issuer", "lane", "position", "task", "group"),
        *("topic", "topics", "partitions", "generation", "transactional_id"),
        *("bootstrap_servers", "broker", "host", "port"),
        # what
        *("operation", "priority", "stage", "reason", "result", "outcome", "outcome_unknown"),
        *("kind", "purpose", "status", "usage", "schema", "version"),
        *("envelope_digest", "receipt_digest", "certificate_digest", "certificate_serial"),
        *("directory_version", "policy_version", "config_hash", "in_force", "before"),
        # how much, how long, when
        *("count", "records", "consignments", "deliveries", "recipients", "receipts"),
        *("accepted", "refused", "quarantined", "duplicates", "restored_decisions", "attempt"),
        *("size_bytes", "limit_bytes", "lag_records", "lag_seconds", "age_seconds"),
        *("seconds", "duration_seconds", "retry_in_seconds", "delay_seconds", "deadline_seconds"),
        *("since", "until", "not_after"),
        # the software itself
        *("command", "instance", "exit_code", "pid", "signal", "path", "check", "got", "expected", "mend"),
        *("faults", "fault_type", "more_lines"),
    }
)
"""Keys whose values may be seen: identifiers, counts, times and states, never words of a document."""

SENSITIVE_WORDS: Final = frozenset(
    {
        *("key", "keys", "pem", "passphrase", "password", "passwd", "pin", "secret", "secrets"),
        *("token", "tokens", "credential", "credentials", "authorization", "cookie"),
        *("subject", "content", "body", "header", "headers", "payload", "text"),
        *("signature", "manifest", "attachment", "parts"),
    }
)
"""Words (between underscores, in any case) that make a key unprintable."""

MAX_TEXT_CHARACTERS: Final = 500
MAX_ITEMS: Final = 50
MAX_DEPTH: Final = 4
MAX_FRAMES: Final = 30
MAX_CAUSES: Final = 8
_DIGEST_CHARACTERS: Final = 16

# Messages of these say what the machine or the broker answered. Others, such as a codec's ValueError, may quote content.
_SPEAKING_ERRORS: Final = (AxisError, OSError)
_SPEAKING_MODULES: Final = ("aiokafka.", "asyncio.", "cimpl")  # cimpl is confluent_kafka's C module


def printable(text: str) -> str:
    """Return the text on one line, with control, format and unassigned characters as escapes, cut to 500 characters."""
    shown = text[:MAX_TEXT_CHARACTERS]
    if not shown.isprintable():
        shown = "".join(character if character.isprintable() else _escape(character) for character in shown)
    more = len(text) - MAX_TEXT_CHARACTERS
    return shown if more <= 0 else f"{shown}… (+{more} characters)"


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def redacted(facts: Mapping[str, object]) -> dict[str, object]:
    """Return the facts of one event as JSON values that may be written down."""
    return _mapping(facts, MAX_DEPTH)


def _mapping(facts: Mapping[str, object], depth: int) -> dict[str, object]:
    return {printable(str(key)): _value(str(key), value, depth) for key, value in facts.items()}


def _value(key: str, value: object, depth: int) -> object:
    if SENSITIVE_WORDS & set(key.lower().replace("-", "_").split("_")):
        return WITHHELD
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(bytes(value))} bytes sha256:{sha256(value).hexdigest()[:_DIGEST_CHARACTERS]}"
    if isinstance(value, BaseException):
        return f"{_type_name(value)}: {message_of(value)}"
    if key not in FACTS:
        return WITHHELD
    return _plain(key, value, depth)


def _plain(key: str, value: object, depth: int) -> object:
    match value:
        case Enum():
            return _plain(key, value.value, depth)
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | int() | float():
            return value
        case str() | UUID() | PurePath():
            return printable(str(value))
        case date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Mapping() if depth:
            return _mapping(value, depth - 1)
        case list() | tuple() | set() | frozenset() if depth:
            return _items(key, value, depth - 1)
        case _:
            return f"<{type(value).__qualname__}>"


def _items(key: str, values: Iterable[object], depth: int) -> list[object]:
    members = list(values)
    shown = [_value(key, value, depth) for value in members[:MAX_ITEMS]]
    return shown if len(members) <= MAX_ITEMS else [*shown, f"… (+{len(members) - MAX_ITEMS} items)"]


def _type_name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")


def message_of(error: BaseException) -> str:
    """Return an exception's message where its type promises to quote no content, else the mark of a withheld one."""
    if isinstance(error, _SPEAKING_ERRORS) or type(error).__module__.startswith(_SPEAKING_MODULES):
        return printable(str(error))
    return WITHHELD


def exception_facts(error: BaseException, causes: int = MAX_CAUSES) -> dict[str, object]:
    """Return an exception as JSON values: type, message, frames (innermost last, without locals) and its cause.

    Members of an exception group stand under `members`.
    """
    frames = StackSummary.extract(walk_tb(error.__traceback__), limit=-MAX_FRAMES, lookup_lines=False)
    facts: dict[str, object] = {
        "type": _type_name(error),
        "message": message_of(error),
        "frames": [printable(f"{frame.filename}:{frame.lineno} in {frame.name}") for frame in frames],
    }
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and causes:
        facts["cause"] = exception_facts(cause, causes - 1)
    if isinstance(error, BaseExceptionGroup) and causes:
        facts["members"] = [exception_facts(member, causes - 1) for member in error.exceptions[:MAX_ITEMS]]
    return facts
