"""What a router task works with: the ports of its loop, and what all tasks of a router process share."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, TypeVar

from axis.consumers.decide import Decider, Judgement
from axis.consumers.examine import Examiner
from axis.core.retry import RetrySchedule
from axis.errors import Unavailable
from axis.ports import DecisionStore, DirectorySource, PartitionId, Record

_T = TypeVar("_T")


class Submissions(Protocol):
    """Where a task's records come from; `axis.consumers.kafka.GroupReader` in production."""

    def owns(self, places: Collection[PartitionId]) -> bool:
        """Tell whether these partitions are assigned to this member now."""

    async def rewind(self, places: Collection[PartitionId]) -> Mapping[PartitionId, int]:
        """Set partitions to their committed positions and let them flow."""

    def pause(self, places: Collection[PartitionId]) -> None:
        """Stop the flow of partitions."""

    async def take(self, place: PartitionId, limit: int, wait_seconds: float) -> Sequence[Record]:
        """Return up to `limit` records of a partition, or none after the wait."""


class Changelog(Protocol):
    """Reads decisions back from Kafka."""

    async def restore(self, partition: int, decisions: DecisionStore) -> int:
        """Bring a decision store up to the end of a changelog partition; return how many entries were read."""


class Turn(IntEnum):
    """Whose computation goes first. What is begun is finished before more is begun: decisions come before examinations."""

    EXPRESS = 0
    DECISION = 1
    EXAMINATION = 2


class Workbench(Protocol):
    """Runs computations so that they do not hold up the event loop, the first turn first."""

    async def run(self, turn: Turn, work: Callable[[], _T], number: int = 0) -> _T:
        """Run the work and return its result.

        Args:
            turn: whose turn it is.
            work: what to compute.
            number: of a piece within its batch; within a turn first pieces go before all others, so that a large batch
                does not hold up a small one.
        """


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

    def decided(self, task: int, judgements: Sequence[Judgement]) -> None:
        """Some submissions of a batch that was committed were decided."""

    def failed(self, task: int, error: Unavailable, retry_in_seconds: float) -> None:
        """An incarnation was given up."""

    def opened(self, task: int, restored: int) -> None:
        """An incarnation is ready."""

    def delayed(self, task: int, error: Unavailable, retry_in_seconds: float) -> None:
        """An examination cannot be completed now; the task's other lane goes on."""

    def resumed(self, task: int) -> None:
        """An examination that was delayed is complete."""


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
