"""The log of the bus in memory: topics, partitions, transactions, committed positions; `axis.testing.bus` has its ports.

What it keeps of Kafka, because a use case may go wrong over it: an open transaction's records already have their
offsets; committed readers stop before the first of them; the markers that end a transaction take an offset as well, so
offsets have gaps; what was aborted is never seen; a later incarnation fences an earlier one and undoes what it left open.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from axis.errors import IllegalTransition, OutcomeUnknown, Unavailable
from axis.ports import Append, Clock, PartitionId, Record

_OUTCOME_UNKNOWN: Final = frozenset({"before commit", "after commit", "after append one"})

Listener = Callable[[str], None]
"""Is told each moment, as "before <call>", "within <call>" or "after <call>"; what it raises is raised by the call."""


def deaf(moment: str) -> None:
    """Listen to nothing."""
    del moment


class Faults:
    """A listener that fails once, at one moment; without one it only counts.

    Args:
        at: the number of the moment, counted from 0.
        failure: what to raise at a moment; by default what Kafka's adapters would raise there.

    Attributes:
        moments: all moments so far, in order.
    """

    def __init__(self, at: int | None = None, failure: Callable[[str], Exception] | None = None) -> None:
        self.moments: list[str] = []
        self._at = at
        self._failure = failure or outage

    def __call__(self, moment: str) -> None:
        """Count the moment, and fail if it is the one."""
        self.moments.append(moment)
        if len(self.moments) - 1 == self._at:
            raise self._failure(moment)


def outage(moment: str) -> Unavailable:
    """Return the failure that an adapter reports when the connection breaks at a moment."""
    kind = OutcomeUnknown if moment in _OUTCOME_UNKNOWN else Unavailable
    return kind(f"the connection broke {moment}", fault="unreachable")


@dataclass(frozen=True, slots=True)
class Commit:
    """What became visible at once.

    Attributes:
        writer: the transactional id; None for a plain writer.
        records: in the order in which they were written.
        positions: the input positions that were committed with them.
    """

    writer: str | None
    records: tuple[Record, ...]
    positions: Mapping[PartitionId, int]


@dataclass(slots=True)
class _Open:
    """An open transaction: what it has written, and the positions that it will commit."""

    group: str
    records: list[Record] = field(default_factory=list)
    positions: dict[PartitionId, int] = field(default_factory=dict)


class MemoryBus:
    """The log: topics, partitions, transactions, committed positions.

    Args:
        clock: the time that records are appended at.
        topics: name -> number of partitions.
        listener: is told each moment of each call.

    Attributes:
        commits: everything that was committed, in that order.
        listener: may be replaced at any time.
    """

    def __init__(self, clock: Clock, topics: Mapping[str, int], listener: Listener = deaf) -> None:
        self.commits: list[Commit] = []
        self.listener = listener
        self._clock = clock
        self._logs: dict[PartitionId, list[Record | None]] = {}
        self._positions: dict[tuple[str, PartitionId], int] = {}
        self._epochs: dict[str, int] = {}
        self._open: dict[str, _Open] = {}
        self._waiting: set[asyncio.Event] = set()
        for topic, partitions in topics.items():
            self.create(topic, partitions)

    def create(self, topic: str, partitions: int) -> None:
        """Create a topic."""
        self._logs.update({PartitionId(topic, number): [] for number in range(partitions)})

    def topics(self) -> Collection[str]:
        """Return the names of all topics."""
        return {place.topic for place in self._logs}

    def append(self, append: Append) -> Record:
        """Write a record outside any transaction; it is visible at once.

        Raises:
            Unavailable: there is no such partition.
        """
        record = self._write(append)
        self._show(Commit(None, (record,), {}))
        return record

    def records(self, topic: str, partition: int | None = None) -> list[Record]:
        """Return what committed readers see of a topic, partition by partition."""
        return [
            record
            for place in self._logs
            if place.topic == topic and partition in {None, place.partition}
            for record in self.visible(place)
        ]

    def visible(self, place: PartitionId, start: int = 0) -> list[Record]:
        """Return what committed readers see of a partition from an offset on."""
        log = self._log(place)
        return [record for record in log[start : self.end(place)] if record is not None]

    def end(self, place: PartitionId) -> int:
        """Return the offset that committed readers stop at: of the first record still open, or after the last one."""
        held = (
            record.offset for each in self._open.values() for record in each.records if record.place == place
        )
        return min(held, default=len(self._log(place)))

    def position(self, group: str, place: PartitionId) -> int:
        """Return the committed position of a group, the beginning where there is none."""
        return self._positions.get((group, place), 0)

    async def change(self, wait_seconds: float) -> None:
        """Return when something becomes visible, or after the wait."""
        changed = asyncio.Event()
        self._waiting.add(changed)
        try:
            await asyncio.wait_for(changed.wait(), wait_seconds)
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(changed)

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        """Tell the listener of a call whose effect is the block."""
        self.listener(f"before {name}")
        yield
        self.listener(f"after {name}")

    def fence(self, writer: str) -> int:
        """Undo what earlier incarnations of a transactional id left open; return the epoch of the new one."""
        if writer in self._open:
            self.settle(writer, committed=False)
        self._epochs[writer] = self._epochs.get(writer, 0) + 1
        return self._epochs[writer]

    def check_epoch(self, writer: str, epoch: int) -> None:
        """Refuse an incarnation that is not the newest.

        Raises:
            Unavailable: it was fenced.
        """
        if self._epochs.get(writer) != epoch:
            raise Unavailable(f"a later incarnation of {writer} has fenced this one", fault="fenced")

    def begin(self, writer: str, group: str) -> None:
        """Open a transaction.

        Raises:
            IllegalTransition: one is open; the calls below raise it when none is.
        """
        if writer in self._open:
            raise IllegalTransition(f"{writer} has a transaction open already")
        self._open[writer] = _Open(group)

    def write(self, writer: str, append: Append) -> Record:
        """Write a record of an open transaction."""
        pending = self._pending(writer)
        record = self._write(append)
        pending.records.append(record)
        return record

    def advance(self, writer: str, positions: Mapping[PartitionId, int]) -> None:
        """Add positions to an open transaction."""
        self._pending(writer).positions.update(positions)

    def complete(self) -> list[str]:
        """Return the transactional ids whose open transactions have everything that a commit needs."""
        return [writer for writer, pending in self._open.items() if pending.positions]

    def confirm(self, group: str, positions: Mapping[PartitionId, int]) -> None:
        """Set positions that a group has committed already: nothing changes but what may be seen of it."""
        self._positions.update({(group, place): position for place, position in positions.items()})

    def settle(self, writer: str, *, committed: bool) -> None:
        """End a transaction; each partition that it wrote to gets a marker."""
        pending = self._pending(writer)
        del self._open[writer]
        for record in pending.records:
            if not committed:
                self._log(record.place)[record.offset] = None
        for place in dict.fromkeys(record.place for record in pending.records):
            self._log(place).append(None)
        if committed:
            for place, position in pending.positions.items():
                self._positions[pending.group, place] = position
            self._show(Commit(writer, tuple(pending.records), dict(pending.positions)))

    def _pending(self, writer: str) -> _Open:
        try:
            return self._open[writer]
        except KeyError:
            raise IllegalTransition(f"{writer} has no transaction open") from None

    def _show(self, commit: Commit) -> None:
        self.commits.append(commit)
        for changed in self._waiting:
            changed.set()

    def _write(self, append: Append) -> Record:
        log = self._log(PartitionId(append.topic, append.partition))
        record = Record(append.topic, append.partition, len(log), self._clock.now(), append.key, append.value)
        log.append(record)
        return record

    def _log(self, place: PartitionId) -> list[Record | None]:
        try:
            return self._logs[place]
        except KeyError:
            raise Unavailable(
                f"there is no {place.topic}/{place.partition}; create the topic first"
            ) from None
