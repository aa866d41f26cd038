"""Digests are compared whole."""

import pytest

from axis.core.digest import Digest, digests_equal, sha256


def test_sha256_is_the_one_of_fips_180() -> None:
    """The empty input has the digest that FIPS 180-4 gives."""
    assert sha256(b"").hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_digests_of_other_lengths_are_never_equal(length: int) -> None:
    """Something that is no SHA-256 equals nothing, not even itself."""
    assert not digests_equal(bytes(length), bytes(length))


def test_only_the_same_digest_is_equal() -> None:
    """One bit makes another digest."""
    digest = sha256(b"content")
    assert digests_equal(digest, bytes(digest))
    assert not digests_equal(digest, Digest(bytes([digest[0] ^ 1]) + digest[1:]))
