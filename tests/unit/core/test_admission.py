"""The rules of admission, each on its own and in their order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from axis.core.addressing import OrganisationCode
from axis.core.admission import admit, part_faults
from axis.core.directory import Directory
from axis.core.disposition import Reason
from axis.core.document_types import DOCUMENT_TYPES
from axis.core.envelope import Header
from axis.core.policy import AcceptancePolicy
from axis.errors import Refused

POLICY = AcceptancePolicy(max_recipients=3)
SECOND = timedelta(seconds=1)


def judge(
    header: Header,
    directory: Directory,
    now: datetime,
    *,
    signer: str | None = None,
    signed_at: datetime | None = None,
) -> None:
    """Judge a header that was signed and appended now."""
    admit(
        header,
        signer=OrganisationCode(signer or header.sender),
        signed_at=signed_at or now,
        appended_at=now,
        directory=directory,
        environment="test",
        policy=POLICY,
    )


def refusal(header: Header, directory: Directory, now: datetime, **facts: object) -> Refused:
    """The refusal that judging ends in."""
    with pytest.raises(Refused) as caught:
        judge(header, directory, now, **facts)  # type: ignore[arg-type] # as judge takes them
    return caught.value


def test_a_faultless_header_is_admitted(header: Header, directory: Directory, now: datetime) -> None:
    """Every one of the 29 types passes, at each limit."""
    for code in DOCUMENT_TYPES:
        judge(replace(header, document_type=code), directory, now)
    full = replace(header, subject="x" * 500, number="1" * 20, notation="y" * 60, document_id="z" * 200)
    judge(replace(full, recipients=("H56.1",) * 3, expires_at=now + SECOND), directory, now)
    first, last = datetime(2000, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, 23, 59, 59, tzinfo=UTC)
    judge(replace(header, created_at=first, due_at=last, expires_at=last), directory, now)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sender": "H56.1"}, Reason.SENDER_MISMATCH),
        ({"environment": "production"}, Reason.ENVIRONMENT_MISMATCH),
        ({"environment": ""}, Reason.ENVIRONMENT_MISMATCH),
        ({"message_id": "17"}, Reason.HEADER_MALFORMED),
        ({"message_id": "0191F5C6-7A3B-7C4D-8E9F-0123456789AB"}, Reason.HEADER_MALFORMED),
        ({"subject": "x" * 501}, Reason.HEADER_MALFORMED),
        ({"number": "1" * 21}, Reason.HEADER_MALFORMED),
        ({"notation": "x" * 61}, Reason.HEADER_MALFORMED),
        ({"document_id": "x" * 201}, Reason.HEADER_MALFORMED),
        ({"document_id": ""}, Reason.HEADER_MALFORMED),
        ({"document_type": "CV"}, Reason.HEADER_MALFORMED),
        ({"kind": "receipt"}, Reason.VERSION_UNKNOWN),
        ({"references": ("17/UBND",)}, Reason.HEADER_MALFORMED),
        ({"due_at": datetime(9999, 12, 31, 23, tzinfo=UTC)}, Reason.HEADER_MALFORMED),
        ({"due_at": datetime(2200, 1, 1, tzinfo=UTC)}, Reason.HEADER_MALFORMED),
        ({"expires_at": datetime(9999, 12, 31, 23, tzinfo=UTC)}, Reason.HEADER_MALFORMED),
        ({"created_at": datetime(1, 1, 1, tzinfo=UTC)}, Reason.HEADER_MALFORMED),
        ({"created_at": datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)}, Reason.HEADER_MALFORMED),
        ({"recipients": ()}, Reason.RECIPIENTS_EMPTY),
        ({"recipients": ("H56.1",) * 4}, Reason.RECIPIENTS_TOO_MANY),
    ],
)
def test_each_rule_is_kept(
    header: Header, directory: Directory, now: datetime, changes: dict[str, object], reason: Reason
) -> None:
    """One broken rule is one reason."""
    changed = replace(header, **changes)  # type: ignore[arg-type] # fields of a header
    assert refusal(changed, directory, now, signer="H56").reason == reason


@pytest.mark.parametrize("sender", ["H56.8", "H56.9", "H56.77"])
def test_who_may_not_send_is_refused(
    header: Header, directory: Directory, now: datetime, sender: str
) -> None:
    """An organisation that ended, is suspended or is unknown sends nothing, whatever its certificate says."""
    refused = refusal(replace(header, sender=OrganisationCode(sender)), directory, now)
    assert refused.reason == Reason.SENDER_NOT_ALLOWED
    assert directory.version in refused.detail


@pytest.mark.parametrize(
    ("signed_after", "admitted"),
    [
        (POLICY.max_clock_skew, True),
        (POLICY.max_clock_skew + SECOND, False),
        (-POLICY.max_signing_age, True),
        (-POLICY.max_signing_age - SECOND, False),
    ],
)
def test_the_signing_time_is_plausible(
    header: Header, directory: Directory, now: datetime, signed_after: timedelta, admitted: bool
) -> None:
    """A clock may be ahead by minutes, and an outbox may wait for weeks, not longer."""
    if admitted:
        judge(header, directory, now, signed_at=now + signed_after)
    else:
        refused = refusal(header, directory, now, signed_at=now + signed_after)
        assert refused.reason == Reason.SIGNING_TIME_SKEWED


def test_what_expired_is_refused_from_that_moment_on(
    header: Header, directory: Directory, now: datetime
) -> None:
    """The broker's time decides, to the moment itself."""
    assert refusal(replace(header, expires_at=now), directory, now).reason == Reason.EXPIRED
    judge(replace(header, expires_at=now + SECOND), directory, now)


