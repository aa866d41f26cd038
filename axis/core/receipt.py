"""Receipts: signed statements about one event in the life of a consignment.

Event names follow ETSI EN 319 522-1 (electronic registered delivery: evidence and identification). The axis signs one
receipt per consignment that lists every recipient; recipients sign their own receipts of hand-over.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from axis.core.addressing import OrganisationCode
from axis.core.digest import Digest, sha256
from axis.core.envelope import MessageId


class Event(StrEnum):
    """The event that a receipt attests."""

    SUBMISSION_ACCEPTANCE = "SUBMISSION_ACCEPTANCE"
    SUBMISSION_REJECTION = "SUBMISSION_REJECTION"
    CONTENT_HANDOVER = "CONTENT_HANDOVER"
    INBOX_OPENED = "INBOX_OPENED"

    @property
    def by_axis(self) -> bool:
        """Whether only the axis may attest this event; the others are the recipient's to attest."""
        return self is not Event.CONTENT_HANDOVER


class Outcome(StrEnum):
    """What an event meant for one recipient."""

    CONSIGNED = "CONSIGNED"
    REFUSED = "REFUSED"
    HANDED_OVER = "HANDED_OVER"


@dataclass(frozen=True, slots=True)
class RecipientOutcome:
    """The outcome for one recipient.

    Attributes:
        recipient: an organisation code; for a refused one, the text that the sender wrote.
        reason: why it was refused; None otherwise.
    """

    recipient: str
    outcome: Outcome
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SignatureRecord:
    """The facts about the submission's signature that the decision rests on.

    Attributes:
        algorithm: e.g. "ecdsa-p256-sha256".
        legacy: an algorithm that is still accepted but not to be used for new signatures.
        certificate_digest: SHA-256 of the signer's certificate (DER).
        signed_at: the signing time that the signer claims.
        revocation: what was known about revocation at that time.
    """

    algorithm: str
    legacy: bool
    certificate_digest: Digest
    signed_at: datetime
    revocation: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where the record that a receipt is about stands in Kafka."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """A statement about one event; what is signed is its exact Avro encoding.

    Attributes:
        message_id: the consignment's; None where the submission's header could not be read.
        envelope_digest: identity of the envelope that the event concerns.
        sender: the organisation that signed the submission (for INBOX_OPENED: the inbox's owner).
        issuer: the organisation that signs this receipt.
        outcomes: one per recipient, in the order of delivery.
        reason: why the submission was refused as a whole, a code of `axis.core.disposition.Reason` or, in a receipt
            written by a later version, one that this version does not know; None otherwise.
        detail: what was got and expected, in English, without content.
        status: edXML status code (01-06, 13, 15, 16) of a recipient's receipt; None for the axis's own.
        directory_version: the directory by which it was judged.
        policy_version: the acceptance policy by which it was judged.
        source: the record it is about; None for a recipient's receipt.
    """

    event: Event
    environment: str
    message_id: MessageId | None
    envelope_digest: Digest
    sender: OrganisationCode
    issuer: OrganisationCode
    occurred_at: datetime
    outcomes: tuple[RecipientOutcome, ...]
    directory_version: str
    policy_version: str
    reason: str | None = None
    detail: str | None = None
    status: str | None = None
    signature: SignatureRecord | None = None
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt as it travels: the exact bytes of the statement and a detached CMS signature over them."""

    statement: bytes
    signature: bytes

    @property
    def digest(self) -> Digest:
        """The identity of this receipt: SHA-256 of the statement."""
        return sha256(self.statement)
