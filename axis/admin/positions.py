"""The committed positions of a consumer group. Synchronous; every question has a deadline."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from axis.errors import Bilingual, Unavailable
from axis.ports import PartitionId

_ASKING_SECONDS: Final = 5.0
"""How long one request is waited for: whoever asks no more is let go after it."""
_PASSING_SECONDS: Final = 0.2
_PASSING: Final = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
"""What a coordinator answers while it moves, or before it knows a topic: it passes by itself."""
_SILENCE: Final = frozenset({KafkaError._TIMED_OUT, KafkaError._WAIT_COORD, KafkaError._TRANSPORT})  # noqa: SLF001 - their public names

# librdkafka reports every refused connection; the reader gets the last one in the exception.
_silent = logging.getLogger("axis.admin.librdkafka")


class GroupPositions:
    """Asks for the positions of one group, each time with a connection of its own.

    A client that has lived through the death of the group's coordinator may wait for it in vain. And not by
    `AdminClient.list_consumer_group_offsets`: librdkafka ends the process with SIGSEGV when the coordinator has just
    moved (librdkafka#5040). A consumer that joins nothing asks the same.

    Args:
        options: addresses and mTLS for librdkafka.
        group: its name.
        timeout_seconds: deadline of one question.
    """

    def __init__(
        self, options: Mapping[str, str | int | float | bool], group: str, timeout_seconds: float = 30.0
    ) -> None:
        self._options = dict(options)
        self._group = group
        self._timeout_seconds = timeout_seconds

    def committed(
        self,
        places: Collection[PartitionId],
        *,
        settled: bool = False,
        wanted: Callable[[], bool] = lambda: True,
    ) -> dict[PartitionId, int]:
        """Return the positions; nothing for partitions that the group never committed.

        Args:
            places: the partitions.
            settled: whether only positions count that no transaction can move any more (`require_stable`, KIP-447).
            wanted: asked every few seconds; when it says no, the question is given up.

        Raises:
            Unavailable: no coordinator answers, or a transaction that may still move a position stays open.
        """
        deadline = monotonic() + self._timeout_seconds
        with self._asking(settled=settled) as (consumer, faults):
            while True:
                try:
                    return self._ask(consumer, places)
                except KafkaException as error:
                    code = error.args[0].code()
                    if code not in _PASSING | _SILENCE or not wanted():
                        raise self._failure(error, faults) from error
                    if monotonic() >= deadline:
                        undecided = settled and code in _SILENCE and self._answers(places)
                        raise (self._undecided() if undecided else self._failure(error, faults)) from error
                    sleep(_PASSING_SECONDS)

    @contextmanager
    def _asking(self, *, settled: bool) -> Iterator[tuple[Consumer, list[str]]]:
        faults: list[str] = []
        try:
            consumer = Consumer(
                {
                    **self._options,
                    "group.id": self._group,
                    "isolation.level": "read_committed" if settled else "read_uncommitted",
                    "error_cb": lambda fault: faults.append(fault.str()),
                },
                logger=_silent,
            )
        except KafkaException as error:
            raise self._failure(error, faults) from error
        try:
            yield consumer, faults
        finally:
            consumer.close()

    def _ask(self, consumer: Consumer, places: Collection[PartitionId]) -> dict[PartitionId, int]:
        wanted = [TopicPartition(place.topic, place.partition) for place in places]
        answer = consumer.committed(wanted, timeout=self._asking_seconds)
        for tp in answer:
            # What cannot be told is not what was never committed: the lane would be read from its beginning.
            if tp.error is not None:
                raise KafkaException(tp.error)
        positions = {PartitionId(tp.topic, tp.partition): tp.offset for tp in answer}
        return {place: offset for place, offset in positions.items() if offset >= 0}

    def _answers(self, places: Collection[PartitionId]) -> bool:
        """Tell whether the coordinator answers who does not ask for settled positions."""
        with self._asking(settled=False) as (consumer, _):
            try:
                self._ask(consumer, places)
            except KafkaException:
                return False
            return True

    @property
    def _asking_seconds(self) -> float:
        return min(_ASKING_SECONDS, self._timeout_seconds / 3)

    def _failure(self, error: KafkaException, faults: list[str]) -> Unavailable:
        fault: KafkaError = error.args[0]
        told = f"{fault.name()}, {fault.str()}"
        vietnamese, english = (
            (f" (lý do gần nhất: {faults[-1]})", f" (last reason: {faults[-1]})") if faults else ("", "")
        )
        return Unavailable(
            Bilingual(
                f"đọc vị trí của nhóm {self._group} ở Kafka {self._options['bootstrap.servers']}: gặp lỗi {told}{vietnamese};"
                " kiểm tra chứng thư, quyền READ trên nhóm và DESCRIBE trên các làn, và các broker có đang chạy không",
                f"reading the positions of {self._group} at {self._options['bootstrap.servers']}: {told}{english}; check"
                " certificates, READ on the group and DESCRIBE on the lanes, and that the brokers are up",
            )
        )

    def _undecided(self) -> Unavailable:
        return Unavailable(
            Bilingual(
                f"vị trí của nhóm {self._group} chưa ngã ngũ: các broker trả lời, nhưng còn một giao dịch chưa kết thúc; xem"
                " docs/runbooks/transactions-failing.md",
                f"the positions of group {self._group} are undecided: the brokers answer, but a transaction has not ended; see"
                " docs/runbooks/transactions-failing.md",
            )
        )
