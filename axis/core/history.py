"""A history as an auditor reads it: what stands where, and what its bytes were found to be.

These are facts, established by verifying each record anew; nothing here relies on what the axis says of itself.
"""

from dataclasses import dataclass, replace

from axis.core.digest import Digest
from axis.core.receipt import Event, Outcome, Receipt, Source


@dataclass(frozen=True, slots=True)
class EstablishedEnvelope:
    """An envelope whose signer is established.

    Attributes:
        signer: the organisation that the signing certificate is enrolled for.
        digest: the envelope's identity.
        message_id: the consignment's; None where the header is not the signed one, cannot be read or has no usable id.
        intact: whether header and parts are what was signed.
    """

    signer: str
    digest: Digest
    message_id: str | None
    intact: bool


@dataclass(frozen=True, slots=True)
class EstablishedReceipt:
    """A receipt whose issuer is established; the fields are those of `axis.core.receipt.Receipt`.

    Attributes:
        digest: the receipt's own identity.
        consigned: the organisations that the document went to.
    """

    digest: Digest
    event: Event
    issuer: str
    sender: str
    message_id: str | None
    envelope_digest: Digest
    consigned: tuple[str, ...] = ()
    reason: str | None = None
    source: Source | None = None

    @classmethod
    def of(cls, digest: Digest, receipt: Receipt) -> "EstablishedReceipt":
        """Return what a verified receipt states, without what no comparison needs."""
        return cls(
            digest=digest,
            event=receipt.event,
            issuer=receipt.issuer,
            sender=receipt.sender,
            message_id=receipt.message_id,
            envelope_digest=receipt.envelope_digest,
            consigned=tuple(o.recipient for o in receipt.outcomes if o.outcome is Outcome.CONSIGNED),
            reason=receipt.reason,
            source=receipt.source,
        )


@dataclass(frozen=True, slots=True)
class Unestablished:
    """Bytes that say of nobody that they sent them; `reason` is a code of `axis.core.disposition.Reason`."""

    reason: str


Content = EstablishedEnvelope | EstablishedReceipt | Unestablished


@dataclass(frozen=True, slots=True)
class Entry:
    """A record of a submission lane, of the receipts or of an inbox.

    Attributes:
        place: where it stands.
        value: SHA-256 of the record's value, to the last byte.
        content: what the value was found to be.
    """

    place: Source
    value: Digest
    content: Content


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """A readable record of the quarantine.

    Attributes:
        place: where it stands.
        source: where the parked record stood.
        value: SHA-256 of the parked value; None where there was none, or where it was too large to be kept.
        reason: why it was parked, a code of `axis.core.disposition.Reason`.
        key: the key that it was submitted under: the claimed sender.
    """

    place: Source
    source: Source
    value: Digest | None
    reason: str
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class LaneScope:
    """Which offsets of one submission partition are judged.

    Attributes:
        first: the first offset that is judged: where retention or the period asked for begins.
        until: the first offset that is judged no more; at most the router's committed position.
        committed: the router's committed position: what stands there or behind is not decided yet.
    """

    first: int
    until: int
    committed: int

    def judges(self, offset: int) -> bool:
        """Tell whether the record at this offset must have its fate."""
        return self.first <= offset < self.until


def shown(place: Source) -> str:
    """Return a place as people and findings write it."""
    return f"{place.topic}/{place.partition}/{place.offset}"


def sharing(receipt: EstablishedReceipt, submission: Entry) -> EstablishedReceipt:
    """Return the receipt with the submission's own objects for equal values: there may be millions of them."""
    envelope = submission.content
    if not isinstance(envelope, EstablishedEnvelope):
        return receipt
    if (envelope.digest, envelope.message_id) != (receipt.envelope_digest, receipt.message_id):
        return receipt
    return replace(
        receipt,
        sender=envelope.signer if receipt.sender == envelope.signer else receipt.sender,
        envelope_digest=envelope.digest,
        message_id=envelope.message_id,
    )


def contradiction(receipt: EstablishedReceipt, submission: Entry) -> str | None:
    """Return in what a decision of the axis is not about what stands at its source; None when it fits."""
    accepted = receipt.event is Event.SUBMISSION_ACCEPTANCE
    match submission.content:
        case Unestablished(reason=reason):
            return f"{receipt.event} for {receipt.sender}, but the record establishes nobody ({reason})"
        case EstablishedEnvelope() as envelope:
            got = (receipt.sender, receipt.envelope_digest, receipt.message_id)
            if got != (envelope.signer, envelope.digest, envelope.message_id):
                return "sender, digest or message id are not those of the envelope that stands there"
            return (
                "accepted, but header or parts are not what was signed"
                if accepted and not envelope.intact
                else None
            )
        case EstablishedReceipt() as submitted:
            if accepted or (receipt.sender, receipt.envelope_digest) != (submitted.issuer, submitted.digest):
                return f"{receipt.event} does not fit the receipt that stands there"
            return None
