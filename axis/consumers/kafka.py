"""The only user of `AIOKafkaConsumer`.

Positions are always set by `seek`: a partition that aiokafka resets by itself asks a leader that has moved for minutes.
Every consumer reads committed records only and commits nothing by itself.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Self, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord, TopicPartition

from axis.connection import Connection
from axis.consumers.compression import bound_batches
from axis.errors import Bilingual, Unavailable
from axis.ports import PartitionId, Record

_T = TypeVar("_T")
_FETCH_WAIT_MS: Final = 250
_GROUP_FETCH_WAIT_MS: Final = 50
_PATIENT_WAIT_MS: Final = 5_000
_POLL_MS: Final = 500
_TAIL_POLL_MS: Final = 20
"""How long to wait for records that may not come: a tail often ends with control records, which nobody is handed."""
_MAX_POLL_RECORDS: Final = 100
_TAKE_RECORDS: Final = 8
_TAKE_BYTES: Final = 4 * 1024 * 1024
_BACKLOG_FETCH_BYTES: Final = 2 * 1024 * 1024

bound_batches()
_log = structlog.stdlib.get_logger(__name__)

Revoke = Callable[[Collection[PartitionId]], Awaitable[None]]
Committed = Callable[[Collection[PartitionId]], Awaitable[Mapping[PartitionId, int]]]


class GroupReader(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """The group member of a router: partitions come and go, positions are the router's to set.

    Args:
        connection: how to reach Kafka.
        topics: what to read; partition *i* of all of them always goes to the same member (range assignment).
        group: the consumer group.
        revoke: called with partitions that are about to go; the rebalance waits for it. It must not raise.
        committed: tells the group's positions, where it has any; fails while a transaction may still move one.

    Attributes:
        changed: set when the assignment changed.
        joined: whether it has an assignment now, be it an empty one.
    """

    def __init__(
        self, connection: Connection, topics: Sequence[str], group: str, revoke: Revoke, committed: Committed
    ) -> None:
        self._topics = topics
        self._deadline = connection.request_timeout_seconds * 3
        self._revoke = revoke
        self._committed = committed
        self.changed = asyncio.Event()
        self.joined = False
        self._held: frozenset[PartitionId] = frozenset()
        self._consumer = _consumer(
            connection,
            group_id=group,
            # Partitions that were not asked for wait so long for the next request.
            fetch_max_wait_ms=_GROUP_FETCH_WAIT_MS,
            # A transaction costs the broker nearly the same whatever it holds: one fetch should fill a whole batch.
            max_partition_fetch_bytes=_BACKLOG_FETCH_BYTES,
            partition_assignment_strategy=(RangePartitionAssignor,),
            # The shortest that a broker accepts by default: how long a dead router keeps its partitions.
            session_timeout_ms=6_000,
            heartbeat_interval_ms=2_000,
            max_poll_interval_ms=300_000,
            rebalance_timeout_ms=60_000,
        )

    async def start(self) -> None:
        """Join the group.

        Raises:
            Unavailable: no broker answers.
        """
        self._consumer.subscribe(self._topics, listener=self)
        await _within(self._consumer.start(), self._deadline, "joining the router group")
        # By default whatever one task has not taken yet keeps the others' partitions from being asked for.
        self._consumer._fetcher._prefetch_backoff = 0.0  # noqa: SLF001 - no option

    async def stop(self) -> None:
        """Leave the group."""
        await _stop(self._consumer)

    def assignment(self) -> frozenset[PartitionId]:
        """Return the partitions that are this member's to work on now: none while the group rebalances."""
        return self._held

    def owns(self, places: Collection[PartitionId]) -> bool:
        """Tell whether these partitions are assigned to this member now."""
        return self.assignment().issuperset(places)

    async def rewind(self, places: Collection[PartitionId]) -> Mapping[PartitionId, int]:
        """Set each partition to its committed position, or its beginning, let it flow, and return what was committed.

        To be called after the task's transaction was opened: only then is the committed position final.
        """
        committed = await self._committed(places)
        asking = self._consumer.beginning_offsets([_tp(place) for place in places])
        beginnings: dict[TopicPartition, int] = await _within(asking, self._deadline, "asking beginnings")
        positions: dict[PartitionId, int] = {}
        for place in places:
            beginning = beginnings[tp := _tp(place)]
            known = committed.get(place, beginning)
            if known < beginning:
                _log.error(
                    "submissions_removed",
                    topic=place.topic,
                    partition=place.partition,
                    offset=known,
                    count=beginning - known,
                    mend="they were never decided: find out who shortened the lane, and have their senders submit again",
                )
            positions[place] = known
            self._consumer.seek(tp, max(known, beginning))
        self._consumer.resume(*beginnings)
        return positions

    def pause(self, places: Collection[PartitionId]) -> None:
        """Stop the flow of partitions that are still assigned."""
        self._consumer.pause(*self._consumer.assignment().intersection(map(_tp, places)))

    async def take(self, place: PartitionId, limit: int, wait_seconds: float) -> Sequence[Record]:
        """Return up to `limit` records of a partition, in its order; none after the wait.

        Raises:
            Unavailable: the partition cannot be read now; it must be rewound.
        """
        if not self.owns([place]):
            # The consumer would wait for the rebalance, and the rebalance for the task that asks.
            await asyncio.sleep(wait_seconds)
            return ()
        tp = _tp(place)
        taken: list[Record] = []
        size, wait = 0, wait_seconds
        # A few at a time: compressed records may be many times as large as what was fetched.
        while len(taken) < limit and size < _TAKE_BYTES:
            few = min(limit - len(taken), _TAKE_RECORDS)
            try:
                batches = await self._consumer.getmany(tp, timeout_ms=int(wait * 1000), max_records=few)
            except KafkaError as error:
                raise _unavailable("không đọc được văn bản nộp", "cannot read submissions", error) from error
            if not batches:
                break
            records = [_record(record) for record in batches[tp]]
            size += sum(len(record.value or b"") for record in records)
            taken += records
            wait = 0
        return taken

    def lag(self, place: PartitionId) -> int | None:
        """Return how many records wait behind the reader's position, as far as the last fetch told; None when none did.

        Of a partition that is paused nobody tells more: what was known to wait still does, and no more is known.
        """
        tp = _tp(place)
        if tp not in self._consumer.assignment() or (end := self._consumer.last_stable_offset(tp)) is None:
            return None
        state = self._consumer._subscription.subscription.assignment.state_value(tp)  # noqa: SLF001 - position() waits
        waiting = max(0, end - state.position) if state.has_valid_position else 0
        return None if state.paused and not waiting else waiting

    def asked(self) -> Mapping[PartitionId, int | None]:
        """Return the partitions that a broker is asked about now, each with a mark that changes with every answer."""
        held, waiting = self._consumer.assignment(), self._consumer._fetcher._records  # noqa: SLF001 - nothing tells it
        return {
            place: self._consumer.last_poll_timestamp(tp)
            for place in self._held
            if (tp := _tp(place)) in held and tp not in waiting and tp not in self._consumer.paused()
        }

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Take in what the group gave: for aiokafka to call."""
        self._held = frozenset(PartitionId(tp.topic, tp.partition) for tp in assigned)
        self.pause(self._held)
        self.joined = True
        self.changed.set()
        if not assigned:
            _log.warning(
                "router_idle", mend="there are more routers than partitions of a lane: this one only waits"
            )

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Let go of everything: for aiokafka to call."""
        # The consumer shows the old assignment until it has the new one: starting there would fence who has it next.
        self._held = frozenset()
        self.joined = False
        await self._revoke([PartitionId(tp.topic, tp.partition) for tp in revoked])
        self.changed.set()


