"""The only user of `AIOKafkaProducer`.

What aiokafka 0.14 does not do for us, and is done here:

- A commit succeeds although a send in it failed, so every delivery is awaited before `append` returns.
- With idempotence there is no delivery deadline, so every call has one.
- After any failure sequence numbers may have a gap, so an object that failed is never used again.
- `EndTxn` is repeated silently after a lost answer, and a repetition that arrives late could end the *next*
  transaction (KAFKA-17754). So a transaction object that saw any coordinator request fail is not reused.
"""

import asyncio
import logging
from collections.abc import Awaitable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, Self, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerFenced,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from axis.connection import Connection
from axis.errors import Bilingual, OutcomeUnknown, Refused, Unavailable
from axis.ports import Append, PartitionId

_T = TypeVar("_T")
_BATCH_BYTES: Final = 512 * 1024
_REQUEST_BYTES: Final = 2 * 1024 * 1024
_AT_ONCE: Final = 64
"""How many records are put into batches before others of the event loop have a turn."""
_IN_FLIGHT_BYTES: Final = 16 * 1024 * 1024
_LOOK_AGAIN_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 2.0
_LEAST_BATCH_SECONDS: Final = 30.0
_MOST_BATCH_SECONDS: Final = 15 * 60.0
"""What brokers allow a transaction by default (`transaction.max.timeout.ms`)."""


