"""One broker that dies, stops and comes back, under load."""

import asyncio
import signal
from collections.abc import Callable

import pytest

from axis.testing.broker import OwnBroker
from tests.fault.installation import Installation, impatient
from tests.fault.judging import assert_both_hold, assert_holds, routed
from tests.fault.oracle import Oracle
from tests.fault.routers import RouterChild, WatchedRouter, bury_dead_members, routing
from tests.fault.sending import Senders

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


def crash(broker: OwnBroker) -> None:
    """Kill the broker and start it again."""
    broker.kill(1)
    broker.restart(1)


def cycle(broker: OwnBroker) -> None:
    """Stop the broker in order and start it again."""
    broker.stop()
    broker.start()


@pytest.mark.parametrize("fault", [crash, cycle])
async def test_router_and_publishers_go_on_by_themselves_after_the_broker_was_away(
    site: Installation, oracle: Oracle, fault: Callable[[OwnBroker], None]
) -> None:
    """A broker that dies, or is restarted in order, under load costs time; nobody has to be restarted for it."""
    async with routing(WatchedRouter(site.settings)):
        async with Senders.open(site.settings) as senders, senders.publishing():
            await asyncio.to_thread(fault, site.broker)
        await routed(oracle)
    await assert_both_hold(oracle)


async def test_router_and_broker_that_die_together_go_on_together(site: Installation, oracle: Oracle) -> None:
    """A router killed inside a transaction whose broker is killed too leaves nothing that a restart does not settle."""
    async with Senders.open(site.settings) as senders:
        await senders.publish_batch()
        async with RouterChild(site.settings, "0", "append", "after", "2") as victim:
            assert await victim.ended() == -signal.SIGKILL
        await asyncio.to_thread(crash, site.broker)
        await senders.publish_batch()
    await bury_dead_members(site.settings)
    async with routing(WatchedRouter(site.settings)):
        await routed(oracle)
    await assert_holds(oracle)


async def test_a_router_can_be_stopped_while_the_broker_is_away(site: Installation, oracle: Oracle) -> None:
    """Stopping does not wait for a broker that does not answer, and what was in hand is finished by the next start."""
    async with Senders.open(site.settings) as senders:
        async with routing(WatchedRouter(impatient(site.settings))):
            await senders.publish_batch()
            await asyncio.to_thread(site.broker.kill, 1)
        await asyncio.to_thread(site.broker.restart, 1)
        await senders.publish_batch()
    async with routing(WatchedRouter(site.settings)):
        await routed(oracle)
    await assert_holds(oracle)