class PartitionReader:
    """Implements `axis.ports.BusReader`: reads given partitions without a group, so it disturbs nobody."""

    def __init__(self, connection: Connection) -> None:
        self._deadline = connection.request_timeout_seconds * 3
        self._patience_ms = min(_PATIENT_WAIT_MS, int(connection.request_timeout_seconds * 500))
        self._consumer = _consumer(connection)

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            Unavailable: no broker answers.
        """
        try:
            await _within(self._consumer.start(), self._deadline, "connecting")
        except Unavailable:
            await _stop(self._consumer)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        client = self._consumer._client  # noqa: SLF001 - nothing is left to be said
        # A request for metadata that is under way would be reported as failed.
        if client._sync_task is not None:  # noqa: SLF001 - it has no public name
            client._sync_task.cancel()  # noqa: SLF001 - it has no public name
        # The broker reads no farewell while it holds a request, and TLS would wait for its answer.
        for connection in client._conns.values():  # noqa: SLF001 - closing politely is what takes long
            if connection._writer is not None:  # noqa: SLF001 - as above
                connection._writer.transport.abort()  # noqa: SLF001 - as above
        await _stop(self._consumer)

    async def partitions(self, topic: str) -> Sequence[PartitionId]:
        """Return the partitions of a topic.

        Raises:
            Unavailable: the topic does not exist, or may not be seen.
        """
        await _within(self._consumer._client._wait_on_metadata(topic), self._deadline, topic)  # noqa: SLF001
        return [PartitionId(topic, each) for each in sorted(self._consumer.partitions_for_topic(topic) or ())]

    async def beginning(self, place: PartitionId) -> int:
        """Return the first offset that is still kept."""
        tp = _tp(place)
        return int((await _within(self._consumer.beginning_offsets([tp]), self._deadline, place.topic))[tp])

    async def end(self, place: PartitionId) -> int:
        """Return the offset after the last committed record."""
        tp = _tp(place)
        return int((await _within(self._consumer.end_offsets([tp]), self._deadline, place.topic))[tp])

    async def offset_at(self, place: PartitionId, at: datetime) -> int:
        """Return the offset of the first record appended at or after a moment; the end where there is none."""
        tp = _tp(place)
        call = self._consumer.offsets_for_times({tp: int(at.timestamp() * 1000)})
        found = (await _within(call, self._deadline, place.topic))[tp]
        return int(found.offset) if found is not None else await self.end(place)

    def read(self, starts: Mapping[PartitionId, int]) -> AsyncIterator[Sequence[Record]]:
        """Yield batches from the given offsets on, for ever; an empty batch when nothing came for a while.

        An offset that retention has removed is moved to the first one kept.
        """
        return self._read(starts, _POLL_MS, _FETCH_WAIT_MS)

    def follow(self, starts: Mapping[PartitionId, int]) -> AsyncIterator[Sequence[Record]]:
        """Do the same, for who asks this reader nothing else: the broker holds each request for seconds.

        That spares both where mostly nothing comes. Whatever else is asked meanwhile waits behind it. Ends where a
        position is kept no more, so that nobody misses in silence what was removed.
        """
        return self._read(starts, _POLL_MS, self._patience_ms, moves=False)

    async def _read(
        self, starts: Mapping[PartitionId, int], wait_ms: int, fetch_wait_ms: int, *, moves: bool = True
    ) -> AsyncIterator[Sequence[Record]]:
        self._consumer._fetcher._fetch_max_wait_ms = fetch_wait_ms  # noqa: SLF001 - an option of the whole consumer
        tps = {_tp(place): start for place, start in starts.items()}
        self._consumer.assign(list(tps))
        for tp, start in tps.items():
            self._consumer.seek(tp, start)
        while True:
            try:
                batches = await self._consumer.getmany(timeout_ms=wait_ms, max_records=_MAX_POLL_RECORDS)
            except OffsetOutOfRangeError as error:
                if not moves:
                    return
                for tp in error.args[0]:
                    place = PartitionId(tp.topic, tp.partition)
                    self._consumer.seek(tp, await self.beginning(place))
                continue
            except KafkaError as error:
                raise _unavailable("không đọc được", "cannot read", error) from error
            yield [_record(record) for batch in batches.values() for record in batch]

    async def read_to_end(
        self, starts: Mapping[PartitionId, int], ends: Mapping[PartitionId, int] | None = None
    ) -> AsyncIterator[Sequence[Record]]:
        """Yield what is committed now, from the given offsets on, then stop.

        Args:
            starts: the first offset of each partition.
            ends: the offsets to stop before, where they are known; each at most the partition's present end.

        Raises:
            Unavailable: a partition cannot be read, or nothing came of any for three request timeouts.
        """
        if ends is None:
            ends = {place: await self.end(place) for place in starts}
        waiting = {place: start for place, start in starts.items() if start < ends[place]}
        if not waiting:
            return
        now = asyncio.get_running_loop().time
        give_up_at = now() + self._deadline
        async for records in self._read(waiting, _TAIL_POLL_MS, _FETCH_WAIT_MS):
            kept = [record for record in records if record.offset < ends[record.place]]
            if kept:
                yield kept
            before, waiting = waiting, await self._short_of(waiting, ends)
            if not waiting:
                return
            # The consumer does not tell that no broker answers: it asks on and yields nothing.
            if waiting != before:
                give_up_at = now() + self._deadline
            elif now() > give_up_at:
                place = min(waiting)
                raise _unavailable(
                    f"sau {self._deadline:g} giây vẫn không đọc được gì từ {place.topic}/{place.partition}, vị trí"
                    f" {waiting[place]} đến {ends[place]}",
                    f"nothing came of {place.topic}/{place.partition} from offset {waiting[place]} to {ends[place]} for"
                    f" {self._deadline:g} s",
                )

    async def _short_of(
        self, places: Iterable[PartitionId], ends: Mapping[PartitionId, int]
    ) -> dict[PartitionId, int]:
        """Return the positions of those partitions that are not at their ends yet."""
        # Control records at the end are never handed out, so the position is asked, not the last record.
        positions = {place: await self._consumer.position(_tp(place)) for place in places}
        return {place: position for place, position in positions.items() if position < ends[place]}


def _tp(place: PartitionId) -> TopicPartition:
    return TopicPartition(place.topic, place.partition)


async def _stop(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer, whole, even where no broker answers.

    aiokafka cancels its own fetches, and one that waits to be repeated lets that cancellation out as if it were ours.
    """
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        await consumer._client.close()  # noqa: SLF001 - the step that stop() did not get to


