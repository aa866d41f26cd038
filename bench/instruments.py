"""The measuring side: appends documents, watches positions and reads inboxes, all through librdkafka.

Another client library than the one measured, written in C, so that measuring takes little from the two cores that
the measured program and the broker run on.
"""

import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, Self

from confluent_kafka import (
    OFFSET_INVALID,
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined] # not in its __all__

from axis.connection import librdkafka_options
from axis.core.addressing import OrganisationCode
from axis.core.topics import inbox_topic
from axis.errors import Unavailable
from axis.testing.broker import ADMIN_NAME
from bench.documents import LANES, Signed
from bench.ground import Ground

_ANSWER_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.02
_READ_SECONDS: Final = 0.05
# When the broker is stopped at the end, librdkafka would report each refused connection on the terminal.
_QUIET: Final = {"log_level": 0}
Place = tuple[str, int]


class Appender:
    """Appends signed documents."""

    def __init__(self, ground: Ground) -> None:
        self._producer = Producer({**_options(ground), "linger.ms": 0, "acks": "all"})
        self._failures: list[KafkaError] = []

    def load(self, documents: Iterable[Signed]) -> None:
        """Append documents and wait until the broker has all of them.

        Raises:
            Unavailable: it has not.
        """
        for document in documents:
            self.append(document)
        if self._producer.flush(_ANSWER_SECONDS) or self._failures:
            raise Unavailable(f"the broker did not take every document: {self._failures[:1]}")

    def append(self, document: Signed) -> None:
        """Append a document without waiting for the broker."""
        self._producer.produce(
            document.topic,
            document.value,
            document.key,
            partition=document.partition,
            on_delivery=self._delivered,
        )
        self._producer.poll(0)

    def _delivered(self, error: KafkaError | None, _: object) -> None:
        if error is not None:
            self._failures.append(error)


class Positions:
    """Watches and sets the committed positions of groups on the submission lanes."""

    def __init__(self, ground: Ground) -> None:
        self._options = _options(ground)
        self._admin = AdminClient({**self._options})
        self._consumers: dict[str, Consumer] = {}
        self._places: list[Place] = [
            (topic, number) for topic in LANES.values() for number in range(ground.lane_partitions)
        ]

    def ends(self) -> Mapping[Place, int]:
        """Return the end of every partition of both lanes."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call] # as confluent-kafka ships it
        request = {TopicPartition(*place): latest for place in self._places}
        answers = self._admin.list_offsets(request)
        return {
            (each.topic, each.partition): answer.result(_ANSWER_SECONDS).offset
            for each, answer in answers.items()
        }

    def inbox_ends(self, codes: Iterable[OrganisationCode]) -> Mapping[OrganisationCode, int]:
        """Return the end of the inbox of each organisation."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call] # as confluent-kafka ships it
        places = {code: TopicPartition(inbox_topic(code), 0) for code in codes}
        answers = self._admin.list_offsets(dict.fromkeys(places.values(), latest))
        return {code: answers[place].result(_ANSWER_SECONDS).offset for code, place in places.items()}

    def committed(self, group: str, places: Collection[Place]) -> Mapping[Place, int]:
        """Return a group's committed positions; 0 where it has none."""
        consumer = self._consumer(group)
        answer = consumer.committed([TopicPartition(*place) for place in places], timeout=_ANSWER_SECONDS)
        return {
            (each.topic, each.partition): 0 if each.offset == OFFSET_INVALID else each.offset
            for each in answer
        }

    def _consumer(self, group: str) -> Consumer:
        """Return a consumer that joins nothing; it is asked often, so it is kept."""
        if group not in self._consumers:
            self._consumers[group] = Consumer({**self._options, "group.id": group})
        return self._consumers[group]

    def await_members(self, group: str, count: int, deadline_seconds: float) -> None:
        """Wait until a group is settled with so many members that each have partitions.

        Raises:
            Unavailable: it is not within the deadline.
        """
        give_up_at = time.monotonic() + deadline_seconds
        while time.monotonic() < give_up_at:
            if self._settled(group, count):
                return
            time.sleep(_LOOK_SECONDS)
        raise Unavailable(f"group {group} has not settled with {count} members")

    def _settled(self, group: str, count: int) -> bool:
        try:
            answer = self._admin.describe_consumer_groups([group])[group].result(_ANSWER_SECONDS)
        except KafkaException as error:
            # A coordinator that still reads what it knows of its groups says so.
            if not error.args[0].retriable():
                raise
            return False
        held = [len(each.assignment.topic_partitions) for each in answer.members]
        return answer.state is ConsumerGroupState.STABLE and len(held) == count and all(held)

    def skip_to_end(self, group: str) -> None:
        """Let a group that has no member begin at the present ends."""
        ends = [TopicPartition(*place, end) for place, end in self.ends().items()]
        request = ConsumerGroupTopicPartitions(group, ends)
        self._admin.alter_consumer_group_offsets([request])[group].result(_ANSWER_SECONDS)

    def lag(self, group: str, ends: Mapping[Place, int], topic: str) -> int:
        """Return how many records of a lane a group has not committed."""
        places = [place for place in ends if place[0] == topic]
        committed = self.committed(group, places)
        return sum(max(0, ends[place] - committed[place]) for place in places)

    def await_drained(self, group: str, documents: Sequence[Signed], deadline_seconds: float) -> float:
        """Wait until a group has committed everything, and return when that was seen (monotonic seconds).

        Args:
            group: which.
            documents: what was appended last; only their partitions are looked at.
            deadline_seconds: how long to wait.

        Raises:
            Unavailable: it has not within the deadline.
        """
        ends = {
            place: end
            for place, end in self.ends().items()
            if place in {(each.topic, each.partition) for each in documents}
        }
        until = time.monotonic() + deadline_seconds
        while True:
            committed = self.committed(group, ends)
            now = time.monotonic()
            left = sum(max(0, end - committed[place]) for place, end in ends.items())
            if not left:
                return now
            if now > until:
                raise Unavailable(f"{group} left {left} documents within {deadline_seconds:g} s")
            time.sleep(_LOOK_SECONDS)


