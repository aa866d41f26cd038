"""What a router process has taken and not committed, per lane partition."""

from collections.abc import Iterable
from datetime import datetime

from axis.ports import PartitionId, Record


class Uncommitted:
    """Notes records from when they are taken until they are committed or will be taken again.

    Attributes:
        taken_to: per partition, the offset after the last record ever taken; it stands still while nothing is taken.
    """

    def __init__(self) -> None:
        self._appended_at: dict[PartitionId, dict[int, datetime]] = {}
        self.taken_to: dict[PartitionId, int] = {}

    def take(self, records: Iterable[Record]) -> None:
        """Note records that were taken, in the order of each partition."""
        for record in records:
            self._appended_at.setdefault(record.place, {})[record.offset] = record.appended_at
            self.taken_to[record.place] = record.offset + 1

    def commit(self, records: Iterable[Record]) -> None:
        """Forget everything up to these records: they were committed."""
        last: dict[PartitionId, int] = {}
        for record in records:
            last[record.place] = max(record.offset, last.get(record.place, 0))
        for place, offset in last.items():
            in_hand = self._appended_at.get(place, {})
            self._appended_at[place] = {each: at for each, at in in_hand.items() if each > offset}

    def forget(self, task: int) -> None:
        """Forget what a task has taken: it, or another process, takes it again from the committed position on."""
        for place in [place for place in self._appended_at if place.partition == task]:
            del self._appended_at[place]

    def count(self, place: PartitionId) -> int:
        """Return how many records of a partition are in hand."""
        return len(self._appended_at.get(place, {}))

    def first(self, task: int) -> list[str]:
        """Return where the oldest records stand that a task has in hand, as "topic/partition/offset"."""
        return [
            f"{place.topic}/{task}/{min(in_hand)}"
            for place, in_hand in sorted(self._appended_at.items())
            if place.partition == task and in_hand
        ]

    def oldest(self, place: PartitionId) -> datetime | None:
        """Return when the oldest record in hand was appended; None where none is in hand."""
        return next(iter(self._appended_at.get(place, {}).values()), None)
