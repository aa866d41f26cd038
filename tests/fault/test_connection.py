"""Connections that break or stand still at the worst moment."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from axis.apps.router import NewTransaction
from axis.errors import OutcomeUnknown
from axis.ports import Transaction
from tests.fault.installation import Installation, ProxiedBroker, impatient
from tests.fault.judging import assert_both_hold, assert_holds, routed
from tests.fault.oracle import Oracle
from tests.fault.proxy import Direction, Proxy
from tests.fault.routers import WatchedRouter, routing
from tests.fault.sending import BIM_SON, OFFICE, Senders, append_all
from tests.waiting import eventually

pytestmark = pytest.mark.kafka


@pytest.fixture
def proxy(site: Installation) -> Proxy:
    """The proxy before the broker, open."""
    assert isinstance(site.broker, ProxiedBroker)
    site.broker.proxy.release()
    return site.broker.proxy


async def test_a_lost_acknowledgement_costs_a_repetition_and_no_second_delivery(
    site: Installation, oracle: Oracle, proxy: Proxy
) -> None:
    """When the broker has the record and its answer is lost, the publisher appends the same bytes: two copies, one delivery."""
    async with Senders.open(site.proxied, [OFFICE]) as senders:
        await (await senders.prepare(OFFICE, (BIM_SON,))).append()  # now the connection is there
        sent = await senders.prepare(OFFICE, (BIM_SON,))
        digest = sent.submission.digest
        proxy.hold(Direction.TO_CLIENT)
        publishing = asyncio.create_task(sent.append())
        await eventually(lambda: asyncio.to_thread(_stands, oracle, digest), "the broker has the record")
        proxy.reset()
        proxy.release()
        acknowledged = await publishing
    assert oracle.copies(digest)[0] > 1
    assert acknowledged.submission.value == sent.submission.value
    async with routing(WatchedRouter(site.settings)):
        await routed(oracle)
    assert oracle.deliveries(digest) == 1
    await assert_both_hold(oracle)


def _stands(oracle: Oracle, digest: bytes) -> bool:
    return oracle.copies(digest) != [0]


class Interrupting:
    """Stands before the commits of a router; the next one after `arm` meets a fault of the connection.

    Args:
        fault: is handed the real commit, and calls it.
    """

    def __init__(self, fault: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]) -> None:
        self._fault = fault
        self.armed = False

    def before(self, transaction: Transaction) -> Transaction:
        """Return the transaction with its commit under the fault."""
        commit = transaction.commit

        async def interrupted() -> None:
            if not self.armed:
                await commit()
                return
            self.armed = False
            await self._fault(commit)

        transaction.commit = interrupted  # type: ignore[method-assign] # the one call to be disturbed
        return transaction


class InterruptedRouter(WatchedRouter):
    """A router whose commits are interrupted."""

    interrupting: Interrupting

    def _kafka_transactions(self, *arguments: Any) -> NewTransaction:  # noqa: ANN401 - handed on
        make = super()._kafka_transactions(*arguments)
        return lambda number, lane: self.interrupting.before(make(number, lane))


async def test_a_router_that_never_hears_of_its_commit_does_not_repeat_it(
    site: Installation, oracle: Oracle, proxy: Proxy
) -> None:
    """When the answer to EndTxn is lost, the batch that is committed stays committed and is not routed again."""
    async with Senders.open(site.settings) as senders:
        sent = await senders.prepare(OFFICE, (BIM_SON,))
        digest = sent.submission.digest

        async def lose_the_answer(commit: Callable[[], Awaitable[None]]) -> None:
            proxy.hold(Direction.TO_CLIENT)
            committing = asyncio.ensure_future(commit())
            await eventually(lambda: asyncio.to_thread(oracle.deliveries, digest), "the broker has committed")
            proxy.reset()
            proxy.release()
            await committing

        router = InterruptedRouter(site.proxied)
        router.interrupting = Interrupting(lose_the_answer)
        async with routing(router):
            router.interrupting.armed = True
            await sent.append()
            await routed(oracle)
            await senders.publish_batch()
            await routed(oracle)
    assert not router.interrupting.armed
    assert oracle.deliveries(digest) == 1
    await assert_both_hold(oracle)


async def test_a_router_outlives_a_connection_that_stands_still(
    site: Installation, oracle: Oracle, proxy: Proxy
) -> None:
    """A commit that stands still beyond its deadline has an unknown outcome; when the connection moves again all is as it should be."""

    async def stand_still(commit: Callable[[], Awaitable[None]]) -> None:
        proxy.hold(*Direction)
        await commit()

    router = InterruptedRouter(impatient(site.proxied))
    router.interrupting = Interrupting(stand_still)
    async with routing(router), Senders.open(site.settings) as senders:
        connected = _clients()
        router.interrupting.armed = True
        await senders.publish_batch()
        await eventually(
            lambda: any(isinstance(failure, OutcomeUnknown) for failure in router.watch.failures),
            "the router gives the incarnation up",
        )
        proxy.release()
        await senders.publish_batch()
        await routed(oracle)
        await eventually(lambda: _clients() == connected, "nothing of the given up incarnations is left")
    await assert_holds(oracle)


def _clients() -> int:
    """Return how many Kafka clients are alive in this event loop."""
    running = (task.get_coro() for task in asyncio.all_tasks())
    return sum("_md_synchronizer" in getattr(each, "__qualname__", "") for each in running)


async def test_a_publisher_outlives_a_connection_that_stands_still(
    site: Installation, oracle: Oracle, proxy: Proxy
) -> None:
    """A publisher repeats what was not acknowledged in time until it is, and each document arrives once."""
    async with routing(WatchedRouter(site.settings)):
        async with Senders.open(impatient(site.proxied)) as senders:
            documents = await senders.mixture(10)
            await append_all(documents[:1])
            proxy.hold(*Direction)
            publishing = asyncio.ensure_future(append_all(documents[1:]))
            await eventually(lambda: senders.failures, "an acknowledgement is missed")
            proxy.release()
            acknowledged = await publishing
        await routed(oracle)
    assert max(each.attempts for each in acknowledged) > 1
    await assert_holds(oracle)


async def test_a_router_outlives_broken_connections(site: Installation, oracle: Oracle, proxy: Proxy) -> None:
    """Connections that are reset in the middle of batches, again and again, cost repetitions only."""
    router = WatchedRouter(site.proxied)
    async with routing(router), Senders.open(site.settings) as senders:
        for _ in range(5):
            await senders.publish_batch(20)
            proxy.reset()
        await routed(oracle)
    await assert_holds(oracle)
