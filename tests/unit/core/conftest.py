"""A small directory and a faultless header."""

from datetime import UTC, date, datetime

import pytest

from axis.core.addressing import Group, Level, Organisation, OrganisationCode
from axis.core.directory import Directory
from axis.core.envelope import Header, MessageId, Operation, Urgency

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


def organisation(code: str, *, valid_to: date | None = None, suspended: bool = False) -> Organisation:
    """A commune of the province, or the province itself."""
    level, parent = (Level.PROVINCE, None) if code == "H56" else (Level.COMMUNE, OrganisationCode("H56"))
    return Organisation(
        OrganisationCode(code), f"Cơ quan {code}", level, parent, None, date(2025, 7, 1), valid_to, suspended
    )


@pytest.fixture(scope="session")
def now() -> datetime:
    """The moment at which everything is judged."""
    return NOW


@pytest.fixture(scope="session")
def directory() -> Directory:
    """The province, three communes, one that ended, one that is suspended, and two groups."""
    return Directory(
        (
            *(organisation(code) for code in ("H56", "H56.1", "H56.2", "H56.3")),
            organisation("H56.8", valid_to=date(2026, 1, 1)),
            organisation("H56.9", suspended=True),
        ),
        (
            Group("@ba", "Ba xã", tuple(map(OrganisationCode, ("H56.1", "H56.2", "H56.3")))),
            Group("@mot", "Một xã", (OrganisationCode("H56.1"),)),
        ),
    )


@pytest.fixture
def header() -> Header:
    """A header that breaks no rule."""
    return Header(
        environment="test",
        message_id=MessageId("0191f5c6-7a3b-7c4d-8e9f-0123456789ab"),
        operation=Operation.NEW,
        document_id="17/UBND-VP",
        number="17",
        notation="UBND-VP",
        document_type="cong-van",
        subject="V/v triển khai",
        sender=OrganisationCode("H56"),
        recipients=("H56.1",),
        urgency=Urgency.NORMAL,
        created_at=NOW,
    )
