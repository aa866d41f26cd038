"""One router task: partition *i* of both submission lanes, express first, each batch one Kafka transaction.

    open       fence earlier incarnations of this task and settle what they left
    restore    read the tail of the changelog into the decision store
    rewind     set both lanes to their committed positions, which are final only now
    for each lane, side by side:
        repeat    take → examine → complete → lay on the desk
    for the task:
        repeat    decide what lies on the desk → begin, append, advance, commit → remember

While a batch is committed, the next one of its lane is examined already, so that neither waits for the other.

A standard batch may be large, because a transaction costs nearly the same whatever it holds. It is examined and decided
in pieces. Across the tasks of a process express pieces go first, then decisions, then examinations. Between two pieces
that are decided, an express batch is carried out in a transaction of its own.

Where blob store or broker do not answer an examination, they are asked again for some seconds, and the other lane goes
on. Any other failure gives the incarnation up: nothing is remembered before its commit succeeded, and after a commit whose
outcome is unknown the next incarnation learns it from the committed position and the changelog.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from typing import Final, Protocol, TypeVar, cast

from axis.consumers.decide import Batch, Decider, Judgement, Plan
from axis.consumers.examine import Candidate, Examiner
from axis.core.directory import Directory
from axis.core.envelope import Lane
from axis.core.retry import RetrySchedule
from axis.core.topics import LANES, ROUTER_STATE
from axis.errors import Unavailable
from axis.ports import DecisionStore, DirectorySource, PartitionId, Record, Transaction
from axis.schemas.avro import Decision

_T = TypeVar("_T")
_WAIT_SECONDS: Final = 0.5
_PIECE_RECORDS: Final = 16
_PIECE_BYTES: Final = 256 * 1024
_BATCH_BYTES: Final = 32 * 1024 * 1024
_EXPRESS_RECORDS: Final = 100
_ATTEMPTS: Final = 6
"""How often the outside is asked about submissions before the incarnation is given up: about 8 s."""


class Submissions(Protocol):
    """Where a task's records come from; `axis.consumers.kafka.GroupReader` in production."""

    def owns(self, places: Collection[PartitionId]) -> bool:
        """Tell whether these partitions are assigned to this member now."""

    async def rewind(self, places: Collection[PartitionId]) -> Mapping[PartitionId, int]:
        """Set partitions to their committed positions and let them flow."""

    def pause(self, places: Collection[PartitionId]) -> None:
        """Stop the flow of partitions."""

    async def take(self, place: PartitionId, limit: int, wait_seconds: float) -> Sequence[Record]:
        """Return up to `limit` records of a partition, or none after the wait."""


class Changelog(Protocol):
    """Reads decisions back from Kafka."""

    async def restore(self, partition: int, decisions: DecisionStore) -> int:
        """Bring a decision store up to the end of a changelog partition; return how many entries were read."""


class Turn(IntEnum):
    """Whose computation goes first. What is begun is finished before more is begun: decisions come before examinations."""

    EXPRESS = 0
    DECISION = 1
    EXAMINATION = 2


class Workbench(Protocol):
    """Runs computations so that they do not hold up the event loop, the first turn first."""

    async def run(self, turn: Turn, work: Callable[[], _T], number: int = 0) -> _T:
        """Run the work and return its result.

        Args:
            turn: whose turn it is.
            work: what to compute.
            number: of a piece within its batch; within a turn first pieces go before all others, so that a large batch
                does not hold up a small one.
        """


@dataclass(slots=True)
class Timings:
    """How long the steps of one batch took, in seconds, waiting included."""

    examine: float = 0.0
    decide: float = 0.0
    commit: float = 0.0


