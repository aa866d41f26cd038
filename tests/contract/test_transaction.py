"""What the transaction of a router task promises about topics and time, with a real broker."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined] # imported without __all__

from axis.admin.positions import GroupPositions
from axis.connection import connect_as
from axis.errors import Unavailable
from axis.ports import PartitionId
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


async def test_two_who_ask_for_a_new_topic_at_once_both_learn_of_it(
    transaction: KafkaTransaction, create: Create
) -> None:
    """Both lanes of a task ask; the second is not answered with what was known before the first one's answer came."""
    topic = await create("both")
    answers = await asyncio.gather(*(transaction.missing_topics([topic]) for _ in range(5)))
    assert answers == [set()] * 5


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


@pytest.mark.parametrize("rounds", range(6))
async def test_a_cancellation_that_comes_with_the_answer_is_not_lost(
    transaction: KafkaTransaction, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    """Whoever lost it would go on as if nothing had been asked of it, and a stop would wait for ever."""
    answer = asyncio.get_running_loop().create_future()

    class Answering:
        async def commit_transaction(self) -> None:
            await answer

    monkeypatch.setattr(transaction, "_producer", Answering())
    monkeypatch.setattr(transaction, "_batch_ends_at", asyncio.get_running_loop().time() + WAIT_SECONDS)
    committing = asyncio.create_task(transaction.commit())
    await asyncio.sleep(0)
    answer.set_result(None)
    for _ in range(rounds):
        await asyncio.sleep(0)
    asked = committing.cancel()
    await asyncio.wait([committing])
    monkeypatch.undo()
    assert committing.cancelled() is asked


async def fault_of(confirming: Awaitable[None]) -> str | None:
    """Returns why it failed, and keeps nothing of the failure."""
    try:
        await confirming
    except Unavailable as error:
        return error.fault
    return None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_an_incarnation_that_was_fenced_confirms_nothing(broker: Broker, create: Create) -> None:
    """Of two incarnations of one identity the earlier one is told, and moves no position."""
    known, group, name = await create("confirmed"), uuid4().hex, uuid4().hex
    connection = connect_as(ADMIN_NAME, broker.settings(ADMIN_NAME), "test")
    earlier, later = (KafkaTransaction(connection, name, group, [known]) for _ in range(2))
    place = PartitionId(known, 0)
    positions = GroupPositions(broker.librdkafka_settings(), group)
    try:
        await earlier.open()
        await earlier.confirm({place: 3})
        await later.open()
        assert await fault_of(earlier.confirm({place: 5})) == "fenced"
        assert await asyncio.to_thread(positions.committed, [place], settled=True) == {place: 3}
        await later.confirm({place: 4})
        assert await asyncio.to_thread(positions.committed, [place], settled=True) == {place: 4}
    finally:
        await earlier.close()
        await later.close()
        del earlier
        # aiokafka's task that was fenced complains when it is collected: here, not in somebody else's test.
        gc.collect()


async def test_a_request_that_somebody_repeated_before_does_not_keep_a_task_from_beginning(
    transaction: KafkaTransaction, create: Create
) -> None:
    """The count of repeated requests is of the whole process; the first transaction of an epoch has no earlier one."""
    topic = await create("doubted")
    logging.getLogger("aiokafka.producer.sender").warning("Cannot send a request: of another task")
    await transaction.confirm({PartitionId(topic, 0): 0})
    logging.getLogger("aiokafka.producer.sender").warning("Cannot send a request: of another task")
    with pytest.raises(Unavailable, match="must be replaced"):
        await transaction.begin()
