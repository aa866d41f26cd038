"""Examine submissions: verify, authorise, resolve recipients.

`Examiner.examine` does everything that follows from the bytes and the directory alone, without IO or state, so it may
run in a worker thread. `Examiner.complete` then adds what only the outside knows: blobs and inboxes that are not there.
Nothing here decides or writes; a `Candidate` with its first fault is the result.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from axis.consumers.verify import VerifiedEnvelope, VerifiedReceipt, Verifier
from axis.core.addressing import OrganisationCode
from axis.core.admission import admit
from axis.core.attestation import admit_handover
from axis.core.digest import Digest
from axis.core.directory import Directory
from axis.core.disposition import Reason
from axis.core.envelope import Part
from axis.core.partitioning import partition_of
from axis.core.receipt import Outcome, RecipientOutcome
from axis.core.routing import consigned, route
from axis.core.topics import LANES, inbox_topic
from axis.errors import Refused
from axis.ports import BlobStore, Record

_LOOKUPS_AT_ONCE: Final = 32

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
        if absent:
            for each in candidates:
                _check_inboxes(each, absent)
        claimed = {part.digest for each in candidates for _, part in _claims(each)}
        if claimed:
            sizes = await self._sizes(claimed)
            for each in candidates:
                each.fault = each.fault or _missing_blob(each, sizes)

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
        header = envelope.header
        self._check_partition(record, envelope.signer)
        if header is not None and record.topic != LANES[header.urgency.lane]:
            raise Refused(
                Reason.WRONG_LANE,
                f"got it from {record.topic}, expected {LANES[header.urgency.lane]} by its urgency",
            )
        if envelope.fault is not None:
            raise envelope.fault
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
        return route(header, directory, record.appended_at, self._verifier.policy)

    def _admit_receipt(self, record: Record, verified: VerifiedReceipt, directory: Directory) -> None:
        admit_handover(
            verified.receipt,
            issuer=verified.issuer,
            signed_at=verified.signature.signed_at,
            appended_at=record.appended_at,
            directory=directory,
            environment=self._environment,
            policy=self._verifier.policy,
        )
        # Of the document's sender: the task there knows what was consigned to whom.
        self._check_partition(record, verified.receipt.sender)

    def _check_partition(self, record: Record, sender: OrganisationCode) -> None:
        expected = partition_of(sender, self._lane_partitions)
        if record.partition != expected:
            raise Refused(
                Reason.WRONG_PARTITION,
                f"got it from partition {record.partition}, expected {expected}: key records by the sender's code and"
                " partition them with murmur2",
            )

    async def _sizes(self, digests: Collection[Digest]) -> dict[Digest, int | None]:
        """Look up blobs, some at once: one submission may name a hundred, and those behind it wait."""
        sizes: dict[Digest, int | None] = {}
        left = iter(digests)

        async def look_up() -> None:
            for digest in left:
                sizes[digest] = await self._blobs.size(digest)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(_LOOKUPS_AT_ONCE, len(digests))):
                    group.create_task(look_up())
        except ExceptionGroup as faults:
            raise faults.exceptions[0] from faults
        return sizes


def _claims(each: Candidate) -> Iterator[tuple[int, Part]]:
    """Yield the parts of a submission without fault that are in the blob store, with their positions."""
    if each.fault is None and isinstance(each.verified, VerifiedEnvelope):
        for position, part in enumerate(each.verified.envelope.parts, 1):
            if part.content is None:
                yield position, part


def _missing_blob(each: Candidate, sizes: Mapping[Digest, int | None]) -> Refused | None:
    for position, part in _claims(each):
        size = sizes[part.digest]
        if size is None:
            return Refused(Reason.BLOB_MISSING, f"part {position}: blob {part.digest.hex()} is not stored")
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