class _CoordinatorDoubt(logging.Handler):
    """Counts the warnings with which aiokafka says that it repeats a coordinator request."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        del record
        self.count += 1


_doubt = _CoordinatorDoubt()
_sender_log = logging.getLogger("aiokafka.producer.sender")
_sender_log.addHandler(_doubt)
# Whatever level people want to read at, these warnings must reach the counter.
_sender_log.setLevel(logging.WARNING)


class KafkaTransaction:
    """Implements `axis.ports.Transaction`: one incarnation of one lane of a router task.

    A batch has one deadline from `begin` to the end of `commit`: as long as a single call may take, 30 s at least, and
    15 minutes at most. The broker is told the same: sooner, it would abort, again and again, what this side still waits
    for; later, readers would be held up by a router that died inside a transaction and that none replaces.

    Args:
        connection: how to reach Kafka.
        transactional_id: the lane's identity; a later incarnation fences this one.
        group: consumer group whose positions are part of the transaction.
        topics: topics that will be written to; their metadata is fetched by `open`, all at once.
    """

    def __init__(
        self, connection: Connection, transactional_id: str, group: str, topics: Collection[str]
    ) -> None:
        self._group = group
        self._tracked = frozenset(topics)
        self._deadline = connection.request_timeout_seconds * 3
        self._batch_seconds = min(max(self._deadline, _LEAST_BATCH_SECONDS), _MOST_BATCH_SECONDS)
        self._batch_ends_at = 0.0
        self._doubt = _doubt.count
        self._look_again_at: dict[str, float] = {}
        self._asking = asyncio.Lock()
        self._producer = AIOKafkaProducer(
            bootstrap_servers=connection.bootstrap_servers,
            client_id=connection.client_id,
            security_protocol="SSL",
            ssl_context=connection.tls,
            transactional_id=transactional_id,
            transaction_timeout_ms=int(self._batch_seconds * 1000),
            request_timeout_ms=int(connection.request_timeout_seconds * 1000),
            max_batch_size=_BATCH_BYTES,
            max_request_size=_REQUEST_BYTES,
            linger_ms=0,
        )

    async def open(self) -> None:
        """Fence earlier incarnations and fetch the metadata of every topic to be written."""
        await self._within(self._producer.start(), "starting the transactional producer")
        await self._learn(self._producer.client.set_topics(self._tracked))
        self._doubt = _doubt.count

    async def confirm(self, positions: Mapping[PartitionId, int]) -> None:
        """Commit input positions and nothing else; it fails where a later incarnation has fenced this one."""
        # No transaction of this epoch came before, so no repeated request can end this one.
        self._doubt = _doubt.count
        await self.begin()
        await self.advance(positions)
        await self.commit()

    async def missing_topics(self, topics: Collection[str]) -> Collection[str]:
        """Return those of these topics that do not exist.

        The brokers are asked about a topic that is not known, then at most every few seconds: it may have been created
        since.

        Raises:
            Unavailable: no broker tells, or one of them is hidden from this client. Only what a broker says is missing
                may count as missing: a document is answered for good by it.
        """
        # Who asks beside another request would read its answer before it is there.
        async with self._asking:
            client, now = self._producer.client, asyncio.get_running_loop().time()
            absent: set[str] = set(topics) - client.cluster.topics()
            due = {topic for topic in absent if now >= self._look_again_at.get(topic, now)}
            if due:
                # A request that is under way does not ask for new topics; behind it they are asked for at once.
                await self._learn(client.force_metadata_update())
                self._tracked |= due
                await self._learn(client.set_topics(self._tracked))
                self._look_again_at |= dict.fromkeys(due, now + _LOOK_AGAIN_SECONDS)
                absent -= client.cluster.topics()
            if hidden := absent & client.cluster.unauthorized_topics:
                raise Unavailable(
                    Bilingual(
                        f"{min(hidden)} bị ẩn với máy khách này; cấp cho nó quyền DESCRIBE và WRITE trên chủ đề (topic)",
                        f"{min(hidden)} is hidden from this client; grant it DESCRIBE and WRITE on the topic",
                    ),
                    fault="refused",
                )
            return absent

    async def begin(self) -> None:
        """Start a transaction.

        Raises:
            Unavailable: this incarnation saw a coordinator request fail and must be replaced.
        """
        if self._doubt != _doubt.count:
            raise Unavailable(
                "a coordinator request was repeated; the transactional producer must be replaced"
            )
        self._batch_ends_at = asyncio.get_running_loop().time() + self._batch_seconds
        await self._within(self._producer.begin_transaction(), "beginning a transaction")

    async def append(self, appends: Sequence[Append]) -> Mapping[PartitionId, int]:
        """Write records and wait until the broker holds every one."""
        grouped: dict[PartitionId, list[Append]] = {}
        for append in appends:
            grouped.setdefault(PartitionId(append.topic, append.partition), []).append(append)
        return await self._within_batch(self._write(grouped), "appending a batch")

    async def advance(self, positions: Mapping[PartitionId, int]) -> None:
        """Add the input positions to the transaction."""
        offsets = {
            TopicPartition(place.topic, place.partition): OffsetAndMetadata(position, "")
            for place, position in positions.items()
        }
        await self._within_batch(
            self._producer.send_offsets_to_transaction(offsets, self._group), "sending input positions"
        )

    async def commit(self) -> None:
        """Make everything visible."""
        await self._within_batch(self._producer.commit_transaction(), "committing", OutcomeUnknown)

    async def close(self) -> None:
        """Let go of connections; a transaction left open is aborted by the next incarnation."""
        await _close(self._producer)

    async def _write(self, grouped: Mapping[PartitionId, list[Append]]) -> dict[PartitionId, int]:
        """Write records, in order within each partition, in as few batches as their size allows.

        Batches are built here and not by `send`: most of a router's records go a few at a time to many partitions, and
        a future for each record costs more than the record.
        """
        ends: dict[PartitionId, int] = {}
        deliveries: list[tuple[PartitionId, int, asyncio.Future[Any]]] = []
        size = built = 0

        async def delivered() -> None:
            await asyncio.gather(*(delivery for _, _, delivery in deliveries))
            ends.update((place, delivery.result().offset + count) for place, count, delivery in deliveries)
            deliveries.clear()

        for place, records in grouped.items():
            for batch in self._batches(records):
                # One request takes a batch of every partition, and a broker refuses requests over 100 MiB.
                if size + batch.size() > _IN_FLIGHT_BYTES:
                    await delivered()
                    size = 0
                delivery = await self._producer.send_batch(batch, place.topic, partition=place.partition)
                if (built := built + batch.record_count()) >= _AT_ONCE:
                    built = 0
                    await asyncio.sleep(0)
                deliveries.append((place, batch.record_count(), delivery))
                size += batch.size()
        await delivered()
        return ends

    def _batches(self, records: list[Append]) -> Iterator[Any]:
        """Yield aiokafka's batch builders, each filled and closed; the first record always has room."""
        waiting = iter(records)
        record = next(waiting, None)
        while record is not None:
            batch = self._producer.create_batch()
            while record is not None and batch.append(key=record.key, value=record.value, timestamp=None):
                record = next(waiting, None)
            batch.close()
            yield batch

    async def _learn(self, metadata: "asyncio.Future[bool]") -> None:
        if not await self._within(_settled(metadata), "fetching metadata"):
            raise Unavailable(
                Bilingual(
                    "không broker nào của Kafka cho biết có những chủ đề (topic) nào",
                    "no broker tells which topics there are",
                ),
                fault="unreachable",
            )

    async def _within_batch(
        self, call: Awaitable[_T], doing: str, failure: type[Unavailable] = Unavailable
    ) -> _T:
        left = max(0.0, self._batch_ends_at - asyncio.get_running_loop().time())
        return await self._within(call, doing, failure, min(left, self._deadline))

    async def _within(
        self,
        call: Awaitable[_T],
        doing: str,
        failure: type[Unavailable] = Unavailable,
        seconds: float | None = None,
    ) -> _T:
        seconds = self._deadline if seconds is None else seconds
        try:
            # Not `wait_for`: in Python 3.11 it loses a cancellation that comes together with the answer.
            async with asyncio.timeout(seconds):
                return await call
        except TimeoutError as error:
            raise failure(
                Bilingual(
                    f"Kafka: {doing!r} quá {seconds:.3g} giây chưa xong",
                    f"{doing} took longer than {seconds:.3g} s",
                ),
                fault="timeout",
            ) from error
        except (KafkaError, OSError, AssertionError) as error:
            told = f"{type(error).__name__}: {error}"
            raise failure(
                Bilingual(f"Kafka: {doing!r} gặp lỗi: {told}", f"{doing} failed: {told}"),
                fault=_fault_of(error),
            ) from error


