"""What three nodes promise in every back end."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its documented names, imported without __all__
    AdminClient,
    ConfigResource,
    ResourceType,
)

from axis.testing.broker import ADMIN_NAME, Broker, EmbeddedBroker, ExternalBroker, OwnBroker
from axis.testing.broker.docker import DockerBroker
from axis.testing.pki import DevelopmentPki
from tests.contract.back_ends import IN_DOCKER, chosen, external, in_docker
from tests.contract.broker_clients import (
    WAIT_SECONDS,
    create_topic,
    create_topic_on,
    publish,
    take,
    transaction,
)
from tests.waiting import until

pytestmark = [pytest.mark.kafka, pytest.mark.cluster]

NODES = 3


@pytest.fixture(scope="module")
def embedded(pki: DevelopmentPki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """Three embedded nodes."""
    with chosen("embedded", pki, tmp_path_factory.mktemp("embedded"), nodes=NODES) as broker:
        assert isinstance(broker, EmbeddedBroker)
        yield broker


@pytest.fixture(scope="module")
def docker(pki: DevelopmentPki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerBroker]:
    """Three nodes in containers."""
    with in_docker(pki, tmp_path_factory.mktemp("docker"), nodes=NODES) as broker:
        yield broker


@pytest.fixture(params=["embedded", IN_DOCKER])
def own(request: pytest.FixtureRequest) -> OwnBroker:
    """Three nodes of each back end that runs them itself, all up."""
    broker: OwnBroker = request.getfixturevalue(request.param)
    for node in range(1, NODES + 1):
        broker.restart(node)
    return broker


@pytest.fixture(params=["embedded", IN_DOCKER, "external"])
def served(
    request: pytest.FixtureRequest, pki: DevelopmentPki, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Broker]:
    """Three nodes of each back end; `external` are the embedded ones, handed over by their addresses."""
    if request.param != "external":
        yield request.getfixturevalue(request.param)
        return
    owned: EmbeddedBroker = request.getfixturevalue("embedded")
    pki.client(ADMIN_NAME)
    with external(owned, pki, tmp_path_factory.mktemp("external")) as broker:
        assert isinstance(broker, ExternalBroker)
        yield broker


async def test_three_nodes_hold_every_record(served: Broker) -> None:
    """All three are listed; a topic has a copy on each, two of which must be in sync, and carries transactions."""
    assert served.nodes == NODES
    topic = create_topic(served, "copies")
    admin = AdminClient(served.librdkafka_settings())
    metadata = admin.list_topics(topic, timeout=WAIT_SECONDS)
    assert sorted(metadata.brokers) == [1, 2, 3]
    assert sorted(metadata.topics[topic].partitions[0].replicas) == [1, 2, 3]
    resource = ConfigResource(ResourceType.TOPIC, topic)
    settings = admin.describe_configs([resource])[resource].result(WAIT_SECONDS)
    assert settings["min.insync.replicas"].value == "2"
    await publish(served, topic, b"aborted", commit=False)
    await publish(served, topic, b"one", b"two")
    assert await take(served, topic, 2) == [b"one", b"two"]


async def test_serves_on_when_a_leader_is_killed(own: OwnBroker) -> None:
    """With the leader of a partition killed the cluster takes writes and reads, and the node comes back in sync."""
    topic = create_topic(own, "survives")
    await publish(own, topic, b"before")
    admin = AdminClient(own.librdkafka_settings())

    def partition() -> tuple[int, list[int]]:
        found = admin.list_topics(topic, timeout=WAIT_SECONDS).topics[topic].partitions[0]
        return found.leader, found.isrs

    leader, _ = partition()
    own.kill(leader)
    own.check()  # the owner's own doing: nothing ended by itself
    until(lambda: partition()[0] not in (leader, -1), "another node leads", WAIT_SECONDS)
    await publish(own, topic, b"after")
    assert await take(own, topic, 2) == [b"before", b"after"]
    own.restart(leader)
    until(lambda: sorted(partition()[1]) == [1, 2, 3], "the killed node is in sync again", WAIT_SECONDS)
    assert await take(own, topic, 2) == [b"before", b"after"]


async def test_a_transaction_ends_on_a_partition_that_was_without_a_leader(own: OwnBroker) -> None:
    """A commit and an abort reach a partition whose only node was away at the time, as soon as it is back.

    Kafka 4.3.0 and 4.3.1 take such a partition for deleted (KAFKA-20734): what is written there stays undecided, and the
    producer's next transaction decides it along with itself. A batch that was aborted and done again stands there twice.
    """
    away, name = 3, f"t-{uuid4().hex}"
    topic = create_topic_on(own, away, "leaderless")
    admin = AdminClient(own.librdkafka_settings())
    async with (
        transaction(own, topic, b"committed") as one,
        transaction(own, topic, b"done again", name=name) as other,
    ):
        own.kill(away)
        until(
            lambda: admin.list_topics(topic, timeout=WAIT_SECONDS).topics[topic].partitions[0].leader == -1,
            "nobody leads the partition",
            WAIT_SECONDS,
        )
        await one.commit_transaction()
        await other.abort_transaction()
    own.restart(away)
    async with transaction(own, topic, b"done again", name=name) as again:
        await again.commit_transaction()
    await publish(own, topic, b"later")
    assert await take(own, topic, 3) == [b"committed", b"done again", b"later"]


async def test_three_nodes_keep_what_they_hold(embedded: EmbeddedBroker) -> None:
    """After a stop of all and a start the same addresses serve the same records; in Docker a node alone shows it."""
    topic = create_topic(embedded, "kept")
    await publish(embedded, topic, b"kept")
    # A port that another program takes while nobody serves on it is chosen anew; three times in a row it is not.
    kept = False
    for _ in range(3):
        before = embedded.bootstrap_servers
        embedded.stop()
        embedded.start()
        kept = kept or embedded.bootstrap_servers == before
    assert kept
    assert await take(embedded, topic, 1) == [b"kept"]
