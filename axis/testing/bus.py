"""Kafka in memory, as far as the ports promise anything about it: for tests of use cases, with failures at will.

    bus = MemoryBus(clock, {"axis.submissions.standard": 2, ...})
    MemoryWriter(bus)                       axis.ports.BusWriter
    MemoryReader(bus)                       axis.ports.BusReader
    MemoryTransaction(bus, name, group)     axis.ports.Transaction
    MemoryGroupReader(bus, group, places)   axis.consumers.equipment.Submissions

Every call tells the bus's listener when it begins ("before commit") and when its effect is there ("after commit"), and
an append of several records also when half of them are written ("within append"). A listener may raise, which is a
failure at that moment, or append to the bus, which is somebody else being faster.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from axis.errors import IllegalTransition
from axis.ports import Append, PartitionId, Record
from axis.testing.log import MemoryBus

_READ_RECORDS: Final = 500
_WAIT_SECONDS: Final = 0.05


class MemoryWriter:
    """Implements `axis.ports.BusWriter`."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus

    async def append(self, append: Append) -> int:
        """Write one record and return its offset."""
        await asyncio.sleep(0)
        with self._bus.call("append one"):
            return self._bus.append(append).offset


class MemoryReader:
    """Implements `axis.ports.BusReader`."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus

    async def end(self, place: PartitionId) -> int:
        """Return the offset after the last committed record, and after its marker."""
        await asyncio.sleep(0)
        with self._bus.call("end"):
            return self._bus.end(place)

    async def read_to_end(self, starts: Mapping[PartitionId, int]) -> AsyncIterator[Sequence[Record]]:
        """Yield what is committed now, from the given offsets on, then stop."""
        ends = {place: await self.end(place) for place in starts}
        positions = dict(starts)
        while records := self._next(positions, ends):
            await asyncio.sleep(0)
            yield records

    def _next(self, positions: dict[PartitionId, int], ends: Mapping[PartitionId, int]) -> list[Record]:
        """Return what comes next and move the positions behind it."""
        with self._bus.call("read"):
            records: list[Record] = []
            for place, start in positions.items():
                end = ends[place]
                records += [each for each in self._bus.visible(place, start) if each.offset < end]
            records = records[:_READ_RECORDS]
            for record in records:
                positions[record.place] = record.offset + 1
            return records


class MemoryTransaction:
    """Implements `axis.ports.Transaction`, and insists on its rules: opened once, after a failure only closed.

    Args:
        bus: the log.
        name: the transactional id; a later incarnation fences this one.
        group: the group whose positions are part of the transaction.
    """

    def __init__(self, bus: MemoryBus, name: str, group: str) -> None:
        self._bus = bus
        self._name = name
        self._group = group
        self._epoch: int | None = None
        self._failed = self._closed = False

    async def open(self) -> None:
        """Fence earlier incarnations and undo what they left."""
        await asyncio.sleep(0)
        with self._call("open"):
            self._epoch = self._bus.fence(self._name)

    async def confirm(self, positions: Mapping[PartitionId, int]) -> None:
        """Commit input positions and nothing else; it fails where a later incarnation has fenced this one."""
        await asyncio.sleep(0)
        with self._call("confirm"):
            self._bus.confirm(self._group, positions)

    async def missing_topics(self, topics: Collection[str]) -> Collection[str]:
        """Return those of these topics that do not exist."""
        await asyncio.sleep(0)
        if self._epoch is None or self._closed:
            raise IllegalTransition("missing_topics out of turn: it is asked from open to close")
        with self._bus.call("missing_topics"):
            return set(topics) - set(self._bus.topics())

    async def begin(self) -> None:
        """Start a transaction."""
        await asyncio.sleep(0)
        with self._call("begin"):
            self._bus.begin(self._name, self._group)

    async def append(self, appends: Sequence[Append]) -> Mapping[PartitionId, int]:
        """Write records, and return the offset after the last one of each partition."""
        await asyncio.sleep(0)
        ends: dict[PartitionId, int] = {}
        with self._call("append"):
            for number, append in enumerate(appends):
                if number == len(appends) // 2:
                    self._bus.listener("within append")
                    self._check_epoch()
                record = self._bus.write(self._name, append)
                ends[record.place] = record.offset + 1
        return ends

    async def advance(self, positions: Mapping[PartitionId, int]) -> None:
        """Add the input positions to the transaction."""
        await asyncio.sleep(0)
        with self._call("advance"):
            self._bus.advance(self._name, positions)

    async def commit(self) -> None:
        """Make everything visible."""
        await asyncio.sleep(0)
        with self._call("commit"):
            self._bus.settle(self._name, committed=True)

    async def close(self) -> None:
        """Let go; what is open stays open until a later incarnation undoes it, as with a dead process."""
        self._failed = self._closed = True

    def _check_epoch(self) -> None:
        if self._epoch is not None:
            self._bus.check_epoch(self._name, self._epoch)

    @contextmanager
    def _call(self, name: str) -> Iterator[None]:
        """Tell the bus of a call, check that it is allowed, and remember a failure of it."""
        if self._failed:
            raise IllegalTransition(
                f"{name} after a failure: a transaction that failed is closed and replaced"
            )
        if (self._epoch is None) is not (name == "open"):
            raise IllegalTransition(
                f"{name} out of turn: a transaction object is opened once, before anything else"
            )
        try:
            with self._bus.call(name):
                self._check_epoch()
                yield
        except BaseException:
            self._failed = True
            raise


class MemoryGroupReader:
    """Implements `axis.consumers.equipment.Submissions`: a member of a group, with the partitions that a test assigns to it.

    Args:
        bus: the log.
        group: whose committed positions it starts from.
        places: the partitions assigned at first.
    """

    def __init__(self, bus: MemoryBus, group: str, places: Collection[PartitionId] = ()) -> None:
        self._bus = bus
        self._group = group
        self._assigned = frozenset(places)
        self._positions: dict[PartitionId, int] = {}

    def assign(self, places: Collection[PartitionId]) -> None:
        """Give it these partitions, and take all others away."""
        self._assigned = frozenset(places)
        self.pause([place for place in self._positions if place not in self._assigned])

    def owns(self, places: Collection[PartitionId]) -> bool:
        """Tell whether these partitions are assigned to this member now."""
        return self._assigned.issuperset(places)

    async def rewind(self, places: Collection[PartitionId]) -> Mapping[PartitionId, int]:
        """Set partitions to their committed positions, let them flow, and return the positions."""
        await asyncio.sleep(0)
        with self._bus.call("rewind"):
            positions = {place: self._bus.position(self._group, place) for place in places}
            self._positions.update(positions)
            return positions

    def pause(self, places: Collection[PartitionId]) -> None:
        """Stop the flow of partitions, until they are rewound."""
        for place in places:
            self._positions.pop(place, None)

    async def take(self, place: PartitionId, limit: int, wait_seconds: float) -> Sequence[Record]:
        """Return up to `limit` records of a partition, in its order; none after the wait."""
        await asyncio.sleep(0)
        if not self._waiting(place) and wait_seconds:
            await self._bus.change(wait_seconds)
        if not self.owns([place]):
            return ()
        with self._bus.call("take"):
            records = self._waiting(place)[:limit]
            for record in records:
                self._positions[place] = record.offset + 1
            return records

    def _waiting(self, place: PartitionId) -> list[Record]:
        """Return what stands behind the position of a partition that flows."""
        if place not in self._positions:
            return []
        return self._bus.visible(place, self._positions[place])
