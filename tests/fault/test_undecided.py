"""A transaction that nobody ended, on the positions of a router task."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from axis.apps.router import GROUP
from axis.connection import connect_as
from axis.core.topics import SUBMISSIONS_EXPRESS
from axis.testing.broker import ADMIN_NAME
from tests.fault.installation import Installation, impatient
from tests.fault.judging import assert_both_hold, routed
from tests.fault.oracle import Oracle
from tests.fault.routers import WatchedRouter, routing
from tests.fault.sending import Senders
from tests.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

NUMBER: Final = 2
OTHERS: Final = 3


@asynccontextmanager
async def undecided(site: Installation) -> AsyncIterator[None]:
    """Hold a transaction open, while the block lasts, that moves a position of the routers' group; it is aborted then."""
    connection = connect_as(ADMIN_NAME, site.settings.broker, "test")
    async with AIOKafkaProducer(
        bootstrap_servers=connection.bootstrap_servers,
        security_protocol="SSL",
        ssl_context=connection.tls,
        transactional_id="undecided",
        transaction_timeout_ms=300_000,
    ) as producer:
        await producer.begin_transaction()
        place = TopicPartition(SUBMISSIONS_EXPRESS, NUMBER)
        await producer.send_offsets_to_transaction({place: OffsetAndMetadata(0, "")}, GROUP)
        try:
            yield
        finally:
            await producer.abort_transaction()


async def test_a_task_waits_for_a_transaction_that_may_still_move_its_positions(
    site: Installation, oracle: Oracle
) -> None:
    """It begins nowhere that is not certain, the other tasks go on, and it begins by itself when it is."""
    router = WatchedRouter(impatient(site.settings))

    async def work() -> None:
        async with routing(router):
            await routed(oracle)

    async with Senders.open(site.settings) as senders:
        await senders.publish_batch()
    async with undecided(site):
        working = asyncio.create_task(work())
        try:
            await eventually(lambda: working.done() or _failures(router), "a task fails to begin")
            await eventually(
                lambda: working.done() or len(router.watch.restored) == OTHERS, "the other tasks begin"
            )
        except BaseException:
            working.cancel()
            raise
        assert NUMBER not in router.watch.restored
        assert set(_failures(router)) == {NUMBER}
        assert "are undecided" in _failures(router)[NUMBER]
    await working
    await assert_both_hold(oracle)


def _failures(router: WatchedRouter) -> dict[int, str]:
    if not hasattr(router, "watch"):
        return {}
    return dict(zip(router.watch.failed_tasks, map(str, router.watch.failures), strict=True))