class Arrivals:
    """Reads inboxes (committed records only) in a thread of its own and notes when each copy could be read.

    A context manager; reading begins at the ends of the inboxes. Its block begins when the broker has answered for each of
    them: before that, copies would wait for the reader.
    """

    def __init__(self, ground: Ground, inboxes: Iterable[str]) -> None:
        self._consumer = Consumer(
            {
                **_options(ground),
                "group.id": "bench-reader",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 500,
                "enable.partition.eof": True,
            }
        )
        self._inboxes = list(inboxes)
        self._stopping = threading.Event()
        self._reading = threading.Event()
        self._thread = threading.Thread(target=self._read, name="arrivals", daemon=True)
        self.at: dict[tuple[str | None, bytes | None], float] = {}

    def __enter__(self) -> Self:
        try:
            self._begin()
        except BaseException:
            self._close()
            raise
        return self

    def _begin(self) -> None:
        request = []
        for topic in self._inboxes:
            _, end = self._consumer.get_watermark_offsets(TopicPartition(topic, 0), _ANSWER_SECONDS)
            request.append(TopicPartition(topic, 0, end))
        self._consumer.assign(request)
        self._thread.start()
        if not self._reading.wait(_ANSWER_SECONDS):
            raise Unavailable(f"some inboxes cannot be read within {_ANSWER_SECONDS:g} s")

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._consumer.close()

    def missing(self, documents: Iterable[Signed]) -> int:
        """Return how many copies of documents have not arrived."""
        return sum(
            (topic, document.message_id.encode()) not in self.at
            for document in documents
            for topic in document.inboxes
        )

    def await_all(self, documents: Sequence[Signed], deadline_seconds: float) -> None:
        """Wait until every copy has arrived.

        Raises:
            Unavailable: some have not within the deadline.
        """
        until = time.monotonic() + deadline_seconds
        while missing := self.missing(documents):
            if time.monotonic() > until:
                raise Unavailable(f"{missing} copies did not arrive within {deadline_seconds:g} s")
            time.sleep(_LOOK_SECONDS)

    def _read(self) -> None:
        unread = set(self._inboxes)
        while not self._stopping.is_set():
            # One at a time: whoever asks for several is kept waiting until there are so many.
            message = self._consumer.poll(_READ_SECONDS)
            if message is None:
                continue
            error = message.error()
            if error is None:
                self.at.setdefault((message.topic(), message.key()), time.monotonic())
            elif error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - the library's public name for it
                continue
            unread.discard(message.topic() or "")
            if not unread:
                self._reading.set()


def _options(ground: Ground) -> dict[str, str | int | float | bool]:
    return {**librdkafka_options(ADMIN_NAME, ground.settings.broker), **_QUIET}
