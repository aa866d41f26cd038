"""Why a submission was not delivered: the closed list of reasons, and what follows from each.

Three questions decide what happens to a submission that breaks a rule:

1. *Is the sender established?* Only a signature that verifies under an enrolled certificate says who sent it. Before
   that point every reason leads to **quarantine**: there is nobody to answer.
2. *Does the reason follow from signed bytes alone?* Then the decision is final for this (sender, message id): it is
   **remembered** and repeated byte for byte. A reason that lies in unsigned bytes (a part damaged on the way, a blob
   not there) must not be remembered: whoever damages a copy would otherwise burn the message id of the genuine one.
   Nor may one that lies in the directory, in the time of arrival or in this version of the axis, which does not know
   yet what a later one sends: each may be right tomorrow.
3. Everything else is **refused** with a signed negative receipt that reaches the sender.
"""

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Stable reason codes; they appear in receipts, quarantine records and metrics, and are never renamed."""

    # The bytes cannot be read: nobody can be established.
    UNDECODABLE = "undecodable"
    SCHEMA_UNKNOWN = "schema-unknown"
    OVERSIZED = "oversized"
    # The signature does not say who sent it.
    SIGNATURE_MISSING = "signature-missing"
    SIGNATURE_MALFORMED = "signature-malformed"
    SIGNATURE_INVALID = "signature-invalid"
    ALGORITHM_REFUSED = "algorithm-refused"
    CERTIFICATE_UNTRUSTED = "certificate-untrusted"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_USAGE = "certificate-usage"
    CERTIFICATE_REVOKED = "certificate-revoked"
    CERTIFICATE_NOT_ENROLLED = "certificate-not-enrolled"
    INTERNAL_ERROR = "internal-error"
    # The sender is established; the fault lies in unsigned bytes, or in where the record was put.
    PART_ALTERED = "part-altered"
    PART_TOO_LARGE = "part-too-large"
    BLOB_MISSING = "blob-missing"
    INBOX_MISSING = "inbox-missing"
    WRONG_LANE = "wrong-lane"
    WRONG_PARTITION = "wrong-partition"
    # The sender is established; the fault lies in signed bytes.
    MANIFEST_MALFORMED = "manifest-malformed"
    PART_NAME_REFUSED = "part-name-refused"
    HEADER_MALFORMED = "header-malformed"
    VERSION_UNKNOWN = "version-unknown"
    HEADER_TOO_LARGE = "header-too-large"
    PARTS_TOO_MANY = "parts-too-many"
    SENDER_MISMATCH = "sender-mismatch"
    SENDER_NOT_ALLOWED = "sender-not-allowed"
    ENVIRONMENT_MISMATCH = "environment-mismatch"
    RECIPIENTS_EMPTY = "recipients-empty"
    RECIPIENTS_TOO_MANY = "recipients-too-many"
    RECIPIENT_UNKNOWN = "recipient-unknown"
    RECIPIENT_NOT_ALLOWED = "recipient-not-allowed"
    EXPIRED = "expired"
    SIGNING_TIME_SKEWED = "signing-time-skewed"
    MESSAGE_ID_CONFLICT = "message-id-conflict"
    RECEIPT_NOT_ALLOWED = "receipt-not-allowed"


UNESTABLISHED: Final = frozenset(
    {
        Reason.UNDECODABLE,
        Reason.SCHEMA_UNKNOWN,
        Reason.OVERSIZED,
        Reason.SIGNATURE_MISSING,
        Reason.SIGNATURE_MALFORMED,
        Reason.SIGNATURE_INVALID,
        Reason.ALGORITHM_REFUSED,
        Reason.CERTIFICATE_UNTRUSTED,
        Reason.CERTIFICATE_EXPIRED,
        Reason.CERTIFICATE_USAGE,
        Reason.CERTIFICATE_REVOKED,
        Reason.CERTIFICATE_NOT_ENROLLED,
        Reason.INTERNAL_ERROR,
    }
)
"""Reasons that leave the sender unknown: quarantine."""

UNREMEMBERED: Final = frozenset(
    {
        Reason.PART_ALTERED,
        Reason.PART_TOO_LARGE,
        Reason.BLOB_MISSING,
        Reason.INBOX_MISSING,
        Reason.WRONG_LANE,
        Reason.WRONG_PARTITION,
        Reason.VERSION_UNKNOWN,
        Reason.MESSAGE_ID_CONFLICT,
        Reason.SENDER_NOT_ALLOWED,
        Reason.RECIPIENT_UNKNOWN,
        Reason.RECIPIENT_NOT_ALLOWED,
        Reason.RECIPIENTS_TOO_MANY,
        Reason.EXPIRED,
        Reason.SIGNING_TIME_SKEWED,
    }
)
"""Refusals that say nothing final about the message id: they are answered but not kept in the decision store."""

MISPLACED: Final = frozenset({Reason.WRONG_LANE, Reason.WRONG_PARTITION})
"""Refusals of a copy for where it stands; they come before every other one that says who sent it."""


class Disposition(StrEnum):
    """What became of a submission."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    QUARANTINED = "quarantined"
    DUPLICATE = "duplicate"


def disposition_of(reason: Reason) -> Disposition:
    """Return whether a submission with this reason is refused (the sender is told) or quarantined (nobody to tell)."""
    return Disposition.QUARANTINED if reason in UNESTABLISHED else Disposition.REFUSED