class Observer(Protocol):
    """Is told what happened; logs and metrics."""

    def taken(self, task: int, records: Sequence[Record]) -> None:
        """Records are in hand; nothing of them is committed."""

    def committed(self, task: int, judgements: Sequence[Judgement], timings: Timings) -> None:
        """A batch was committed."""

    def failed(self, task: int, error: Unavailable, retry_in_seconds: float) -> None:
        """An incarnation was given up."""

    def opened(self, task: int, restored: int) -> None:
        """An incarnation is ready."""

    def delayed(self, task: int, error: Unavailable, retry_in_seconds: float) -> None:
        """An examination cannot be completed now; the task's other lane goes on."""

    def resumed(self, task: int) -> None:
        """An examination that was delayed is complete."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """What all tasks of a router process share."""

    submissions: Submissions
    changelog: Changelog
    decisions: DecisionStore
    directory: DirectorySource
    examiner: Examiner
    decider: Decider
    workbench: Workbench
    observer: Observer
    retry: RetrySchedule
    batch_records: int


@dataclass(slots=True)
class Examined:
    """A batch of one lane, examined and waiting to be decided.

    Attributes:
        directory: what it was examined by, and will be decided by.
        pieces: those of its submissions that are not decided yet, in the order of the log.
        seconds: how long the examination took, waiting included.
        decided: set when nothing of it is left.
    """

    lane: Lane
    directory: Directory
    pieces: deque[list[Candidate]] = field(default_factory=deque)
    seconds: float = 0.0
    decided: asyncio.Event = field(default_factory=asyncio.Event)


class Desk:
    """Where examined batches lie until they are decided: at most one of each lane."""

    def __init__(self) -> None:
        self._lying: dict[Lane, Examined] = {}
        self._occupied = asyncio.Event()

    async def lay(self, batch: Examined) -> None:
        """Lay a batch down; return when it is decided."""
        self._lying[batch.lane] = batch
        self._occupied.set()
        await batch.decided.wait()

    async def next(self) -> Examined:
        """Return the batch to go on with. A standard one lets express go first by itself, so it is never shut out."""
        await self._occupied.wait()
        return self._lying.get(Lane.STANDARD) or self._lying[Lane.EXPRESS]

    def lying(self, lane: Lane) -> Examined | None:
        """Return the batch of a lane, if there is one."""
        return self._lying.get(lane)

    def clear(self, batch: Examined) -> None:
        """Take a batch away that is decided."""
        del self._lying[batch.lane]
        if not self._lying:
            self._occupied.clear()
        batch.decided.set()


class RouterTask:
    """The task of one partition number.

    Args:
        number: the partition number in both lanes and in the changelog.
        equipment: what it shares with the other tasks of its process.
        new_transaction: makes the next incarnation's transaction object.
    """

    def __init__(self, number: int, equipment: Equipment, new_transaction: Callable[[], Transaction]) -> None:
        self.number = number
        self._equipment = equipment
        self._new_transaction = new_transaction
        self._lanes = {lane: PartitionId(topic, number) for lane, topic in LANES.items()}
        self._failures = 0
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ask the task to finish the transaction in hand and return from `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Route until stopped; failures outside are waited out."""
        # A task that lost its partitions must not open: it would fence the one that has them now.
        while not self._stopping.is_set() and self._equipment.submissions.owns(self._lanes.values()):
            try:
                await self._incarnation()
            except Unavailable as error:
                delay = self._equipment.retry.delay_seconds(self._failures)
                self._failures += 1
                self._equipment.observer.failed(self.number, error, delay)
                await _first(asyncio.sleep(delay), self._stopping.wait())

    async def _incarnation(self) -> None:
        transaction = self._new_transaction()
        readers: list[asyncio.Task[None]] = []
        try:
            restored = await _first(self._open(transaction), self._stopping.wait())
            if restored is None:
                return
            self._equipment.observer.opened(self.number, restored)
            desk = Desk()
            readers += [asyncio.create_task(self._read(lane, desk, transaction)) for lane in Lane]
            await self._settle(desk, transaction, readers)
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
            self._equipment.submissions.pause(self._lanes.values())
            await transaction.close()

    async def _open(self, transaction: Transaction) -> int:
        """Make an incarnation ready; return how many decisions were restored."""
        await transaction.open()
        restored = await self._equipment.changelog.restore(self.number, self._equipment.decisions)
        await self._equipment.submissions.rewind(self._lanes.values())
        return restored

    async def _read(self, lane: Lane, desk: Desk, transaction: Transaction) -> None:
        """Examine what comes in a lane, a batch ahead of what is committed."""
        while True:
            await desk.lay(await self._examined(lane, transaction))

    async def _examined(self, lane: Lane, transaction: Transaction) -> Examined:
        """Wait for the next batch of a lane and examine it."""
        equipment, clock = self._equipment, asyncio.get_running_loop().time
        limit = _EXPRESS_RECORDS if lane is Lane.EXPRESS else equipment.batch_records
        while not (records := await equipment.submissions.take(self._lanes[lane], limit, _WAIT_SECONDS)):
            pass
        equipment.observer.taken(self.number, records)
        began, directory = clock(), equipment.directory.current()
        turn = Turn.EXPRESS if lane is Lane.EXPRESS else Turn.EXAMINATION
        # All pieces are ordered at once, so that none waits for the event loop between two of them.
        pieces = await asyncio.gather(
            *(
                equipment.workbench.run(turn, partial(equipment.examiner.examine, piece, directory), number)
                for number, piece in enumerate(_pieces(records))
            )
        )
        batch = Examined(lane, directory, deque(pieces))
        for candidates in batch.pieces:
            await self._complete(candidates, transaction)
        batch.seconds = clock() - began
        return batch

    async def _complete(self, candidates: Sequence[Candidate], transaction: Transaction) -> None:
        """Ask the outside about submissions, more than once: meanwhile the other lane goes on."""
        equipment = self._equipment
        for attempt in range(_ATTEMPTS):
            try:
                await equipment.examiner.complete(candidates, transaction.missing_topics)
            except Unavailable as error:
                if attempt == _ATTEMPTS - 1:
                    raise
                delay = equipment.retry.delay_seconds(attempt)
                equipment.observer.delayed(self.number, error, delay)
                await asyncio.sleep(delay)
            else:
                if attempt:
                    equipment.observer.resumed(self.number)
                return

    async def _settle(
        self, desk: Desk, transaction: Transaction, readers: Collection["asyncio.Task[None]"]
    ) -> None:
        """Decide and commit what lies on the desk, until stopped or a reader fails; a transaction in hand is finished."""
        while not self._stopping.is_set():
            failed = asyncio.wait(readers, return_when=asyncio.FIRST_COMPLETED)
            examined = await _first(desk.next(), self._stopping.wait(), failed)
            for reader in readers:
                if reader.done():
                    reader.result()
            if examined is not None:
                await self._carry_out(examined, desk, transaction, frozenset())

    async def _carry_out(
        self, examined: Examined, desk: Desk, transaction: Transaction, pending: Collection[str]
    ) -> None:
        """Decide as much of a batch as one transaction may write, and commit that; the rest of it stays where it is.

        Args:
            examined: the batch.
            desk: where express work lies that goes between two pieces of a standard batch.
            transaction: of this incarnation.
            pending: keys that the batch which this one goes between has decided about and not committed.
        """
        equipment, clock = self._equipment, asyncio.get_running_loop().time
        timings, examined.seconds = Timings(examine=examined.seconds), 0.0
        batch, records = Batch(examined.directory, frozenset(pending)), list[Record]()
        turn = Turn.EXPRESS if examined.lane is Lane.EXPRESS else Turn.DECISION
        while examined.pieces and not (records and self._stopping.is_set()):
            express = desk.lying(Lane.EXPRESS)
            if examined.lane is Lane.STANDARD and express is not None:
                await self._carry_out(express, desk, transaction, batch.plan.decisions.keys())
            candidates, began = examined.pieces.popleft(), clock()
            decided = await equipment.workbench.run(
                turn, partial(equipment.decider.extend, batch, candidates, _BATCH_BYTES)
            )
            timings.decide += clock() - began
            records += [each.record for each in candidates[:decided]]
            if decided < len(candidates):
                examined.pieces.appendleft(candidates[decided:])
                break
        if not examined.pieces:
            desk.clear(examined)
        if records:
            await self._commit(transaction, turn, batch, records, timings)

    async def _commit(
        self, transaction: Transaction, turn: Turn, batch: Batch, records: Sequence[Record], timings: Timings
    ) -> None:
        began = asyncio.get_running_loop().time()
        await transaction.begin()
        ends = await transaction.append(batch.plan.appends)
        await transaction.advance(_positions(records))
        await transaction.commit()
        await self._remember(turn, batch.plan, ends)
        timings.commit = asyncio.get_running_loop().time() - began
        self._failures = 0
        self._equipment.observer.committed(self.number, batch.plan.judgements, timings)

    async def _remember(self, turn: Turn, plan: Plan, ends: Mapping[PartitionId, int]) -> None:
        changelog = PartitionId(ROUTER_STATE, self.number)
        if changelog in ends:
            entries: list[tuple[str, Decision]] = list(plan.decisions.items())
            apply = partial(self._equipment.decisions.apply, self.number, entries, ends[changelog])
            await self._equipment.workbench.run(turn, apply)


def _pieces(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Yield records in pieces that are small in number and in bytes: a broadcast multiplies them by its recipients."""
    piece: list[Record] = []
    size = 0
    for record in records:
        piece.append(record)
        size += len(record.value or b"")
        if len(piece) == _PIECE_RECORDS or size > _PIECE_BYTES:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def _positions(records: Sequence[Record]) -> dict[PartitionId, int]:
    positions: dict[PartitionId, int] = {}
    for record in records:
        positions[record.place] = max(record.offset + 1, positions.get(record.place, 0))
    return positions


async def _first(wanted: Awaitable[_T], *others: Awaitable[object]) -> _T | None:
    """Return what is wanted, or None when one of the others came first; what did not come is cancelled."""
    tasks = [asyncio.ensure_future(wanted), *map(asyncio.ensure_future, others)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return cast("_T", tasks[0].result()) if tasks[0].done() else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
