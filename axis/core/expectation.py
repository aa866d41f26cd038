"""Decisions of the axis, judged once more: is what was decided what had to be decided?

What follows from the bytes, their place and their append time is judged whatever the receipt says that it was judged by.
What follows from the directory or from a limit of the policy can be judged only where the receipt names the auditor's own.
"""

from collections.abc import Iterator
from enum import Enum, auto
from typing import Final, NamedTuple

from axis.core.disposition import MISPLACED, Reason
from axis.core.findings import FindingKind
from axis.core.history import EstablishedReceipt, Expectation, Rules
from axis.core.receipt import Event

BY_DIRECTORY: Final = frozenset(
    {
        Reason.SENDER_NOT_ALLOWED,
        Reason.RECIPIENT_UNKNOWN,
        Reason.RECIPIENT_NOT_ALLOWED,
        Reason.RECIPIENTS_TOO_MANY,
    }
)
"""Reasons that another directory may give or take away."""

_BY_POLICY: Final = frozenset(
    {
        Reason.VERSION_UNKNOWN,
        Reason.HEADER_TOO_LARGE,
        Reason.PARTS_TOO_MANY,
        Reason.PART_NAME_REFUSED,
        Reason.PART_TOO_LARGE,
        Reason.RECIPIENTS_TOO_MANY,
        Reason.SIGNING_TIME_SKEWED,
    }
)
_BY_BLOB: Final = frozenset({Reason.BLOB_MISSING, Reason.PART_ALTERED})


class Difference(NamedTuple):
    """In what a decision is not the one expected."""

    kind: FindingKind
    detail: str


class Open(Enum):
    """What the receipt and the submission alone do not tell."""

    OUTSIDE = auto()  # a blob or an inbox was not there
    OTHER_RULES = auto()  # another directory or policy may have said so
    BY_EARLIER = auto()  # it depends on what was decided before about the same message id


def judge(
    receipt: EstablishedReceipt, expected: Expectation, rules: Rules, *, handover: bool = False
) -> tuple[Difference, ...] | Open:
    """Compare a decision of the axis with the one expected.

    Args:
        receipt: an acceptance or rejection.
        expected: what must become of the submission that it is about.
        rules: by what that was judged.
        handover: whether the submission is a recipient's receipt.
    """
    elsewhere: frozenset[Reason] = frozenset()
    if receipt.rules.directory != rules.directory:
        elsewhere |= BY_DIRECTORY
    if receipt.rules.policy != rules.policy:
        elsewhere |= _BY_POLICY
    if receipt.event is Event.SUBMISSION_ACCEPTANCE:
        return _judge_acceptance(receipt, expected, elsewhere)
    return _judge_refusal(receipt, expected, elsewhere, handover=handover)


def absent_recipients(receipt: EstablishedReceipt) -> tuple[str, ...]:
    """Return the recipients that an acceptance says have no inbox."""
    return tuple(recipient for recipient, reason in receipt.refused if reason == Reason.INBOX_MISSING)


def _judge_acceptance(
    receipt: EstablishedReceipt, expected: Expectation, elsewhere: frozenset[Reason]
) -> tuple[Difference, ...] | Open:
    if expected.reason is not None:
        if expected.reason in elsewhere:
            return Open.OTHER_RULES
        detail = f"accepted, expected its refusal as {expected.reason}"
        return (Difference(FindingKind.ACCEPTANCE_UNFOUNDED, detail),)
    if expected.expires_at is not None and expected.expires_at <= receipt.occurred_at:
        detail = (
            f"accepted at {receipt.occurred_at.isoformat()}, it expired at {expected.expires_at.isoformat()}"
        )
        return (Difference(FindingKind.ACCEPTANCE_UNFOUNDED, detail),)
    absent = absent_recipients(receipt)
    meant = tuple(sorted((*receipt.consigned, *absent)))
    refused = tuple(each for each in receipt.refused if each[1] != Reason.INBOX_MISSING)
    if (meant, refused) == (expected.consigned, expected.refused):
        return Open.OUTSIDE if absent else ()
    if Reason.RECIPIENT_UNKNOWN in elsewhere:
        return Open.OTHER_RULES
    return tuple(_recipient_differences(meant, expected)) or (
        Difference(
            FindingKind.REFUSAL_UNFOUNDED,
            f"states {len(meant)} recipients and refuses {refused}, expected {len(expected.consigned)} and"
            f" {expected.refused}",
        ),
    )


def _recipient_differences(meant: tuple[str, ...], expected: Expectation) -> Iterator[Difference]:
    dropped, added = set(expected.consigned).difference(meant), set(meant).difference(expected.consigned)
    if dropped:
        yield Difference(FindingKind.RECIPIENT_DROPPED, f"not consigned to {', '.join(sorted(dropped))}")
    if added:
        yield Difference(
            FindingKind.RECIPIENT_ADDED, f"consigned to {', '.join(sorted(added))}, which it is not for"
        )


def _judge_refusal(
    receipt: EstablishedReceipt, expected: Expectation, elsewhere: frozenset[Reason], *, handover: bool
) -> tuple[Difference, ...] | Open:
    reason = receipt.reason
    if reason is not None and reason == expected.reason:
        return ()
    if reason == Reason.MESSAGE_ID_CONFLICT and expected.reason not in MISPLACED:
        return Open.BY_EARLIER
    if expected.reason is None:
        expired = expected.expires_at is not None and expected.expires_at <= receipt.occurred_at
        if reason == Reason.EXPIRED and expired:
            return ()
        if reason == Reason.INBOX_MISSING or (reason in _BY_BLOB and expected.stored):
            return Open.OUTSIDE
        if handover and reason in {Reason.RECEIPT_NOT_ALLOWED, Reason.SIGNING_TIME_SKEWED}:
            return Open.BY_EARLIER
    if reason in elsewhere or expected.reason in elsewhere:
        return Open.OTHER_RULES
    detail = f"refused as {reason}, expected {expected.reason or 'its acceptance'}"
    return (Difference(FindingKind.REFUSAL_UNFOUNDED, detail),)
