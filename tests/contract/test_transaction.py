"""What the transaction of a router task promises about topics and time, with a real broker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined] # imported without __all__

from axis.connection import connect_as
from axis.producers.kafka import KafkaTransaction
from axis.testing.broker import ADMIN_NAME, Broker

pytestmark = pytest.mark.kafka

WAIT_SECONDS = 30.0

Create = Callable[[str], Awaitable[str]]


@pytest.fixture
def create(broker: Broker) -> Create:
    """Creates a topic under a name of its own and returns it once a broker serves it."""
    admin = AdminClient(broker.librdkafka_settings())

    def make(name: str) -> str:
        topic = absent_name(name)
        admin.create_topics([NewTopic(topic, 1)])[topic].result(WAIT_SECONDS)
        while admin.list_topics(topic, timeout=WAIT_SECONDS).topics[topic].error is not None:
            pass
        return topic

    return lambda name: asyncio.to_thread(make, name)


@pytest.fixture
async def transaction(broker: Broker, create: Create) -> AsyncIterator[KafkaTransaction]:
    """An open transaction object that knows one topic."""
    known = await create("known")
    connection = connect_as(ADMIN_NAME, broker.settings(ADMIN_NAME), "test")
    opened = KafkaTransaction(connection, uuid4().hex, uuid4().hex, [known])
    try:
        await opened.open()
        yield opened
    finally:
        await opened.close()


def absent_name(name: str) -> str:
    """Returns a topic's name that nothing has."""
    return f"{name}.{uuid4().hex[:8]}"


async def test_each_new_topic_is_found_however_shortly_after_another_one(
    transaction: KafkaTransaction, create: Create
) -> None:
    """Looking for one topic does not keep the next one from being looked for: a refusal would be signed for good."""
    first = await create("first")
    assert await transaction.missing_topics([first]) == set()
    second, absent = await create("second"), absent_name("absent")
    assert await transaction.missing_topics([first, second, absent]) == {absent}
    third = await create("third")
    assert await transaction.missing_topics([third, absent]) == {absent}


async def test_a_topic_is_found_behind_a_request_that_was_under_way(
    transaction: KafkaTransaction, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that was asked for before the topic was named says nothing about it."""
    client, asked = transaction._producer.client, asyncio.Event()
    ask = client._metadata_update

    async def noticed(*request: object) -> object:
        asked.set()
        return await ask(*request)

    topic = await create("late")
    monkeypatch.setattr(client, "_metadata_update", noticed)
    under_way = client.force_metadata_update()
    await asked.wait()
    assert not under_way.done()
    assert await transaction.missing_topics([topic]) == set()
