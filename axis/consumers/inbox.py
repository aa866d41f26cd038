"""Read an organisation's inbox: verify every record, keep it in the journal, hand it on.

An inbox carries documents for the organisation, and receipts about what it sent. Nothing unverified passes: a record
that is not what it claims to be is reported as `Rejected` and goes no further, whoever managed to write it there.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from axis.consumers.verify import VerifiedEnvelope, VerifiedReceipt, Verifier
from axis.core.addressing import Directory, OrganisationCode
from axis.core.admission import check_environment, check_fields, check_sender
from axis.core.consignment import STEP_OF, Step, advance
from axis.core.digest import Digest, digests_equal
from axis.core.disposition import Reason
from axis.core.envelope import Envelope, Header
from axis.core.receipt import Event, Outcome, Receipt, SignedReceipt
from axis.core.routing import consigned
from axis.core.topics import inbox_topic
from axis.errors import IllegalTransition, IntegrityError, Refused
from axis.ports import BusReader, DirectorySource, PartitionId, Record
from axis.schemas import avro
from axis.storage.journal import Journal, StoredDelivery, StoredReceipt, StoredSubmission


@dataclass(frozen=True, slots=True)
class Document:
    """A verified document for this organisation; `repeated` when the journal had it already."""

    offset: int
    delivered_at: datetime
    header: Header
    envelope: Envelope
    digest: Digest
    repeated: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """A verified receipt about something this organisation sent; `repeated` when the journal had it already."""

    offset: int
    receipt: Receipt
    digest: Digest
    repeated: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """The axis's statement that this inbox begins here."""

    offset: int
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that is not passed on, and why."""

    offset: int
    reason: str
    detail: str


Entry = Document | Answer | Opened | Rejected


class Inbox:
    """The inbox of one organisation.

    Args:
        owner: its code.
        axis: code of the axis node, whose receipts are the axis's.
        environment: name of the installation.
        reader: reads the inbox topic.
        verifier: establishes who signed.
        directory: who exists.
        journal: the organisation's journal.
    """

    def __init__(
        self,
        *,
        owner: OrganisationCode,
        axis: OrganisationCode,
        environment: str,
        reader: BusReader,
        verifier: Verifier,
        directory: DirectorySource,
        journal: Journal,
    ) -> None:
        self._owner = owner
        self._axis = axis
        self._environment = environment
        self._reader = reader
        self._verifier = verifier
        self._directory = directory
        self._journal = journal
        self._place = PartitionId(inbox_topic(owner), 0)

    async def synchronise(self) -> AsyncIterator[Sequence[Entry]]:
        """Read what is new until now, in batches; each batch is in the journal, with the position, before it is yielded.

        Raises:
            Unavailable: no broker answers, or the journal cannot be written.
        """
        start = self._journal.position(self._place.topic)
        async for records in self._reader.read_to_end({self._place: start}):
            yield self._keep(records)

    async def follow(self) -> AsyncIterator[Sequence[Entry]]:
        """Read for ever, as `synchronise` does; an empty batch when nothing came for a while."""
        start = self._journal.position(self._place.topic)
        async for records in self._reader.read({self._place: start}):
            yield self._keep(records) if records else ()

    def _keep(self, records: Sequence[Record]) -> list[Entry]:
        directory = self._directory.current()
        with self._journal.together():
            entries = [self._entry(record, directory) for record in records]
            self._journal.set_position(self._place.topic, records[-1].offset + 1)
        return entries

    def _entry(self, record: Record, directory: Directory) -> Entry:
        try:
            verified = self._verified(record, directory)
            match verified:
                case VerifiedEnvelope():
                    return self._document(record, verified, directory)
                case VerifiedReceipt():
                    return self._receipt(record, verified)
        except Refused as refusal:
            return Rejected(record.offset, refusal.reason, refusal.detail)
        except IllegalTransition as error:
            return Rejected(record.offset, "receipt-out-of-order", str(error))

    def _verified(self, record: Record, directory: Directory) -> VerifiedEnvelope | VerifiedReceipt:
        try:
            return self._verifier.verify(record.value, directory, record.appended_at, as_signed=True)
        except Refused:
            raise
        except Exception as error:
            # One record must never stop an inbox; it stays in Kafka and is named by its offset.
            raise Refused(
                Reason.INTERNAL_ERROR, f"{type(error).__name__} while verifying the record"
            ) from error

    def _document(self, record: Record, verified: VerifiedEnvelope, directory: Directory) -> Document:
        if verified.fault is not None or verified.header is None:
            raise verified.fault or Refused("header-malformed", "the envelope has no header")
        header = verified.header
        check_sender(header, verified.signer)
        check_environment(header, self._environment)
        check_fields(header)
        self._check_addressed(header, directory, record.appended_at)
        fresh = self._journal.add_delivery(
            StoredDelivery(
                header.sender,
                header.message_id,
                verified.digest,
                record.value or b"",
                record.appended_at,
                receipt=None,
                receipt_appended=False,
            )
        )
        if not fresh:
            self._check_same_copy(header, verified.digest)
        return Document(
            record.offset, record.appended_at, header, verified.envelope, verified.digest, repeated=not fresh
        )

    def _check_addressed(self, header: Header, directory: Directory, at: datetime) -> None:
        """A copy of somebody else's document proves nothing here: the recipients are part of what is signed."""
        for recipient in header.recipients:
            try:
                if recipient == self._owner or self._owner in directory.resolve(recipient, header.sender, at):
                    return
            except Refused:
                continue  # another recipient of the list that this directory does not know
        raise Refused("not-addressed", f"the document from {header.sender} does not name {self._owner}")

    def _check_same_copy(self, header: Header, digest: Digest) -> None:
        prior = self._journal.delivery(header.sender, header.message_id)
        if prior is None or not digests_equal(prior.digest, digest):
            raise Refused(
                "message-id-conflict",
                f"{header.sender} already sent another document under {header.message_id}; the first one stands",
            )

    def _receipt(self, record: Record, verified: VerifiedReceipt) -> Answer | Opened:
        receipt = verified.receipt
        if receipt.environment != self._environment:
            raise Refused("environment-mismatch", f"the receipt is of {receipt.environment!a:.70}")
        if receipt.event is Event.INBOX_OPENED:
            self._check_issuer(verified, self._axis)
            if receipt.sender != self._owner:
                raise Refused("receipt-not-ours", f"it opens the inbox of {receipt.sender}")
            return Opened(record.offset, receipt)
        submission = self._submission_of(receipt)
        if receipt.event.by_axis:
            self._check_issuer(verified, self._axis)
            step = STEP_OF[receipt.event]
        else:
            step = self._handover_step(verified, submission)
        fresh = self._journal.add_receipt(
            StoredReceipt(
                verified.digest,
                submission.message_id,
                receipt.event,
                receipt.issuer,
                record.value or b"",
                record.appended_at,
            )
        )
        self._journal.set_state(submission.message_id, advance(submission.state, step))
        return Answer(record.offset, receipt, verified.digest, repeated=not fresh)

    def _submission_of(self, receipt: Receipt) -> StoredSubmission:
        """Return what a receipt is about: matched by digest, which the message id must agree with."""
        submission = self._journal.submission(message_id=receipt.message_id, digest=receipt.envelope_digest)
        if (
            submission is None
            or receipt.sender != self._owner
            or not digests_equal(submission.digest, receipt.envelope_digest)
            or receipt.message_id not in {None, submission.message_id}
        ):
            raise Refused(
                "receipt-not-ours", f"it is about {receipt.message_id}, which this node did not send"
            )
        return submission

    def _check_issuer(self, verified: VerifiedReceipt, expected: OrganisationCode) -> None:
        if verified.issuer != expected:
            raise Refused(
                "receipt-not-allowed",
                f"{verified.receipt.event} was issued by {verified.issuer}, not {expected}",
            )

    def _handover_step(self, verified: VerifiedReceipt, submission: StoredSubmission) -> Step:
        """Check that the issuer was consigned to, and tell whether it is the last one."""
        acceptance = self._journal.acceptance(submission.message_id)
        if acceptance is None:
            raise IllegalTransition(
                f"{verified.issuer} attests a hand-over before the axis attested acceptance"
            )
        recipients = _recipients(acceptance)
        outcomes = [(o.recipient, o.outcome) for o in verified.receipt.outcomes]
        if verified.issuer not in recipients or outcomes != [(verified.issuer, Outcome.HANDED_OVER)]:
            raise Refused(
                "receipt-not-allowed", f"{verified.issuer} is no recipient of {submission.message_id}"
            )
        handed_over = self._journal.handed_over_to(submission.message_id)
        return Step.LAST_HANDOVER if recipients <= handed_over | {verified.issuer} else Step.HANDOVER


@lru_cache(maxsize=64)
def _recipients(acceptance: bytes) -> frozenset[str]:
    """Return who was consigned to, from a receipt of acceptance that was verified before it was kept."""
    signed = avro.decode(acceptance)
    if not isinstance(signed, SignedReceipt):
        raise IntegrityError("the journal holds something else than a receipt")
    return frozenset(consigned(avro.decode_receipt(signed.statement).outcomes))
