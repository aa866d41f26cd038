"""One router task: partition *i* of both submission lanes, express first, each batch one Kafka transaction.

    open      fence earlier incarnations of this task and settle what they left
    restore   read the tail of the changelog into the decision store
    rewind    set both lanes to their committed positions, which are final only now
    repeat    take → examine → complete → decide → begin, append, advance, commit → remember

A standard batch may be large, because a transaction costs nearly the same whatever it holds. It is examined and decided
in pieces, and between two pieces express work that arrived meanwhile is carried out first, in a transaction of its own.
Across the tasks of a process express pieces go first, then decisions, then the tasks take turns to examine piece by piece:
a task that waited longer for its turn would look at its express lane too late.

A failure anywhere gives the incarnation up: nothing is remembered before its commit succeeded, and after a commit whose
outcome is unknown the next incarnation learns it from the committed position and the changelog.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
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

    def owns(self, places: Sequence[PartitionId]) -> bool:
        """Tell whether these partitions are assigned to this member now."""

    async def rewind(self, places: Sequence[PartitionId]) -> Mapping[PartitionId, int]:
        """Set partitions to their committed positions and let them flow."""

    def pause(self, places: Sequence[PartitionId]) -> None:
        """Stop the flow of partitions."""

    async def take(self, places: Sequence[PartitionId], limit: int, wait_seconds: float) -> Sequence[Record]:
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
        self._express = PartitionId(LANES[Lane.EXPRESS], number)
        self._standard = PartitionId(LANES[Lane.STANDARD], number)
        self._lanes = (self._express, self._standard)
        self._failures = 0
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ask the task to finish the batch in hand and return from `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Route until stopped; failures outside are waited out."""
        # A task that lost its partitions must not open: it would fence the one that has them now.
        while not self._stopping.is_set() and self._equipment.submissions.owns(self._lanes):
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
            while not self._stopping.is_set():
                await self._carry_out_waiting(transaction)
        finally:
            self._equipment.submissions.pause(self._lanes)
            await transaction.close()

    async def _open(self, transaction: Transaction) -> int:
        """Make an incarnation ready; return how many decisions were restored."""
        await transaction.open()
        restored = await self._equipment.changelog.restore(self.number)
        await self._equipment.submissions.rewind(self._lanes)
        return restored

    async def _carry_out_waiting(self, transaction: Transaction) -> None:
        """Carry out what waits in the express lane, then in the standard lane; where nothing waits, wait for either.

        The standard lane has its turn after every express batch, so that nobody can shut it out.
        """
        express = await self._take((self._express,), _EXPRESS_RECORDS, 0)
        await self._carry_out(Lane.EXPRESS, transaction, express, {})
        standard = await self._take((self._standard,), self._equipment.batch_records, 0)
        if not express and not standard:
            # A rebalance waits for this task to stop, and taking waits for the rebalance: the stop must win.
            waiting = self._take(self._lanes, self._equipment.batch_records, _WAIT_SECONDS)
            records = await _first(waiting, self._stopping.wait()) or ()
            express = [record for record in records if record.place == self._express]
            await self._carry_out(Lane.EXPRESS, transaction, express, {})
            standard = [record for record in records if record.place == self._standard]
        await self._carry_out(Lane.STANDARD, transaction, standard, {})

    async def _take(self, places: Sequence[PartitionId], limit: int, wait_seconds: float) -> Sequence[Record]:
        records = await self._equipment.submissions.take(places, limit, wait_seconds)
        if records:
            self._equipment.observer.taken(self.number, records)
        return records

    async def _carry_out(
        self,
        lane: Lane,
        transaction: Transaction,
        records: Sequence[Record],
        pending: Mapping[str, Decision],
    ) -> None:
        """Examine, decide and commit records of one lane, in as few transactions as their effect's size allows.

        Args:
            lane: whose records they are. A batch never holds both lanes: what is carried out in between would advance
                a position past records that are still in hand.
            transaction: of this incarnation.
            records: in the order of the log.
            pending: what the batch that is interrupted has decided and not committed.
        """
        if not records:
            return
        decider, directory = self._equipment.decider, self._equipment.directory.current()
        batch, carried, timings = decider.begin(directory, pending), list[Record](), Timings()
        for piece in _pieces(records):
            candidates = await self._examine(lane, transaction, piece, directory, timings)
            while candidates:
                decided = await self._decide(lane, batch, candidates, timings)
                carried += [each.record for each in candidates[:decided]]
                candidates = candidates[decided:]
                if candidates:
                    await self._commit(transaction, batch, carried, timings)
                    batch, carried, timings = decider.begin(directory, pending), [], Timings()
            if lane is Lane.STANDARD:
                express = await self._take((self._express,), _EXPRESS_RECORDS, 0)
                await self._carry_out(Lane.EXPRESS, transaction, express, batch.plan.decisions)
        if carried:
            await self._commit(transaction, batch, carried, timings)

    async def _examine(
        self,
        lane: Lane,
        transaction: Transaction,
        records: Sequence[Record],
        directory: Directory,
        timings: Timings,
    ) -> list[Candidate]:
        equipment, clock = self._equipment, asyncio.get_running_loop().time
        began = clock()
        turn = Turn.EXPRESS if lane is Lane.EXPRESS else Turn.EXAMINATION
        candidates = await equipment.workbench.run(
            turn, lambda: equipment.examiner.examine(records, directory)
        )
        await equipment.examiner.complete(candidates, transaction.missing_topics)
        timings.examine += clock() - began
        return candidates

    async def _decide(
        self, lane: Lane, batch: Batch, candidates: Sequence[Candidate], timings: Timings
    ) -> int:
        equipment, clock = self._equipment, asyncio.get_running_loop().time
        began = clock()
        turn = Turn.EXPRESS if lane is Lane.EXPRESS else Turn.DECISION
        decided = await equipment.workbench.run(
            turn, lambda: equipment.decider.extend(batch, candidates, _BATCH_BYTES)
        )
        timings.decide += clock() - began
        return decided

    async def _commit(
        self, transaction: Transaction, batch: Batch, records: Sequence[Record], timings: Timings
    ) -> None:
        began = asyncio.get_running_loop().time()
        await transaction.begin()
        ends = await transaction.append(batch.plan.appends)
        await transaction.advance(_positions(records))
        await transaction.commit()
        await self._remember(batch.plan, ends)
        timings.commit = asyncio.get_running_loop().time() - began
        self._failures = 0
        self._equipment.observer.committed(self.number, batch.plan.judgements, timings)

    async def _remember(self, plan: Plan, ends: Mapping[PartitionId, int]) -> None:
        changelog = PartitionId(ROUTER_STATE, self.number)
        if changelog in ends:
            entries: list[tuple[str, Decision]] = list(plan.decisions.items())
            await asyncio.to_thread(self._equipment.decisions.apply, self.number, entries, ends[changelog])


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
