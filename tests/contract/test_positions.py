"""What is told of a group's positions, with a real broker."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its documented names, imported without __all__
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from axis.admin.positions import GroupPositions
from axis.errors import Unavailable
from axis.ports import PartitionId
from axis.testing.broker import Broker
from tests.contract.broker_clients import WAIT_SECONDS, WARD, create_topic

pytestmark = pytest.mark.kafka


@pytest.fixture
def place(broker: Broker) -> PartitionId:
    """A partition."""
    return PartitionId(create_topic(broker, "positions"), 0)


@pytest.fixture
def group() -> str:
    """The name of a group that nobody has named before."""
    return f"group-{uuid4().hex[:8]}"


def commit(broker: Broker, group: str, place: PartitionId, offset: int) -> None:
    """Commit a position."""
    consumer = Consumer(broker.librdkafka_settings() | {"group.id": group})
    consumer.commit(offsets=[TopicPartition(place.topic, place.partition, offset)], asynchronous=False)
    consumer.close()


@contextmanager
def moving(broker: Broker, group: str, place: PartitionId, offset: int) -> Iterator[None]:
    """Hold a transaction open that moves a position; it is committed at the end."""
    producer = Producer(broker.librdkafka_settings() | {"transactional.id": uuid4().hex})
    producer.init_transactions(WAIT_SECONDS)
    producer.begin_transaction()
    consumer = Consumer(broker.librdkafka_settings() | {"group.id": group})
    moved = [TopicPartition(place.topic, place.partition, offset)]
    producer.send_offsets_to_transaction(moved, consumer.consumer_group_metadata(), WAIT_SECONDS)
    consumer.close()
    yield
    producer.commit_transaction(WAIT_SECONDS)


@pytest.mark.parametrize("settled", [False, True])
def test_a_group_that_nobody_has_named_has_none(
    broker: Broker, group: str, place: PartitionId, *, settled: bool
) -> None:
    """Nor has it a coordinator yet."""
    positions = GroupPositions(broker.librdkafka_settings(), group)
    assert positions.committed([place], settled=settled) == {}


def test_a_position_that_a_transaction_may_still_move_is_told_as_undecided(
    broker: Broker, group: str, place: PartitionId
) -> None:
    """Only to who asks for settled ones; and the new one is told as soon as there is nothing to decide."""
    commit(broker, group, place, 3)
    positions = GroupPositions(broker.librdkafka_settings(), group, timeout_seconds=3.0)
    with moving(broker, group, place, 7):
        assert positions.committed([place]) == {place: 3}
        with pytest.raises(Unavailable, match=r"undecided.*transactions-failing"):
            positions.committed([place], settled=True)
    assert GroupPositions(broker.librdkafka_settings(), group).committed([place], settled=True) == {place: 7}


def test_who_asks_no_more_is_let_go(broker: Broker, group: str, place: PartitionId) -> None:
    """After one request, however long the deadline is: a router that stops waits for it."""
    positions = GroupPositions(broker.librdkafka_settings(), group, timeout_seconds=600.0)
    asked: list[str] = []

    def no() -> bool:
        asked.append(group)
        return False

    with moving(broker, group, place, 7), pytest.raises(Unavailable, match="reading the positions"):
        positions.committed([place], settled=True, wanted=no)
    assert len(asked) == 1


def test_what_may_not_be_told_is_not_taken_for_never_committed(
    broker: Broker, group: str, place: PartitionId
) -> None:
    """The lane would be read from its beginning."""
    commit(broker, group, place, 7)
    admin = AdminClient(broker.librdkafka_settings())
    denied = (ResourceType.TOPIC, place.topic, ResourcePatternType.LITERAL, f"User:{WARD}", "*")
    acl = AclBinding(*denied, AclOperation.DESCRIBE, AclPermissionType.DENY)
    admin.create_acls([acl])[acl].result(WAIT_SECONDS)
    options = broker.librdkafka_settings(WARD)
    try:
        with pytest.raises(Unavailable, match=r"TOPIC_AUTHORIZATION_FAILED.*DESCRIBE"):
            GroupPositions(options, group, timeout_seconds=WAIT_SECONDS).committed([place])
    finally:
        chosen = AclBindingFilter(*denied, AclOperation.ANY, AclPermissionType.ANY)
        admin.delete_acls([chosen])[chosen].result(WAIT_SECONDS)
    assert GroupPositions(options, group).committed([place]) == {place: 7}


def test_a_credential_that_cannot_be_read_passes(
    broker: Broker, group: str, place: PartitionId, tmp_path: Path
) -> None:
    """A certificate that is being renewed at this moment is no reason for a router to end."""
    torn = tmp_path / "torn.pem"
    torn.write_text("-----BEGIN CERTIFICATE-----\n")
    options = broker.librdkafka_settings() | {"ssl.certificate.location": str(torn)}
    with pytest.raises(Unavailable, match="check certificates"):
        GroupPositions(options, group).committed([place])


def test_asking_leaves_nothing_behind(broker: Broker, group: str, place: PartitionId) -> None:
    """A router that asks again and again for hours, and collects its garbage seldom, keeps its threads and files."""
    positions = GroupPositions(broker.librdkafka_settings(), group)
    positions.committed([place], settled=True)
    gc.disable()
    try:
        before = _open()
        for _ in range(20):
            positions.committed([place], settled=True)
        assert _open() <= before + 2
    finally:
        gc.enable()


def _open() -> int:
    """How many threads, Python's and others, and files this process has."""
    return sum(1 for folder in ("task", "fd") for _ in Path("/proc/self", folder).iterdir())
