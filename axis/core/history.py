"""A history as an auditor reads it: what stands where, and what its bytes were found to be.

These are facts, established by verifying each record anew; nothing here relies on what the axis says of itself.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache

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
class Rules:
    """By what a submission is judged.

    Attributes:
        directory: version of the directory.
        policy: version of the acceptance policy.
    """

    directory: str
    policy: str


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must become of a submission, by its bytes, its place and its append time.

    Attributes:
        reason: why it has to be refused, a code of `axis.core.disposition.Reason`; None when it has to pass.
        consigned: the organisations that an envelope has to go to, sorted.
        refused: the recipients that it cannot go to, each with the reason, in the order of a receipt.
        expires_at: when an envelope that has to pass may pass no more.
        stored: whether parts of it stand in the blob store, where an auditor cannot look.
    """

    reason: str | None = None
    consigned: tuple[str, ...] = ()
    refused: tuple[tuple[str, str | None], ...] = ()
    expires_at: datetime | None = None
    stored: bool = False


@dataclass(frozen=True, slots=True)
class EstablishedReceipt:
    """A receipt whose issuer is established; the fields are those of `axis.core.receipt.Receipt`.

    Attributes:
        digest: the receipt's own identity.
        consigned: the organisations that the document went to.
        refused: the recipients that it did not go to, each with the reason.
        rules: by what the submission was judged.
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
    refused: tuple[tuple[str, str | None], ...] = ()
    rules: Rules = field(kw_only=True)
    occurred_at: datetime = field(kw_only=True)
    status: str | None = field(default=None, kw_only=True)

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
            refused=tuple((o.recipient, o.reason) for o in receipt.outcomes if o.outcome is Outcome.REFUSED),
            rules=_rules(receipt.directory_version, receipt.policy_version),
            occurred_at=receipt.occurred_at,
            status=receipt.status,
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
        expected: what must become of it, of a submission that establishes somebody.
    """

    place: Source
    value: Digest
    content: Content
    expected: Expectation | None = None


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
        committed: the router's committed position before the outputs were read: what stands there or behind is not
            decided yet.
        beginning: the first offset that is kept.
        end: the offset after the last record, looked up after all outputs.
    """

    first: int
    until: int
    committed: int
    beginning: int
    end: int

    def judges(self, offset: int) -> bool:
        """Tell whether the record at this offset must have its fate."""
        return self.first <= offset < self.until


@lru_cache(maxsize=256)
def _rules(directory: str, policy: str) -> Rules:
    """Return one object for equal versions: there may be millions of receipts."""
    return Rules(directory, policy)


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
