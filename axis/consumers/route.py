"""One router task: partition *i* of both submission lanes, express first, each batch one Kafka transaction.

    open      fence earlier incarnations of this task and settle what they left
    restore   read the tail of the changelog into the decision store
    rewind    set both lanes to their committed positions, which are final only now
    repeat    take → examine → complete → decide → begin, append, advance, commit → remember

A failure anywhere gives the incarnation up: nothing is remembered before its commit succeeded, and after a commit whose
outcome is unknown the next incarnation learns it from the committed position and the changelog.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from axis.consumers.decide import Decider, Judgement, Plan
from axis.consumers.examine import LANES, Candidate, Examiner
from axis.core.addressing import Directory
from axis.core.envelope import Lane
from axis.core.retry import RetrySchedule
from axis.core.topics import ROUTER_STATE
from axis.errors import Unavailable
from axis.ports import DecisionStore, DirectorySource, PartitionId, Record, Transaction
from axis.schemas.avro import Decision

_T = TypeVar("_T")
_WAIT_SECONDS: Final = 0.5
_PIECE_RECORDS: Final = 32


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


class Workbench(Protocol):
    """Runs computations so that they do not hold up the event loop; express work goes first."""

    async def run(self, lane: Lane, work: Callable[[], _T]) -> _T:
        """Run the work and return its result."""


@dataclass(frozen=True, slots=True)
class Timings:
    """How long the steps of one batch took, in seconds, waiting included."""

    examine: float
    decide: float
    commit: float


class Observer(Protocol):
    """Is told what happened; logs and metrics."""

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
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ask the task to finish the batch in hand and return from `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Route until stopped; failures outside are waited out."""
        attempt = 0
        # A task that lost its partitions must not open: it would fence the one that has them now.
        while not self._stopping.is_set() and self._equipment.submissions.owns(self._lanes):
            try:
                await self._incarnation()
            except Unavailable as error:
                delay = self._equipment.retry.delay_seconds(attempt)
                attempt += 1
                self._equipment.observer.failed(self.number, error, delay)
                await _first(asyncio.sleep(delay), self._stopping.wait())
            else:
                attempt = 0

    async def _incarnation(self) -> None:
        transaction = self._new_transaction()
        try:
            await transaction.open()
            restored = await self._equipment.changelog.restore(self.number)
            await self._equipment.submissions.rewind(self._lanes)
            self._equipment.observer.opened(self.number, restored)
            while not self._stopping.is_set():
                records = await self._next()
                if records:
                    await self._carry_out(transaction, records)
        finally:
            self._equipment.submissions.pause(self._lanes)
            await transaction.close()

    async def _next(self) -> Sequence[Record]:
        """Return the next batch: whatever is express, else whatever comes first."""
        take, limit = self._equipment.submissions.take, self._equipment.batch_records
        express = await take((self._express,), limit, 0)
        if express:
            return express
        # A rebalance waits for this task to stop, and taking waits for the rebalance: the stop must win.
        taken = await _first(take(self._lanes, limit, _WAIT_SECONDS), self._stopping.wait())
        return taken if isinstance(taken, list) else ()

    async def _carry_out(self, transaction: Transaction, records: Sequence[Record]) -> None:
        equipment, clock = self._equipment, asyncio.get_running_loop().time
        lane = Lane.EXPRESS if records[0].place == self._express else Lane.STANDARD
        directory = equipment.directory.current()
        began = clock()
        candidates = await self._examine(lane, records, directory)
        await equipment.examiner.complete(candidates, transaction.missing_topics)
        examined = clock()
        plan = await equipment.workbench.run(lane, lambda: equipment.decider.decide(candidates, directory))
        decided = clock()
        await transaction.begin()
        ends = await transaction.append(plan.appends)
        await transaction.advance(_positions(records))
        await transaction.commit()
        self._remember(plan, ends)
        timings = Timings(examined - began, decided - examined, clock() - decided)
        equipment.observer.committed(self.number, plan.judgements, timings)

    async def _examine(self, lane: Lane, records: Sequence[Record], directory: Directory) -> list[Candidate]:
        """Examine a batch in pieces, so that express work never waits longer than for one piece."""
        candidates: list[Candidate] = []
        for start in range(0, len(records), _PIECE_RECORDS):
            piece = records[start : start + _PIECE_RECORDS]
            candidates += await self._equipment.workbench.run(
                lane,
                lambda piece=piece: self._equipment.examiner.examine(piece, directory),  # type: ignore[misc] # bound
            )
        return candidates

    def _remember(self, plan: Plan, ends: Mapping[PartitionId, int]) -> None:
        changelog = PartitionId(ROUTER_STATE, self.number)
        if changelog in ends:
            entries: list[tuple[str, Decision]] = list(plan.decisions.items())
            self._equipment.decisions.apply(self.number, entries, ends[changelog])


def _positions(records: Sequence[Record]) -> dict[PartitionId, int]:
    positions: dict[PartitionId, int] = {}
    for record in records:
        positions[record.place] = max(record.offset + 1, positions.get(record.place, 0))
    return positions


async def _first(wanted: Awaitable[_T], stop: Awaitable[object]) -> _T | object:
    """Return what comes first; the other one is cancelled."""
    tasks = [asyncio.ensure_future(wanted), asyncio.ensure_future(stop)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0].result() if tasks[0] in done else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