def test_the_first_rule_broken_is_the_one_told(header: Header, directory: Directory, now: datetime) -> None:
    """Who it is comes before what it is, before for whom, before when."""
    broken = replace(
        header,
        sender=OrganisationCode("H56.9"),
        environment="demo",
        document_type="?",
        recipients=(),
        expires_at=now,
    )
    reasons = [refusal(broken, directory, now, signer="H56").reason]
    for mended in ({"environment": "test"}, {"document_type": "cong-van"}, {"recipients": ("H56.1",)}):
        reasons.append(refusal(broken, directory, now).reason)
        broken = replace(broken, **mended)
    reasons.append(refusal(broken, directory, now).reason)
    reasons.append(refusal(replace(broken, sender=OrganisationCode("H56")), directory, now).reason)
    assert reasons == [
        Reason.SENDER_MISMATCH,
        Reason.ENVIRONMENT_MISMATCH,
        Reason.HEADER_MALFORMED,
        Reason.RECIPIENTS_EMPTY,
        Reason.SENDER_NOT_ALLOWED,
        Reason.EXPIRED,
    ]


def test_a_refusal_tells_nothing_of_the_content(header: Header, directory: Directory, now: datetime) -> None:
    """A subject that is too long is not repeated, and what is repeated has no control characters."""
    secret = replace(header, subject="mật " * 200)
    assert "mật" not in refusal(secret, directory, now).detail
    forged = replace(header, environment="x\r\nlevel=error\x1b[31m")
    assert refusal(forged, directory, now).detail.isprintable()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), []),
        (("a.pdf", "b.pdf", "c.pdf"), []),
        (("a.pdf", "b.pdf", "c.pdf", "d.pdf"), [Reason.PARTS_TOO_MANY]),
        (("a.pdf", "../b.pdf", "A.PDF"), [Reason.PART_NAME_REFUSED] * 2),
    ],
)
def test_every_fault_of_the_parts_is_told(names: tuple[str, ...], expected: list[Reason]) -> None:
    """A header may come alone, as that of a recall; of names, each that misleads or was there before is a fault."""
    policy = AcceptancePolicy(max_parts=3)
    assert [fault.reason for fault in part_faults(names, policy)] == expected
