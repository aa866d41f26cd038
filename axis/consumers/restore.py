"""Rebuild the decision store from its changelog: the tail after a restart, everything after a lost disk."""

import asyncio

from axis.core.topics import ROUTER_STATE
from axis.errors import IntegrityError, Refused
from axis.ports import BusReader, DecisionStore, PartitionId, Record
from axis.schemas.avro import Decision, decode


class DecisionChangelog:
    """Reads one changelog partition after the other into a decision store.

    Args:
        reader: a reader of its own; partitions are restored one at a time.
    """

    def __init__(self, reader: BusReader) -> None:
        self._reader = reader
        self._one_at_a_time = asyncio.Lock()

    async def restore(self, partition: int, decisions: DecisionStore) -> int:
        """Bring a store up to the end of a changelog partition; return how many entries were read.

        To be called after earlier incarnations were fenced: only then does the end stand still.

        Raises:
            IntegrityError: the changelog holds something else than decisions.
            Unavailable: it cannot be read now.
        """
        async with self._one_at_a_time:
            place = PartitionId(ROUTER_STATE, partition)
            start = decisions.position(partition)
            if start > await self._reader.end(place):
                # The file knows a longer history than the broker: it belongs to another one.
                decisions.forget(partition)
                start = 0
            count = 0
            async for records in self._reader.read_to_end({place: start}):
                entries = [_entry(record) for record in records]
                decisions.apply(partition, entries, records[-1].offset + 1)
                count += len(entries)
            return count


def _entry(record: Record) -> tuple[str, Decision]:
    try:
        decision = decode(record.value or b"")
        if isinstance(decision, Decision) and record.key is not None:
            return record.key.decode(), decision
    except (Refused, UnicodeDecodeError) as error:
        raise _no_decision(record) from error
    raise _no_decision(record)


def _no_decision(record: Record) -> IntegrityError:
    return IntegrityError(
        f"{record.topic}/{record.partition}/{record.offset} is no decision that this version of the axis can read. Where"
        " routers of a later version run, upgrade this one; else something other than a router wrote there: withdraw its"
        " right to write"
    )
