"""What tests of a broker do on it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its documented names, imported without __all__
    AdminClient,
    NewTopic,
)

from axis.connection import connect_as
from axis.testing.broker import Broker
from tests.waiting import until

WARD = "H56.14812"
WAIT_SECONDS = 30.0


def create_topic(broker: Broker, name: str, partitions: int = 1) -> str:
    """Creates a topic with a unique name and returns the name once every node knows it: all of them must be up."""
    return _create(broker, NewTopic(f"{name}.{uuid4().hex[:8]}", partitions))


def create_topic_on(broker: Broker, node: int, name: str) -> str:
    """Does the same with one partition, of which one node has the only copy."""
    topic = f"{name}.{uuid4().hex[:8]}"
    return _create(
        broker, NewTopic(topic, 1, replica_assignment=[[node]], config={"min.insync.replicas": "1"})
    )


def _create(broker: Broker, new: NewTopic) -> str:
    settings = broker.librdkafka_settings()
    # Kept: without a name of its own it would be gone before it is answered.
    admin = AdminClient(settings)
    admin.create_topics([new])[new.topic].result(WAIT_SECONDS)
    for address in broker.bootstrap_servers.split(","):
        # A node answers for itself, and hears of a topic a moment after the controller has made it.
        node = AdminClient({**settings, "bootstrap.servers": address})
        until(lambda: _is_known(node, new.topic), f"{address} knows the topic", WAIT_SECONDS)  # noqa: B023 - called at once
    return str(new.topic)


def _is_known(node: AdminClient, topic: str) -> bool:
    return bool(node.list_topics(topic, timeout=WAIT_SECONDS).topics[topic].partitions)


async def publish(broker: Broker, topic: str, *values: bytes, commit: bool = True) -> None:
    """Writes the values in one transaction, and commits or aborts it."""
    async with transaction(broker, topic, *values) as producer:
        await (producer.commit_transaction() if commit else producer.abort_transaction())


@asynccontextmanager
async def transaction(
    broker: Broker, topic: str, *values: bytes, name: str | None = None
) -> AsyncIterator[AIOKafkaProducer]:
    """Writes the values in one transaction, which the block is to end; under a name of its own where none is given."""
    async with AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap_servers,
        security_protocol="SSL",
        ssl_context=connect_as(WARD, broker.settings(WARD), "test").tls,
        transactional_id=name or f"t-{uuid4().hex}",
    ) as producer:
        await producer.begin_transaction()
        for sent in [await producer.send(topic, value) for value in values]:
            await sent
        yield producer


async def take(broker: Broker, topic: str, count: int) -> list[bytes]:
    """Reads the first `count` committed values of partition 0."""
    partition = TopicPartition(topic, 0)
    taken: list[bytes] = []
    deadline = time.monotonic() + WAIT_SECONDS
    async with AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap_servers,
        security_protocol="SSL",
        ssl_context=connect_as(WARD, broker.settings(WARD), "test").tls,
        isolation_level="read_committed",
        enable_auto_commit=False,
    ) as consumer:
        consumer.assign([partition])
        consumer.seek(partition, 0)
        while len(taken) < count and time.monotonic() < deadline:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                taken.extend(record.value for record in records)
    return taken
