"""Who may attest what, and the rules that a recipient's receipt must keep before it enters the legal record.

A recipient may attest one thing alone: that a document was handed over to itself. Whatever else a statement could hold
is refused, because it would be kept for twenty years under the recipient's signature and shown to the sender.
"""

from datetime import datetime
from typing import Final

from axis.core.addressing import OrganisationCode
from axis.core.directory import Directory
from axis.core.disposition import Reason
from axis.core.envelope import is_message_id
from axis.core.policy import AcceptancePolicy
from axis.core.receipt import Event, Outcome, Receipt, RecipientOutcome
from axis.errors import Refused

_STATUSES: Final = frozenset({"01", "02", "03", "04", "05", "06", "13", "15", "16"})
"""QCVN 102:2016, the states of a document at its recipient."""

_MAX_VERSION_CHARACTERS: Final = 100


def admit_handover(
    receipt: Receipt,
    *,
    issuer: OrganisationCode,
    signed_at: datetime,
    appended_at: datetime,
    directory: Directory,
    environment: str,
    policy: AcceptancePolicy,
) -> None:
    """Judge a recipient's receipt by what it says.

    Args:
        receipt: the statement.
        issuer: the organisation whose enrolled key signed it.
        signed_at: the signing time that the signature claims.
        appended_at: when the broker took the record.
        directory: who exists.
        environment: the name of this installation.
        policy: the limits.

    Raises:
        Refused: with the first rule broken.
    """
    _check_statement(receipt, issuer)
    if receipt.environment != environment:
        raise Refused(
            Reason.ENVIRONMENT_MISMATCH,
            f"got {receipt.environment!a:.70}, this installation is {environment!a}",
        )
    if receipt.sender not in directory:
        raise Refused(
            Reason.RECIPIENT_UNKNOWN,
            f"the sender that it is for, {receipt.sender!a:.40}, is not in the directory",
        )
    if signed_at > appended_at + policy.max_clock_skew:
        raise Refused(
            Reason.SIGNING_TIME_SKEWED,
            f"signed at {signed_at:%Y-%m-%dT%H:%M:%SZ}, taken at {appended_at:%Y-%m-%dT%H:%M:%SZ}: the recipient's"
            f" clock is ahead by more than {policy.max_clock_skew}",
        )
    if abs(receipt.occurred_at - signed_at) > policy.max_clock_skew:
        raise Refused(
            Reason.SIGNING_TIME_SKEWED,
            f"it says that it happened at {receipt.occurred_at.isoformat()} and was signed at"
            f" {signed_at:%Y-%m-%dT%H:%M:%SZ}, expected both within {policy.max_clock_skew}",
        )


def fault_of_receipt(receipt: Receipt, axis: OrganisationCode, environment: str) -> Refused | None:
    """Return why a receipt whose signature holds attests nothing here, None when it does.

    Args:
        receipt: the statement, by its established issuer.
        axis: the node that alone may attest what the axis did.
        environment: name of this installation.
    """
    if receipt.environment != environment:
        return Refused(
            Reason.ENVIRONMENT_MISMATCH,
            f"the receipt is of {receipt.environment!a:.70}, this installation is {environment!a}",
        )
    if receipt.event.by_axis and receipt.issuer != axis:
        return Refused(
            Reason.RECEIPT_NOT_ALLOWED,
            f"{receipt.issuer} attests {receipt.event} of {receipt.message_id!a:.60}, which is for {axis} alone",
        )
    return None


def _check_statement(receipt: Receipt, issuer: OrganisationCode) -> None:
    expected = (RecipientOutcome(issuer, Outcome.HANDED_OVER),)
    if (
        receipt.event is not Event.CONTENT_HANDOVER
        or not is_message_id(receipt.message_id or "")
        or receipt.outcomes != expected
    ):
        raise Refused(
            Reason.RECEIPT_NOT_ALLOWED,
            f"{issuer} may attest the hand-over to itself only, got {receipt.event}",
        )
    if receipt.status not in _STATUSES:
        raise Refused(
            Reason.RECEIPT_NOT_ALLOWED,
            f"got status {receipt.status!a:.20}, expected one of {', '.join(sorted(_STATUSES))}",
        )
    if any(each is not None for each in (receipt.reason, receipt.detail, receipt.signature, receipt.source)):
        raise Refused(
            Reason.RECEIPT_NOT_ALLOWED,
            "a reason, a detail, a signature record and a source are the axis's to state; leave them null",
        )
    if max(len(receipt.directory_version), len(receipt.policy_version)) > _MAX_VERSION_CHARACTERS:
        raise Refused(
            Reason.RECEIPT_NOT_ALLOWED,
            f"the name of a version has more than {_MAX_VERSION_CHARACTERS} characters",
        )
