"""Read an organisation's inbox: verify every record, keep it in the journal, hand it on.

An inbox carries documents for the organisation, and receipts about what it sent, documents and receipts of hand-over
alike. Nothing unverified passes: a record that is not what it claims to be is reported as `Rejected` and goes no
further, whoever managed to write it there. But it is kept: what this node's directory does not know yet, such as a new
certificate, it may know tomorrow, and then the record is judged again. Nor is anything
skipped in silence: where the log does not go on from where it was read last, that is reported as a `Gap`, and reading
goes on with the first record that is there.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from axis.consumers.answers import Answers, check_issuer
from axis.consumers.verify import VerifiedEnvelope, VerifiedReceipt, Verifier
from axis.core.addressee import is_recipient, names_group
from axis.core.addressing import OrganisationCode
from axis.core.admission import check_environment, check_fields, check_sender
from axis.core.digest import Digest, digests_equal, sha256
from axis.core.directory import Directory
from axis.core.disposition import Reason
from axis.core.envelope import Envelope, Header
from axis.core.receipt import Event, Receipt
from axis.core.rejection import FINAL, NodeReason
from axis.core.topics import inbox_topic
from axis.errors import IllegalTransition, IntegrityError, Refused
from axis.ports import DirectorySource, PartitionId, Record
from axis.schemas import avro
from axis.storage.journal import Journal, StoredDelivery
from axis.storage.rejections import StoredRejection

_JUDGED_AT_ONCE: Final = 100
"""Kept records that are judged again in one step of the journal."""


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
    """A verified receipt about a document or receipt of hand-over that this organisation sent.

    Attributes:
        repeated: whether the journal had it already.
    """

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
    """A record that is not passed on, and why; the journal keeps it, to be judged again where that may help."""

    offset: int
    reason: str
    detail: str


class GapReason(StrEnum):
    """Why an inbox does not go on from where it was read last."""

    RECREATED = "inbox-recreated"
    TRUNCATED = "inbox-truncated"
    EXPIRED = "records-expired"


@dataclass(frozen=True, slots=True)
class Gap:
    """The inbox does not go on from where it was read last; what is read again is recognised.

    Attributes:
        offset: where reading goes on.
    """

    offset: int
    reason: GapReason
    detail: str


Entry = Document | Answer | Opened | Rejected | Gap


class InboxReader(Protocol):
    """Reads one partition without a group; `axis.consumers.kafka.PartitionReader` does it."""

    async def beginning(self, place: PartitionId) -> int:
        """Return the first offset that is still kept."""

    async def end(self, place: PartitionId) -> int:
        """Return the offset after the last committed record."""

    def follow(self, starts: Mapping[PartitionId, int]) -> AsyncIterator[Sequence[Record]]:
        """Yield batches, an empty one when nothing came; end where the position is kept no more."""

    def read_to_end(
        self, starts: Mapping[PartitionId, int], ends: Mapping[PartitionId, int]
    ) -> AsyncIterator[Sequence[Record]]:
        """Yield what is committed before the ends, from the given offsets on, then stop."""


class Inbox:
    """The inbox of one organisation.

    Args:
        owner: its code.
        axis: code of the axis node, whose receipts are the axis's.
        environment: name of the installation.
        reader: reads the inbox topic.
        identify: returns the identity that Kafka gave the topic when it was created.
        verifier: establishes who signed.
        directory: who exists.
        journal: the organisation's journal.
        lane_partitions: partitions of each submission lane.
        rules: what a record is judged by besides the directory; another text has what was rejected judged again.
    """

    def __init__(
        self,
        *,
        owner: OrganisationCode,
        axis: OrganisationCode,
        environment: str,
        reader: InboxReader,
        identify: Callable[[], Awaitable[str]],
        verifier: Verifier,
        directory: DirectorySource,
        journal: Journal,
        lane_partitions: int,
        rules: str,
    ) -> None:
        self._owner = owner
        self._axis = axis
        self._environment = environment
        self._reader = reader
        self._identify = identify
        self._verifier = verifier
        self._directory = directory
        self._journal = journal
        self._answers = Answers(owner=owner, axis=axis, journal=journal, lane_partitions=lane_partitions)
        self._rules = rules
        self._judged_by: str | None = None
        self._place = PartitionId(inbox_topic(owner), 0)

    async def synchronise(self) -> AsyncIterator[Sequence[Entry]]:
        """Read what is new until now, in batches; each batch is in the journal, with the position, before it is yielded.

        What was rejected before and passes under the directory of today comes first, with its own offset.

        Raises:
            Unavailable: no broker answers, or the journal cannot be written.
        """
        async for gap in self._resume():
            yield (gap,)
        for entries in self._judged_again():
            yield entries
        start = self._journal.position(self._place.topic)
        end = await self._reader.end(self._place)
        async for records in self._reader.read_to_end({self._place: start}, {self._place: end}):
            yield self._keep(records)
        if self._journal.position(self._place.topic) < end:
            # Behind the markers of transactions: they expire as records do, and would pass for unread ones then.
            self._journal.set_position(self._place.topic, end)

    async def follow(self) -> AsyncGenerator[Sequence[Entry], None]:
        """Read for ever, as `synchronise` does; an empty batch when nothing came for a while."""
        while True:
            # Again, when the log was shortened or replaced under the reader.
            async for gap in self._resume():
                yield (gap,)
            async for records in self._reader.follow(
                {self._place: self._journal.position(self._place.topic)}
            ):
                for entries in self._judged_again():
                    yield entries
                yield self._keep(records) if records else ()

    async def _resume(self) -> AsyncIterator[Gap]:
        """Bind the position to the topic that is there now; yield what stands between it and the last reading."""
        topic = self._place.topic
        # Before the broker is asked: another command of this node may read on meanwhile.
        position, known = self._journal.position(topic), self._journal.origin(topic)
        origin = await self._identify()
        beginning, end = await self._reader.beginning(self._place), await self._reader.end(self._place)
        gap: Gap | None = None
        if known not in {None, origin}:
            detail = f"the topic is another one than was read up to offset {position}"
            gap = Gap(beginning, GapReason.RECREATED, detail)
        elif position > end:
            detail = f"it was read up to offset {position}, and ends at {end} now"
            gap = Gap(beginning, GapReason.TRUNCATED, detail)
        elif position < beginning:
            detail = f"offsets {position} to {beginning - 1} were removed before this node read them"
            gap = Gap(beginning, GapReason.EXPIRED, detail)
        if gap is not None:
            yield gap
        # After the report: who is stopped in between is told again.
        if gap is not None or known is None:
            self._journal.set_position(topic, position if gap is None else gap.offset, origin)

    def _keep(self, records: Sequence[Record]) -> list[Entry]:
        directory = self._directory.current()
        with self._journal.together():
            entries = [self._entry(record, directory) for record in records]
            for record, entry in zip(records, entries, strict=True):
                # What was never sent from here is not known under any directory.
                if isinstance(entry, Rejected) and entry.reason != NodeReason.RECEIPT_NOT_OURS:
                    self._keep_rejected(record, entry, directory)
            if any(isinstance(entry, Rejected) for entry in entries):
                self._journal.rejections.make_room()
            self._journal.set_position(self._place.topic, records[-1].offset + 1)
        return entries

    def _keep_rejected(self, record: Record, entry: Rejected, directory: Directory) -> None:
        # What never passes is not judged again, and would only fill the disk.
        kept = entry.reason not in FINAL and record.value is not None
        self._journal.rejections.keep(
            StoredRejection(
                sha256(record.value or b""),
                record.offset,
                record.appended_at,
                entry.reason,
                entry.detail,
                self._basis(directory),
                kept,
            ),
            record.value,
        )

    def _basis(self, directory: Directory) -> str:
        return f"{directory.version} {self._rules}"

    def _judged_again(self) -> Iterator[Sequence[Entry]]:
        """Judge what was rejected under another directory or other rules once more; yield what passes now, in batches."""
        directory = self._directory.current()
        basis = self._basis(directory)
        if basis == self._judged_by:
            return
        old = [each for each in self._journal.rejections.listed() if each.kept and each.judged_by != basis]
        for start in range(0, len(old), _JUDGED_AT_ONCE):
            with self._journal.together():
                passed = list(self._passed(old[start : start + _JUDGED_AT_ONCE], directory))
            if passed:
                yield passed
        self._judged_by = basis

    def _passed(self, rejections: Sequence[StoredRejection], directory: Directory) -> Iterator[Entry]:
        for each in rejections:
            value = self._journal.rejections.value(each.record_digest)
            if value is None:
                continue  # another command was here meanwhile
            record = Record(
                self._place.topic, self._place.partition, each.offset, each.appended_at, None, value
            )
            entry = self._entry(record, directory)
            if isinstance(entry, Rejected):
                self._keep_rejected(record, entry, directory)
            else:
                self._journal.rejections.remove(each.record_digest)
                yield entry

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
            return Rejected(record.offset, NodeReason.RECEIPT_OUT_OF_ORDER, str(error))

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
            raise verified.fault or Refused(Reason.HEADER_MALFORMED, "the envelope has no header")
        header = verified.header
        check_sender(header, verified.signer)
        check_environment(header, self._environment)
        check_fields(header)
        self._check_addressed(header, directory, verified.signature.signed_at, record.appended_at)
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
            self._complete(header, verified)
        return Document(
            record.offset, record.appended_at, header, verified.envelope, verified.digest, repeated=not fresh
        )

    def _check_addressed(
        self, header: Header, directory: Directory, signed_at: datetime, delivered_at: datetime
    ) -> None:
        """A copy of somebody else's document proves nothing here: the recipients are part of what is signed.

        Whom a group meant at the submission only the axis knows: members come and go, and the directory keeps no history
        of them. So a document for a group is passed on, and whoever shows it says where the directory of today differs.
        """
        since = signed_at - self._verifier.policy.max_clock_skew
        if is_recipient(self._owner, header, directory, since, delivered_at) or names_group(header):
            return
        raise Refused(
            NodeReason.NOT_ADDRESSED, f"the document from {header.sender} does not name {self._owner}"
        )

    def _complete(self, header: Header, verified: VerifiedEnvelope) -> None:
        """Check that this is another copy of the document that is here; keep what that one lacks while it waits."""
        prior = self._journal.delivery(header.sender, header.message_id)
        if prior is None or not digests_equal(prior.digest, verified.digest):
            raise Refused(
                Reason.MESSAGE_ID_CONFLICT,
                f"{header.sender} already sent another document under {header.message_id}; the first one stands",
            )
        if prior.receipt is None and (value := _completed(prior.value, verified.envelope)) is not None:
            self._journal.complete_delivery(header.sender, header.message_id, value)

    def _receipt(self, record: Record, verified: VerifiedReceipt) -> Answer | Opened:
        receipt = verified.receipt
        if receipt.environment != self._environment:
            raise Refused(Reason.ENVIRONMENT_MISMATCH, f"the receipt is of {receipt.environment!a:.70}")
        if receipt.event is Event.INBOX_OPENED:
            check_issuer(verified, self._axis)
            if receipt.sender != self._owner:
                raise Refused(NodeReason.RECEIPT_NOT_OURS, f"it opens the inbox of {receipt.sender}")
            return Opened(record.offset, receipt)
        fresh = self._answers.keep(record, verified)
        return Answer(record.offset, receipt, verified.digest, repeated=not fresh)


def _completed(prior: bytes, later: Envelope) -> bytes | None:
    """Return an earlier copy of an envelope with the content that only a later one carries; None where none is lacking.

    That a part travels in the record is not signed, its digest is. So whoever writes a copy without content into the
    inbox before the axis does must not displace the one that can be unpacked.
    """
    envelope = avro.decode(prior)
    if not isinstance(envelope, Envelope):
        raise IntegrityError("the journal holds something else than an envelope")
    parts = tuple(
        other if own.content is None and other.content is not None else own
        for own, other in zip(envelope.parts, later.parts, strict=True)
    )
    return None if parts == envelope.parts else avro.encode_envelope(replace(envelope, parts=parts))
