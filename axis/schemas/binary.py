"""Avro's binary encoding (specification, "Binary encoding") of the few types that the router's own records have.

The general encoder takes ten times as long, and a router writes three such records for every document. The codec's
property tests hold what is written here to the schemas.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

NULL: Final = b"\x00"
"""The branch of a union with null that is null; the null itself has no bytes. `NOT_NULL` is the other branch."""
NOT_NULL: Final = b"\x02"
END_OF_ARRAY: Final = b"\x00"
FALSE: Final = b"\x00"
TRUE: Final = b"\x01"

_SEVEN_BITS: Final = 0x7F
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def long(value: int) -> bytes:
    """Return an `int`, `long`, or the index of an enum's symbol: zigzag, seven bits a byte."""
    left = value << 1 if value >= 0 else (-value << 1) - 1
    if left <= _SEVEN_BITS:
        return bytes((left,))
    encoded = bytearray()
    while left > _SEVEN_BITS:
        encoded.append(left & _SEVEN_BITS | 0x80)
        left >>= 7
    encoded.append(left)
    return bytes(encoded)


def content(value: bytes) -> bytes:
    """Return `bytes`: the length and the content."""
    return long(len(value)) + value


def string(value: str) -> bytes:
    """Return a `string`: the length in UTF-8 and the text."""
    return content(value.encode())


@lru_cache(maxsize=4096)
def name(value: str) -> bytes:
    """Return a `string` that comes again and again: a code, a version, a topic. Never a text that a stranger chose."""
    return string(value)


def optional_string(value: str | None) -> bytes:
    """Return a union of null and string."""
    return NULL if value is None else NOT_NULL + string(value)


def timestamp(value: datetime) -> bytes:
    """Return a `timestamp-millis` of an aware time; what is below a millisecond is cut off."""
    return long((value - _EPOCH) // _MILLISECOND)
