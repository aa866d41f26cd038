"""A node of the town in memory: its inbox and its taking, on the bus of the town's axis."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from axis.consumers.inbox import Entry, Inbox
from axis.consumers.take import Taker
from axis.core.addressing import OrganisationCode
from axis.core.directory import Directory
from axis.ports import BusWriter, PartitionId, Record
from axis.storage.journal import Journal, StoredDelivery
from axis.testing.bus import MemoryWriter
from axis.testing.clock import SettableClock
from axis.testing.log import MemoryBus
from tests.attack.forge import ENVIRONMENT
from tests.unit.consumers.town import AXIS, LANE_PARTITIONS, NOW, Site


@dataclass(slots=True)
class OwnDirectory:
    """Implements `axis.ports.DirectorySource`; the node's own, which may be behind that of the axis."""

    directory: Directory

    def current(self) -> Directory:
        """Return the directory that was set."""
        return self.directory


class TopicReader:
    """Implements `axis.consumers.inbox.InboxReader` on the bus."""

    def __init__(self, bus: MemoryBus) -> None:
        self.bus = bus

    async def beginning(self, place: PartitionId) -> int:
        """Return the first offset: nothing is ever removed."""
        del place
        return 0

    async def end(self, place: PartitionId) -> int:
        """Return the offset after the last committed record."""
        return self.bus.end(place)

    async def follow(self, starts: Mapping[PartitionId, int]) -> AsyncIterator[Sequence[Record]]:
        """Yield what is there, then empty batches for ever."""
        for place, start in starts.items():
            yield self.bus.visible(place, start)
        while True:
            yield ()

    async def read_to_end(
        self, starts: Mapping[PartitionId, int], ends: Mapping[PartitionId, int]
    ) -> AsyncIterator[Sequence[Record]]:
        """Yield what is committed before the ends."""
        for place, start in starts.items():
            if records := [each for each in self.bus.visible(place, start) if each.offset < ends[place]]:
                yield records


@dataclass(slots=True)
class Recipient:
    """The node of one organisation."""

    site: Site
    code: str
    clock: SettableClock = field(default_factory=lambda: SettableClock(NOW))
    writer: BusWriter | None = None
    reader: type[TopicReader] = TopicReader
    journal: Journal = field(default_factory=lambda: Journal(":memory:"))
    directory: OwnDirectory = field(init=False)
    inbox: Inbox = field(init=False)
    taker: Taker = field(init=False)

    def __post_init__(self) -> None:
        self.directory = OwnDirectory(self.site.town.directory)
        self.inbox = Inbox(
            owner=OrganisationCode(self.code),
            axis=OrganisationCode(AXIS),
            environment=ENVIRONMENT,
            reader=self.reader(self.site.bus),
            identify=_always_the_same,
            verifier=self.site.town.verifier,
            directory=self.directory,
            journal=self.journal,
            lane_partitions=LANE_PARTITIONS,
            rules="",
        )
        self.taker = Taker(
            owner=OrganisationCode(self.code),
            environment=ENVIRONMENT,
            signer=self.site.town.forgers[self.code].signer,
            journal=self.journal,
            writer=self.writer or MemoryWriter(self.site.bus),
            clock=self.clock,
            lane_partitions=LANE_PARTITIONS,
        )

    async def read(self) -> list[Entry]:
        """Read what is new in the inbox."""
        return [entry async for entries in self.inbox.synchronise() for entry in entries]

    def waiting(self) -> list[StoredDelivery]:
        """Return what waits to be taken, or to be acknowledged."""
        return list(self.journal.deliveries(waiting=True))


async def _always_the_same() -> str:
    return "the only one"