class KafkaWriter:
    """Implements `axis.ports.BusWriter`: the plain writer of a node.

    Not idempotent on purpose: aiokafka's idempotent producer has no delivery deadline and gaps after failures. A copy
    that a repeated request leaves is recognised by its (sender, message id), which the axis must do anyway.
    """

    def __init__(self, connection: Connection) -> None:
        self._deadline = connection.request_timeout_seconds * 3
        self._producer = AIOKafkaProducer(
            bootstrap_servers=connection.bootstrap_servers,
            client_id=connection.client_id,
            security_protocol="SSL",
            ssl_context=connection.tls,
            acks="all",
            request_timeout_ms=int(connection.request_timeout_seconds * 1000),
            max_request_size=_REQUEST_BYTES,
            max_batch_size=_BATCH_BYTES,
            metadata_max_age_ms=10_000,
            linger_ms=0,
        )

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            Unavailable: no broker answers.
        """
        try:
            await asyncio.wait_for(self._producer.start(), self._deadline)
        except (KafkaError, OSError, TimeoutError) as error:
            await _close(self._producer)
            told = f"{type(error).__name__}: {error}"
            raise Unavailable(
                Bilingual(f"không broker nào của Kafka trả lời: {told}", f"no broker answers: {told}")
            ) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await _close(self._producer)

    async def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has.

        Raises:
            Unavailable: the topic does not exist or no broker answers.
        """
        try:
            found = await asyncio.wait_for(self._producer.partitions_for(topic), self._deadline)
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable(
                Bilingual(
                    f"chủ đề (topic) {topic}: {type(error).__name__}; chạy `axis topics apply`",
                    f"topic {topic}: {type(error).__name__}; run `axis topics apply`",
                )
            ) from error
        return len(found)

    async def append(self, append: Append) -> int:
        """Write one record and return its offset once all in-sync replicas hold it."""
        try:
            metadata = await asyncio.wait_for(
                self._producer.send_and_wait(
                    append.topic, append.value, key=append.key, partition=append.partition
                ),
                self._deadline,
            )
        except (MessageSizeTooLargeError, TopicAuthorizationFailedError) as error:
            raise Refused("broker-refused", f"{append.topic}: {type(error).__name__}: {error}") from error
        except (TimeoutError, KafkaTimeoutError) as error:
            raise OutcomeUnknown(
                Bilingual(
                    f"Kafka: ghi vào {append.topic} quá {self._deadline:g} giây chưa có trả lời",
                    f"{append.topic}: no answer within {self._deadline:g} s",
                )
            ) from error
        except (KafkaError, OSError) as error:
            told = f"{type(error).__name__}: {error}"
            raise OutcomeUnknown(
                Bilingual(f"Kafka: ghi vào {append.topic} gặp lỗi: {told}", f"{append.topic}: {told}")
            ) from error
        return int(metadata.offset)


async def _close(producer: AIOKafkaProducer) -> None:
    """Let go of a producer's connections, whatever is still pending: nobody waits for it any more.

    The producer's own `stop` first delivers what is pending, for as long as no broker answers, and when that takes too
    long it leaves its client running for ever.
    """
    producer._closed = True  # noqa: SLF001 - so that its finaliser does not complain
    for closing in (producer._sender.close, producer.client.close):  # noqa: SLF001 - the two steps of `stop`
        try:
            await asyncio.wait_for(closing(), _CLOSE_SECONDS)
        except (KafkaError, OSError, TimeoutError, AssertionError):
            # The object is given up either way.
            logging.getLogger(__name__).debug("closing a failed producer", exc_info=True)


def _fault_of(error: BaseException) -> str:
    match error:
        case ProducerFenced() | InvalidProducerEpoch():
            return "fenced"
        case MessageSizeTooLargeError() | TopicAuthorizationFailedError():
            return "refused"
        case _:
            return "unreachable"


async def _settled(waiting: "asyncio.Future[bool]") -> bool:
    return await waiting
