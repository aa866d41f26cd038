from datetime import UTC, datetime

import pytest

from axis.crypto.authority import Credential, create_authority, issue_signing
from axis.crypto.keys import SigningIdentity


@pytest.fixture(scope="session")
def now() -> datetime:
    """The moment at which every certificate of these tests is issued."""
    return datetime(2026, 11, 22, 1, 30, tzinfo=UTC)


@pytest.fixture(scope="session")
def authority(now: datetime) -> Credential:
    """A development CA."""
    return create_authority(now)


@pytest.fixture(scope="session")
def identity(authority: Credential, now: datetime) -> SigningIdentity:
    """The P-256 signing identity of a commune."""
    credential = issue_signing(authority, "H56.24.7", "Ủy ban nhân dân xã Hoằng Tiến", now)
    return SigningIdentity(credential.key, credential.certificate, (authority.certificate,))
