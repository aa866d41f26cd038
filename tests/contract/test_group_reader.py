"""What a router's group member promises about positions, with a real broker."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined] # imported without __all__
from structlog.testing import capture_logs

from axis.admin.positions import GroupPositions
from axis.connection import connect_as
from axis.consumers.kafka import GroupReader
from axis.ports import PartitionId
from axis.testing.broker import ADMIN_NAME, Broker
from tests.waiting import eventually

pytestmark = pytest.mark.kafka

WAIT_SECONDS = 30.0


def shortened(broker: Broker, group: str) -> PartitionId:
    """A partition of five records of which a group has committed one, and of which three were removed since."""
    admin, place = AdminClient(broker.librdkafka_settings()), PartitionId(f"removed.{uuid4().hex[:8]}", 0)
    admin.create_topics([NewTopic(place.topic, 1)])[place.topic].result(WAIT_SECONDS)
    producer = Producer(broker.librdkafka_settings())
    for number in range(5):
        producer.produce(place.topic, b"%d" % number, partition=0)
    assert producer.flush(WAIT_SECONDS) == 0
    consumer = Consumer(broker.librdkafka_settings() | {"group.id": group})
    consumer.commit(offsets=[TopicPartition(place.topic, 0, 1)], asynchronous=False)
    consumer.close()
    for future in admin.delete_records([TopicPartition(place.topic, 0, 3)]).values():
        future.result(WAIT_SECONDS)
    return place


async def nothing(_: Collection[PartitionId]) -> None:
    """Let partitions go."""


@asynccontextmanager
async def member(broker: Broker, place: PartitionId, group: str) -> AsyncIterator[GroupReader]:
    """Give a group member to which the partition is assigned; everything must be over in a while."""
    connection = connect_as(ADMIN_NAME, broker.settings(ADMIN_NAME), "test")
    positions = GroupPositions(broker.librdkafka_settings(), group)

    async def committed(places: Collection[PartitionId]) -> Mapping[PartitionId, int]:
        return await asyncio.to_thread(positions.committed, places)

    reader = GroupReader(connection, [place.topic], group, nothing, committed)
    await reader.start()
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not reader.owns([place]):
                await reader.changed.wait()
            yield reader
    finally:
        await reader.stop()


async def test_submissions_that_were_removed_undecided_are_named(broker: Broker) -> None:
    """The router goes on with what is there, and an operator reads which offsets nobody will ever decide."""
    group = f"router-{uuid4().hex[:8]}"
    place = await asyncio.to_thread(shortened, broker, group)
    async with member(broker, place, group) as reader:
        with capture_logs() as logs:
            assert await reader.rewind([place]) == {place: 1}
        taken = await reader.take(place, 10, WAIT_SECONDS)
    assert [record.value for record in taken] == [b"3", b"4"]
    [named] = [each for each in logs if each["event"] == "submissions_removed"]
    assert (named["topic"], named["partition"], named["offset"], named["count"]) == (place.topic, 0, 1, 2)


async def test_what_is_known_of_a_partition_is_what_a_broker_was_asked_for(broker: Broker) -> None:
    """Paused, nothing is known; flowing, each answer leaves a new mark, an empty one as well; full, nobody asks."""
    group = f"router-{uuid4().hex[:8]}"
    place = await asyncio.to_thread(shortened, broker, group)
    async with member(broker, place, group) as reader:
        assert (reader.asked(), reader.lag(place)) == ({}, None)
        await reader.rewind([place])
        await eventually(lambda: reader.lag(place) == 2, "two records are known to wait")
        assert reader.asked() == {}
        await reader.take(place, 10, WAIT_SECONDS)
        before = reader.asked()[place]
        await eventually(lambda: reader.asked() != {place: before}, "an empty answer leaves its mark")
        assert reader.lag(place) == 0
        reader.pause([place])
        assert (reader.asked(), reader.lag(place)) == ({}, None)
