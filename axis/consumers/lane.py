"""One lane of a router task: examine a batch while the one before is decided and committed.

    repeat    take → examine → complete → lay on the desk
    repeat    decide what lies on the desk → begin, append, advance, commit → remember

A batch may be large, because a transaction costs nearly the same whatever it holds. It is examined and decided in pieces.
The two lanes of a task go side by side, each with transactions of its own. A batch waits for the other lane only where it
asks about something that the other one has decided and not remembered: a signed answer would rest on what may still be
decided otherwise.

Where blob store or broker do not answer an examination, they are asked again for some seconds. Any other failure ends both
lanes; nothing is remembered before its commit succeeded.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar, cast

from axis.consumers.claims import Claims
from axis.consumers.decide import Batch, Judgement, Plan
from axis.consumers.equipment import Equipment, Timings, Turn
from axis.consumers.examine import Candidate
from axis.core.directory import Directory
from axis.core.envelope import Lane
from axis.core.topics import LANES, ROUTER_STATE
from axis.errors import Unavailable
from axis.ports import PartitionId, Record, Transaction
from axis.schemas.avro import Decision

_T = TypeVar("_T")
_WAIT_SECONDS: Final = 0.5
_PIECE_RECORDS: Final = 16
_PIECE_BYTES: Final = 256 * 1024
_BATCH_BYTES: Final = 32 * 1024 * 1024
_EXPRESS_RECORDS: Final = 100
_ATTEMPTS: Final = 6
"""How often the outside is asked about submissions before the incarnation is given up: about 8 s."""


@dataclass(slots=True)
class Examined:
    """A batch of one lane, examined and waiting to be decided.

    Attributes:
        directory: what it was examined by, and will be decided by.
        pieces: those of its submissions that are not decided yet, in the order of the log.
        seconds: how long the examination took, waiting included.
        decided: set when nothing of it is left.
    """

    directory: Directory
    pieces: deque[list[Candidate]] = field(default_factory=deque)
    seconds: float = 0.0
    decided: asyncio.Event = field(default_factory=asyncio.Event)


class Desk:
    """Where the examined batch of a lane lies until it is decided."""

    def __init__(self) -> None:
        self._lying: asyncio.Queue[Examined] = asyncio.Queue(1)

    async def lay(self, batch: Examined) -> None:
        """Lay a batch down; return when it is decided."""
        await self._lying.put(batch)
        await batch.decided.wait()

    async def next(self) -> Examined:
        """Return the batch to go on with."""
        return await self._lying.get()


@dataclass(slots=True)
class InHand:
    """Whether a lane has decided something that is not remembered.

    Attributes:
        floor: the changelog position that all of it will stand behind; None while nothing is in hand.
        remembered: set when nothing is in hand.
    """

    floor: int | None = None
    remembered: asyncio.Event = field(default_factory=asyncio.Event)

    def hold(self, floor: int) -> None:
        """Hold what is decided from now on."""
        self.floor = floor
        self.remembered.clear()

    def let_go(self) -> None:
        """Hold nothing any more: it is remembered."""
        self.floor = None
        self.remembered.set()


def _in_hand() -> dict[Lane, InHand]:
    return {lane: InHand() for lane in Lane}


@dataclass(slots=True)
class Incarnation:
    """What both lanes of a task share from its opening to its end.

    Attributes:
        number: the partition number in both lanes and in the changelog.
        stopping: set when the task is asked to finish what is in hand.
        changelog_end: a position that everything decided from now on will stand behind.
        in_hand: of each lane.
        committed: whether anything was.
        over: set when one of the lanes has ended, in order or by a failure.
        claims: the keys that each lane has in hand.
    """

    number: int
    equipment: Equipment
    stopping: asyncio.Event
    changelog_end: int
    in_hand: dict[Lane, InHand] = field(default_factory=_in_hand)
    committed: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)
    claims: Claims = field(default_factory=Claims)

    @property
    def goes_on(self) -> bool:
        """Whether more may be begun."""
        return not self.stopping.is_set() and not self.over.is_set()


class LaneLoop:
    """One lane of an incarnation.

    Args:
        lane: which.
        transaction: its transactions; opened.
        incarnation: what it shares with the other lane.
    """

    def __init__(self, lane: Lane, transaction: Transaction, incarnation: Incarnation) -> None:
        self._lane = lane
        self._turn = Turn.EXPRESS if lane is Lane.EXPRESS else Turn.DECISION
        self._place = PartitionId(LANES[lane], incarnation.number)
        self._transaction = transaction
        self._incarnation = incarnation
        self._equipment = incarnation.equipment
        self._desk = Desk()
        self._in_hand = incarnation.in_hand[lane]
        self._other = incarnation.in_hand[Lane.STANDARD if lane is Lane.EXPRESS else Lane.EXPRESS]

    async def run(self) -> None:
        """Route until the incarnation is over; a transaction in hand is finished.

        Raises:
            Unavailable: a step failed; what became of the transaction in hand is for the next incarnation to learn.
        """
        reader = asyncio.create_task(self._read())
        try:
            await self._settle(reader)
        finally:
            self._incarnation.over.set()
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _read(self) -> None:
        """Examine what comes, a batch ahead of what is committed."""
        while True:
            await self._desk.lay(await self._examined())

    async def _examined(self) -> Examined:
        """Wait for the next batch and examine it."""
        equipment, clock = self._equipment, asyncio.get_running_loop().time
        limit = _EXPRESS_RECORDS if self._lane is Lane.EXPRESS else equipment.batch_records
        while not (records := await equipment.submissions.take(self._place, limit, _WAIT_SECONDS)):
            pass
        equipment.observer.taken(self._incarnation.number, records)
        began, directory = clock(), equipment.directory.current()
        turn = Turn.EXPRESS if self._lane is Lane.EXPRESS else Turn.EXAMINATION
        # All pieces are ordered at once, so that none waits for the event loop between two of them.
        pieces = await asyncio.gather(
            *(
                equipment.workbench.run(turn, partial(equipment.examiner.examine, piece, directory), number)
                for number, piece in enumerate(_pieces(records))
            )
        )
        batch = Examined(directory, deque(pieces))
        for candidates in batch.pieces:
            await self._complete(candidates)
        batch.seconds = clock() - began
        return batch

    async def _complete(self, candidates: Sequence[Candidate]) -> None:
        """Ask the outside about submissions, more than once: meanwhile the other lane goes on."""
        equipment, number = self._equipment, self._incarnation.number
        for attempt in range(_ATTEMPTS):
            try:
                await equipment.examiner.complete(candidates, self._transaction.missing_topics)
            except Unavailable as error:
                if attempt == _ATTEMPTS - 1:
                    raise
                delay = equipment.retry.delay_seconds(attempt)
                equipment.observer.delayed(number, error, delay)
                await asyncio.sleep(delay)
            else:
                if attempt:
                    equipment.observer.resumed(number)
                return

    async def _settle(self, reader: "asyncio.Task[None]") -> None:
        """Decide and commit what lies on the desk, batch by batch."""
        incarnation = self._incarnation
        while incarnation.goes_on:
            ended = (incarnation.stopping.wait(), incarnation.over.wait(), asyncio.wait([reader]))
            examined = await first_of(self._desk.next(), *ended)
            if reader.done():
                reader.result()
            while examined is not None and examined.pieces and incarnation.goes_on:
                if not await self._carry_out(examined):
                    await first_of(
                        self._other.remembered.wait(), incarnation.stopping.wait(), incarnation.over.wait()
                    )

    async def _carry_out(self, examined: Examined) -> bool:
        """Decide as much of a batch as one transaction may write, and commit that; the rest of it stays where it is.

        Returns:
            Whether anything could be decided; otherwise the first of it waits for what the other lane has in hand.
        """
        incarnation, clock = self._incarnation, asyncio.get_running_loop().time
        timings, examined.seconds = Timings(examine=examined.seconds), 0.0
        batch, records = Batch(examined.directory), list[Record]()
        self._in_hand.hold(incarnation.changelog_end)
        while examined.pieces and (incarnation.goes_on or not records):
            candidates, began = examined.pieces.popleft(), clock()
            decided = await self._equipment.workbench.run(
                self._turn, partial(self._decide, batch, candidates)
            )
            timings.decide += clock() - began
            records += [each.record for each in candidates[:decided]]
            if decided < len(candidates):
                examined.pieces.appendleft(candidates[decided:])
                break
        if not examined.pieces:
            examined.decided.set()
        if records:
            await self._commit(batch, records, timings)
        # Not after a failure: what came of it is for the next incarnation to learn.
        incarnation.claims.release(self._lane)
        self._in_hand.let_go()
        if records:
            await self._tell(batch.plan.judgements, timings)
        return bool(records)

    def _decide(self, batch: Batch, candidates: Sequence[Candidate]) -> int:
        claimed = self._incarnation.claims.claim(self._lane, candidates)
        return self._equipment.decider.extend(batch, candidates[:claimed], _BATCH_BYTES)

    async def _commit(self, batch: Batch, records: Sequence[Record], timings: Timings) -> None:
        transaction, clock = self._transaction, asyncio.get_running_loop().time
        began = clock()
        await transaction.begin()
        ends = await transaction.append(batch.plan.appends)
        await transaction.advance(_positions(records))
        await transaction.commit()
        await self._remember(batch.plan, ends)
        timings.commit = clock() - began
        self._incarnation.committed = True

    async def _tell(self, judgements: Sequence[Judgement], timings: Timings) -> None:
        observer, number = self._equipment.observer, self._incarnation.number
        observer.committed(number, judgements, timings)
        # A piece at a time: the event loop has answers to read.
        for start in range(0, len(judgements), _PIECE_RECORDS):
            await asyncio.sleep(0)
            observer.decided(number, judgements[start : start + _PIECE_RECORDS])

    async def _remember(self, plan: Plan, ends: Mapping[PartitionId, int]) -> None:
        incarnation = self._incarnation
        changelog = PartitionId(ROUTER_STATE, incarnation.number)
        if changelog in ends:
            position = incarnation.changelog_end = max(incarnation.changelog_end, ends[changelog])
            if self._other.floor is not None:
                # What the other lane has in hand may stand before this, and must be read again after a crash.
                position = min(position, self._other.floor)
            entries: list[tuple[str, Decision]] = list(plan.decisions.items())
            apply = partial(self._equipment.decisions.apply, incarnation.number, entries, position)
            await self._equipment.workbench.run(self._turn, apply)


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


async def first_of(wanted: Awaitable[_T], *others: Awaitable[object]) -> _T | None:
    """Return what is wanted, or None when one of the others came first; what did not come is cancelled."""
    tasks = [asyncio.ensure_future(wanted), *map(asyncio.ensure_future, others)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return cast("_T", tasks[0].result()) if tasks[0].done() else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
