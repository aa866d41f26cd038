"""SHA-256 digests as values."""

from hashlib import sha256 as _sha256
from hmac import compare_digest
from typing import NewType

Digest = NewType("Digest", bytes)
"""32 bytes of SHA-256 (FIPS 180-4)."""

DIGEST_BYTES = 32


def sha256(content: bytes) -> Digest:
    """Return the SHA-256 of these bytes."""
    return Digest(_sha256(content).digest())


def digests_equal(left: bytes, right: bytes) -> bool:
    """Compare two digests in constant time; digests of other lengths than 32 bytes are never equal."""
    return len(left) == len(right) == DIGEST_BYTES and compare_digest(left, right)
