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

A failure anywhere gives the incarnation up: nothing is remembered before its commit succeeded, and after a commit whose
outcome is unknown the next incarnation learns it from the committed position and the changelog.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from itertools import chain
from typing import Final, Protocol, TypeVar

from axis.consumers.decide import Batch, Decider, Judgement, Plan
from axis.consumers.examine import Candidate, Examiner
from axis.core.addressing import Directory
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


class Submissions(Protocol):
    """Where a task's records come from; `axis.consumers.kafka.GroupReader` in production."""

    def owns(self, places: Collection[PartitionId]) -> bool:
        """Tell whether these partitions are assigned to this member now."""

    async def rewind(self, places: Collection[PartitionId]) -> Mapping[PartitionId, int]:
        """Set partitions to their committed positions and let them flow."""

    def pause(self, places: Collection[PartitionId]) -> None:
        """Stop the flow of partitions."""

    async def take(
        self, places: Collection[PartitionId], limit: int, wait_seconds: float
    ) -> Sequence[Record]:
        """Return up to `limit` records, or none after the wait."""


class Changelog(Protocol):
    """Reads decisions back from Kafka."""

    async def restore(self, partition: int) -> int:
        """Bring the decision store up to the end of a changelog partition; return how many entries were read."""


class Turn(IntEnum):
    """Whose computation goes first. What is begun is finished before more is begun: decisions come before examinations."""

    EXPRESS = 0
    DECISION = 1
    EXAMINATION = 2


class Workbench(Protocol):
    """Runs computations so that they do not hold up the event loop, the first turn first."""

    async def run(self, turn: Turn, work: Callable[[], _T]) -> _T:
        """Run the work and return its result."""


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
        self._last = Lane.STANDARD

    async def lay(self, batch: Examined) -> None:
        """Lay a batch down; return when it is decided."""
        self._lying[batch.lane] = batch
        self._occupied.set()
        await batch.decided.wait()

    async def next(self) -> Examined:
        """Return the batch to go on with: express first, but no lane twice while the other one waits."""
        await self._occupied.wait()
        order = (Lane.STANDARD, Lane.EXPRESS) if self._last is Lane.EXPRESS else (Lane.EXPRESS, Lane.STANDARD)
        self._last = next(lane for lane in order if lane in self._lying)
        return self._lying[self._last]

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
        try:
            restored = await _first(self._open(transaction), self._stopping.wait())
            if restored is None:
                return
            self._equipment.observer.opened(self.number, restored)
            desk = Desk()
            examining = [self._examine(lane, desk, transaction) for lane in Lane]
            await _until_one_ends(self._settle(desk, transaction), *examining)
        finally:
            self._equipment.submissions.pause(self._lanes.values())
            await transaction.close()

    async def _open(self, transaction: Transaction) -> int:
        """Make an incarnation ready; return how many decisions were restored."""
        await transaction.open()
        restored = await self._equipment.changelog.restore(self.number)
        await self._equipment.submissions.rewind(self._lanes.values())
        return restored

    async def _examine(self, lane: Lane, desk: Desk, transaction: Transaction) -> None:
        """Examine what comes in a lane, a batch ahead of what is decided."""
        equipment, clock = self._equipment, asyncio.get_running_loop().time
        turn = Turn.EXPRESS if lane is Lane.EXPRESS else Turn.EXAMINATION
        limit = _EXPRESS_RECORDS if lane is Lane.EXPRESS else equipment.batch_records
        while True:
            records = await equipment.submissions.take((self._lanes[lane],), limit, _WAIT_SECONDS)
            if not records:
                continue
            equipment.observer.taken(self.number, records)
            began = clock()
            directory = equipment.directory.current()
            # All pieces are ordered at once: a batch is examined before the next task's, and committed beside it.
            pieces = await asyncio.gather(
                *(
                    equipment.workbench.run(turn, partial(equipment.examiner.examine, piece, directory))
                    for piece in _pieces(records)
                )
            )
            await equipment.examiner.complete([*chain.from_iterable(pieces)], transaction.missing_topics)
            batch = Examined(lane, directory, deque(pieces))
            batch.seconds = clock() - began
            await desk.lay(batch)

    async def _settle(self, desk: Desk, transaction: Transaction) -> None:
        """Decide and commit what lies on the desk, until stopped; the transaction in hand is finished."""
        while not self._stopping.is_set():
            if (examined := await _first(desk.next(), self._stopping.wait())) is not None:
                await self._carry_out(examined, desk, transaction, {})

    async def _carry_out(
        self, examined: Examined, desk: Desk, transaction: Transaction, pending: Mapping[str, Decision]
    ) -> None:
        """Decide as much of a batch as one transaction may write, and commit that; the rest of it stays where it is.

        Args:
            examined: the batch.
            desk: where express work lies that goes between two pieces of a standard batch.
            transaction: of this incarnation.
            pending: what the batch that this one goes between has decided and not committed.
        """
        equipment, clock = self._equipment, asyncio.get_running_loop().time
        timings, examined.seconds = Timings(examine=examined.seconds), 0.0
        batch, records = equipment.decider.begin(examined.directory, pending), list[Record]()
        turn = Turn.EXPRESS if examined.lane is Lane.EXPRESS else Turn.DECISION
        while examined.pieces:
            express = desk.lying(Lane.EXPRESS)
            if express is not None and express is not examined:
                await self._carry_out(express, desk, transaction, batch.plan.decisions)
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


async def _until_one_ends(*works: Coroutine[None, None, None]) -> None:
    """Do all of it side by side until one part ends or fails; the others are cancelled."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _first(wanted: Awaitable[_T], stop: Awaitable[object]) -> _T | None:
    """Return what is wanted, or None when the stop came first; the other one is cancelled."""
    tasks = (asyncio.ensure_future(wanted), asyncio.ensure_future(stop))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0].result() if tasks[0].done() else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
