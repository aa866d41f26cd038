"""Reads topics beside everybody else, so that a claim rests on what Kafka holds and not on what a program said."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from axis.consumers.kafka import PartitionReader
from axis.ports import PartitionId, Record


class Witness:
    """Reads committed records without a group: it disturbs nobody and leaves no trace.

    Args:
        reader: connected; used by this witness alone.
    """

    def __init__(self, reader: PartitionReader) -> None:
        self._reader = reader

    async def mark(self, topics: Iterable[str]) -> dict[PartitionId, int]:
        """Return the present ends of every partition of these topics, to read from later."""
        places = [place for topic in topics for place in await self._reader.partitions(topic)]
        ends = await asyncio.gather(*(self._reader.end(place) for place in places))
        return dict(zip(places, ends, strict=True))

    async def collect(
        self,
        starts: Mapping[PartitionId, int],
        enough: Callable[[Sequence[Record]], bool],
        deadline_seconds: float = 60.0,
    ) -> list[Record]:
        """Return what was committed since the marks: until it is enough and nothing more follows, or the deadline.

        What did not come in time is simply not in the answer; the claim that rests on it does not hold then.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline_seconds
        found: list[Record] = []
        satisfied = False
        async for records in self._reader.read(starts):
            found += records
            satisfied = satisfied or (bool(records) and enough(found))
            if (satisfied and not records) or loop.time() > end:
                break
        return found
