"""Examine submissions: verify, authorise, resolve recipients.

`Examiner.examine` does everything that follows from the bytes and the directory alone, without IO or state, so it may
run in a worker thread. `Examiner.complete` then adds what only the outside knows: blobs and inboxes that are not there.
Nothing here decides or writes; a `Candidate` with its first fault is the result.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from axis.consumers.verify import VerifiedEnvelope, VerifiedReceipt, Verifier
from axis.core.addressing import Directory, OrganisationCode
from axis.core.admission import admit
from axis.core.disposition import Reason
from axis.core.envelope import Lane, is_message_id
from axis.core.partitioning import partition_of
from axis.core.receipt import Outcome, RecipientOutcome
from axis.core.routing import consigned, route
from axis.core.topics import SUBMISSIONS_EXPRESS, SUBMISSIONS_STANDARD, inbox_topic
from axis.errors import Refused
from axis.ports import BlobStore, Record

LANES: Final = {Lane.EXPRESS: SUBMISSIONS_EXPRESS, Lane.STANDARD: SUBMISSIONS_STANDARD}
"""The topic of each lane."""

MissingTopics = Callable[[Collection[str]], Awaitable[Collection[str]]]


@dataclass(slots=True)
class Candidate:
    """A submission under examination.

    Attributes:
        verified: what verification established; None when nobody is established.
        fault: the first rule broken; None while none is known.
        outcomes: per recipient, for an envelope that may be routed.
        answerable: whether the signer has an inbox; without one, its receipt is in the legal record alone.
        seconds: how long verification took.
    """

    record: Record
    verified: VerifiedEnvelope | VerifiedReceipt | None = None
    fault: Refused | None = None
    outcomes: tuple[RecipientOutcome, ...] = ()
    answerable: bool = True
    seconds: float = 0.0


class Examiner:
    """The examination of one axis node.

    Args:
        environment: name of the installation.
        verifier: establishes who signed.
        blobs: where large parts are.
        lane_partitions: partitions of each submission lane.
    """

    def __init__(
        self, *, environment: str, verifier: Verifier, blobs: BlobStore, lane_partitions: int
    ) -> None:
        self._environment = environment
        self._verifier = verifier
        self._blobs = blobs
        self._lane_partitions = lane_partitions

    def examine(self, records: Iterable[Record], directory: Directory) -> list[Candidate]:
        """Verify, authorise and resolve recipients: everything that follows from the bytes and the directory."""
        return [self._examine(record, directory) for record in records]

    async def complete(self, candidates: Sequence[Candidate], missing_topics: MissingTopics) -> None:
        """Add the faults that only the outside knows: blobs that are not there, inboxes that were never created.

        Raises:
            Unavailable: blob store or broker do not answer; nothing is decided.
        """
        inboxes = {inbox_topic(code) for each in candidates for code in _concerned(each)}
        absent = set(await missing_topics(inboxes)) if inboxes else set()
        for each in candidates:
            if absent:
                _check_inboxes(each, absent)
            if each.fault is None and isinstance(each.verified, VerifiedEnvelope):
                each.fault = await self._missing_blob(each.verified)

    def _examine(self, record: Record, directory: Directory) -> Candidate:
        candidate = Candidate(record)
        began = perf_counter()
        try:
            candidate.verified = self._verifier.verify(record.value, directory, record.appended_at)
            match candidate.verified:
                case VerifiedEnvelope() as envelope:
                    candidate.outcomes = self._admit(record, envelope, directory)
                case VerifiedReceipt() as receipt:
                    self._admit_receipt(record, receipt, directory)
        except Refused as refusal:
            candidate.fault = refusal
        except Exception as error:  # noqa: BLE001 - one record must never stop a partition: its bytes go to quarantine
            candidate.verified = None
            candidate.fault = Refused(
                Reason.INTERNAL_ERROR, f"{type(error).__name__} while examining the record"
            )
        candidate.seconds = perf_counter() - began
        return candidate

    def _admit(
        self, record: Record, envelope: VerifiedEnvelope, directory: Directory
    ) -> tuple[RecipientOutcome, ...]:
        self._check_partition(record, envelope.signer)
        if envelope.fault is not None:
            raise envelope.fault
        header = envelope.header
        assert header is not None  # noqa: S101 - without a fault there is a header
        admit(
            header,
            signer=envelope.signer,
            signed_at=envelope.signature.signed_at,
            appended_at=record.appended_at,
            directory=directory,
            environment=self._environment,
            policy=self._verifier.policy,
        )
        if record.topic != LANES[header.urgency.lane]:
            raise Refused(
                Reason.WRONG_LANE,
                f"got it from {record.topic}, expected {LANES[header.urgency.lane]} by its urgency",
            )
        return route(header, directory, record.appended_at, self._verifier.policy)

    def _admit_receipt(self, record: Record, verified: VerifiedReceipt, directory: Directory) -> None:
        receipt = verified.receipt
        # Of the document's sender: the task there knows what was consigned to whom.
        self._check_partition(record, receipt.sender)
        expected = (RecipientOutcome(verified.issuer, Outcome.HANDED_OVER),)
        if (
            receipt.event.by_axis
            or not is_message_id(receipt.message_id or "")
            or receipt.outcomes != expected
        ):
            raise Refused(
                Reason.RECEIPT_NOT_ALLOWED,
                f"{verified.issuer} may attest the hand-over to itself only, got {receipt.event}",
            )
        if receipt.environment != self._environment:
            raise Refused(
                Reason.ENVIRONMENT_MISMATCH,
                f"got {receipt.environment!a:.70}, this installation is {self._environment!a}",
            )
        if receipt.sender not in directory:
            raise Refused(
                Reason.RECIPIENT_UNKNOWN,
                f"the sender that it is for, {receipt.sender!a:.40}, is not in the directory",
            )

    def _check_partition(self, record: Record, sender: OrganisationCode) -> None:
        expected = partition_of(sender, self._lane_partitions)
        if record.partition != expected:
            raise Refused(
                Reason.WRONG_PARTITION,
                f"got it from partition {record.partition}, expected {expected}: key records by the sender's code and"
                " partition them with murmur2",
            )

    async def _missing_blob(self, envelope: VerifiedEnvelope) -> Refused | None:
        for position, part in enumerate(envelope.envelope.parts):
            if part.content is not None:
                continue
            size = await self._blobs.size(part.digest)
            if size is None:
                return Refused(
                    Reason.BLOB_MISSING, f"part {position}: blob {part.digest.hex()} is not stored"
                )
            if size != part.size:
                return Refused(
                    Reason.PART_ALTERED,
                    f"part {position}: the blob has {size} bytes, the record says {part.size}",
                )
        return None


def _concerned(each: Candidate) -> tuple[OrganisationCode, ...]:
    """Return the signer and everyone that something is written for: all of them need an inbox."""
    match each.verified:
        case VerifiedEnvelope(signer=signer):
            return (signer, *consigned(each.outcomes))
        case VerifiedReceipt(issuer=issuer, receipt=receipt) if each.fault is None:
            return (issuer, receipt.sender)
        case VerifiedReceipt(issuer=issuer):
            return (issuer,)
        case None:
            return ()


def _check_inboxes(each: Candidate, absent: Collection[str]) -> None:
    """Turn consignments into inboxes that do not exist into refusals; refuse the whole when nobody is left."""
    each.answerable = not any(inbox_topic(code) in absent for code in _concerned(each)[:1])
    if each.fault is not None:
        return
    each.outcomes = tuple(
        RecipientOutcome(o.recipient, Outcome.REFUSED, Reason.INBOX_MISSING)
        if o.outcome is Outcome.CONSIGNED and inbox_topic(o.recipient) in absent
        else o
        for o in each.outcomes
    )
    match each.verified:
        case VerifiedReceipt(receipt=receipt):
            served = inbox_topic(receipt.sender) not in absent
        case _:
            served = each.answerable and bool(consigned(each.outcomes))
    if not served:
        each.fault = Refused(
            Reason.INBOX_MISSING,
            "the sender or every recipient has no inbox yet: the operator has to run `axis topics apply`",
        )