def _consumer(connection: Connection, **options: Any) -> AIOKafkaConsumer:  # noqa: ANN401 - the library's options
    return AIOKafkaConsumer(
        bootstrap_servers=connection.bootstrap_servers,
        client_id=connection.client_id,
        security_protocol="SSL",
        ssl_context=connection.tls,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="none" if "group_id" not in options else "earliest",
        request_timeout_ms=int(connection.request_timeout_seconds * 1000),
        metadata_max_age_ms=10_000,
        **{"fetch_max_wait_ms": _FETCH_WAIT_MS} | options,
    )


def _record(record: ConsumerRecord) -> Record:
    at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    headers = tuple(record.headers)
    return Record(record.topic, record.partition, record.offset, at, record.key, record.value, headers)


async def _within(call: Awaitable[_T], seconds: float, doing: str) -> _T:
    try:
        # Not `wait_for`: in Python 3.11 it loses a cancellation that comes together with the answer.
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError as error:
        raise _unavailable(
            f"{doing!r} quá {seconds:g} giây chưa xong", f"{doing} took longer than {seconds:g} s"
        ) from error
    except (KafkaError, OSError) as error:
        raise _unavailable(f"{doing!r} gặp lỗi", f"{doing} failed", error) from error


def _unavailable(vietnamese: str, english: str, fault: Exception | None = None) -> Unavailable:
    told = "" if fault is None else f": {type(fault).__name__}: {fault}"
    return Unavailable(Bilingual(f"Kafka: {vietnamese}{told}", f"{english}{told}"))
