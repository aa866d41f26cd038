"""What tests of a broker do on it."""

import time
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its documented names, imported without __all__
    AdminClient,
    NewTopic,
)

from axis.connection import connect_as
from axis.testing.broker import Broker

WARD = "H56.14812"
WAIT_SECONDS = 30.0


def create_topic(broker: Broker, name: str, partitions: int = 1) -> str:
    """Creates a topic with a unique name and returns the name once it exists."""
    topic = f"{name}.{uuid4().hex[:8]}"
    admin = AdminClient(broker.librdkafka_settings())
    admin.create_topics([NewTopic(topic, partitions)])[topic].result(WAIT_SECONDS)
    return topic


async def publish(broker: Broker, topic: str, *values: bytes, commit: bool = True) -> None:
    """Writes the values in one transaction, and commits or aborts it."""
    async with AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap_servers,
        security_protocol="SSL",
        ssl_context=connect_as(WARD, broker.settings(WARD), "test").tls,
        transactional_id=f"t-{uuid4().hex}",
    ) as producer:
        await producer.begin_transaction()
        for sent in [await producer.send(topic, value) for value in values]:
            await sent
        await (producer.commit_transaction() if commit else producer.abort_transaction())


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
