"""Routers that come, go, die and come back from the dead, under load."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest

from tests.configuration import LANE_PARTITIONS
from tests.fault.installation import Installation
from tests.fault.judging import assert_both_hold, routed
from tests.fault.oracle import Oracle
from tests.fault.routers import RouterChild, WatchedRouter, owners, routing
from tests.fault.sending import Senders
from tests.waiting import eventually

pytestmark = pytest.mark.kafka

NOTICED_SECONDS: Final = 45.0
"""Deadline for what takes a session time-out (10 s) and a rebalance."""


@asynccontextmanager
async def load(site: Installation) -> AsyncIterator[Senders]:
    """Publish without a pause as long as the block lasts."""
    async with Senders.open(site.settings) as senders, senders.publishing():
        yield senders


async def shared_by(site: Installation, *instances: str) -> None:
    """Return when exactly these instances have all partitions among them, each some."""
    expected = {f"axis-router-{instance}-{site.settings.node}" for instance in instances}

    async def shared() -> bool:
        found = await asyncio.to_thread(owners, site.settings)
        return (
            found.keys() == expected
            and all(found.values())
            and sum(map(len, found.values())) == LANE_PARTITIONS
        )

    await eventually(shared, f"{instances} share the partitions", NOTICED_SECONDS)


async def test_routers_that_join_and_leave_in_order_disturb_nothing(
    site: Installation, oracle: Oracle
) -> None:
    """While documents are published, one router becomes three and one again; every partition goes on each time."""
    async with load(site), routing(WatchedRouter(site.settings, "0")):
        await routed(oracle)
        async with routing(WatchedRouter(site.settings, "1")):
            await shared_by(site, "0", "1")
            async with routing(WatchedRouter(site.settings, "2")):
                await shared_by(site, "0", "1", "2")
            await shared_by(site, "0", "1")
        await shared_by(site, "0")
        async with Senders.open(site.settings) as senders:
            await senders.publish_batch()
    async with routing(WatchedRouter(site.settings, "0")):
        await routed(oracle)
    await assert_both_hold(oracle)


async def test_a_killed_router_is_replaced_by_those_that_live(site: Installation, oracle: Oracle) -> None:
    """The partitions of a router that got SIGKILL go to the other one, which finishes its batches exactly once."""
    async with routing(WatchedRouter(site.settings, "0")):
        async with load(site):
            async with RouterChild(site.settings, "1") as victim:
                await shared_by(site, "0", "1")
                await victim.ready()
                victim.send(signal.SIGKILL)
                assert await victim.ended() == -signal.SIGKILL
            await shared_by(site, "0")
        await routed(oracle)
    await assert_both_hold(oracle)


async def test_a_router_that_wakes_up_inside_a_transaction_is_fenced(
    site: Installation, oracle: Oracle
) -> None:
    """A router stopped before its commit for longer than its session cannot commit when it continues: others have."""
    router = WatchedRouter(site.settings, "0")
    async with routing(router):
        async with (
            load(site),
            RouterChild(site.settings, "1", "advance", "after", "2", number=signal.SIGSTOP) as zombie,
        ):
            await eventually(zombie.paused, "it stops itself")
            router.watch.restored.clear()
            await eventually(
                lambda: len(router.watch.restored) == LANE_PARTITIONS, "the other one has opened every task"
            )
            zombie.send(signal.SIGCONT)
            await eventually(lambda: zombie.logged("Fenced"), "its commit is refused")
            await shared_by(site, "0", "1")
            zombie.send(signal.SIGTERM)
            assert await zombie.ended() == 0
        await routed(oracle)
    await assert_both_hold(oracle)
