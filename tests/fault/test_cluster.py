"""Three brokers, of which one dies, or two."""

import asyncio
from typing import Final

import pytest
from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient

from axis.apps.router import GROUP
from axis.connection import librdkafka_options
from axis.core.topics import RECEIPTS
from axis.testing.broker import ADMIN_NAME
from tests.fault.installation import Installation, impatient
from tests.fault.judging import assert_both_hold, routed
from tests.fault.oracle import Oracle
from tests.fault.routers import WatchedRouter, routing
from tests.fault.sending import Senders
from tests.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.cluster, pytest.mark.timeout(240)]

CATCH_UP_SECONDS: Final = 90.0


def leader(site: Installation) -> int:
    """Return the node that leads a partition of the legal record."""
    admin = AdminClient({**librdkafka_options(ADMIN_NAME, site.settings.broker), "log_level": "0"})
    described = admin.describe_topics(TopicCollection([RECEIPTS]))[RECEIPTS].result()
    return int(described.partitions[0].leader.id)


def coordinator(site: Installation) -> int:
    """Return the node that coordinates the group of routers."""
    admin = AdminClient({**librdkafka_options(ADMIN_NAME, site.settings.broker), "log_level": "0"})
    return int(admin.describe_consumer_groups([GROUP])[GROUP].result().coordinator.id)


async def test_leaders_and_coordinators_that_die_under_load_cost_nothing(
    cluster_site: Installation, cluster_oracle: Oracle
) -> None:
    """A leader is killed, then the group's coordinator, while documents are published; everything catches up by itself."""
    broker = cluster_site.broker
    async with routing(WatchedRouter(cluster_site.settings)):
        async with Senders.open(cluster_site.settings) as senders, senders.publishing():
            for choose in (leader, coordinator):
                victim = await asyncio.to_thread(choose, cluster_site)
                await asyncio.to_thread(broker.kill, victim)
                await _goes_on(cluster_oracle)
                await asyncio.to_thread(broker.restart, victim)
        await routed(cluster_oracle, CATCH_UP_SECONDS)
    await assert_both_hold(cluster_oracle)


async def _goes_on(oracle: Oracle) -> None:
    """Return when more documents have been submitted than were."""
    before = await asyncio.to_thread(oracle.submissions)

    async def more() -> bool:
        return await asyncio.to_thread(oracle.submissions) > before + 10

    await eventually(more, "documents are submitted without the node", CATCH_UP_SECONDS)


async def test_without_enough_replicas_everybody_waits(
    cluster_site: Installation, cluster_oracle: Oracle
) -> None:
    """With one node of three nothing can be written safely: publishers and router wait, and go on when the nodes are back."""
    broker = cluster_site.broker
    router = WatchedRouter(impatient(cluster_site.settings))
    async with routing(router):
        async with Senders.open(impatient(cluster_site.settings)) as senders, senders.publishing():
            for node in (1, 2):
                await asyncio.to_thread(broker.kill, node)
            await eventually(lambda: senders.failures, "an acknowledgement is missed")
            for node in (1, 2):
                await asyncio.to_thread(broker.restart, node)
        await routed(cluster_oracle, CATCH_UP_SECONDS)
    await assert_both_hold(cluster_oracle)
