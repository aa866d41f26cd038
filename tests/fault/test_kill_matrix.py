"""SIGKILL between every two calls of the router's loop; "after" one call is "before" the next one.

The first calls of the loop write nothing, so a router that dies at each of them in turn must leave no trace at all.
From `begin` on every gap is a case of its own. There the router dies in the second batch of one of its tasks, or when two
batches of any tasks are stored (`apply`): so one at least is committed, and must not come again.
"""

import signal

import pytest

from axis.core.partitioning import partition_of
from axis.core.topics import SUBMISSIONS_STANDARD
from tests.configuration import LANE_PARTITIONS
from tests.fault.installation import Installation
from tests.fault.judging import assert_both_hold, assert_holds, routed
from tests.fault.oracle import Oracle
from tests.fault.routers import RouterChild, WatchedRouter, bury_dead_members, routing
from tests.fault.sending import OFFICE, SENDERS, Senders

pytestmark = pytest.mark.kafka

PIECE_RECORDS = 16
"""As many submissions of a batch are decided at once."""
EVERYWHERE = 2 * len(SENDERS)
"""So many hard cases that each partition of each lane begins with one: whichever batch the router dies in holds some."""
WITHOUT_EFFECT = [
    ("open", "before"),
    ("open", "after"),
    ("restore", "after"),
    ("rewind", "after"),
    ("confirm", "before"),
    ("confirm", "after"),
    ("take", "after"),
    ("examine", "after"),
    ("missing_topics", "after"),
    ("complete", "after"),
    ("extend", "after"),
]
WITH_EFFECT = [
    ("begin", "after"),
    ("append", "half"),
    ("append", "after"),
    ("advance", "half"),
    ("advance", "after"),
    ("commit", "sent"),
    ("commit", "after"),
    ("apply", "after"),
]


async def killed_at(site: Installation, step: str, when: str, nth: int) -> None:
    """Run a router until it kills itself there."""
    async with RouterChild(site.settings, "0", step, when, str(nth)) as victim:
        assert await victim.ended() == -signal.SIGKILL
    await bury_dead_members(site.settings)


async def test_a_router_that_dies_before_it_writes_leaves_no_trace(
    site: Installation, oracle: Oracle
) -> None:
    """Nothing is decided by routers that die one after the other at each step before `begin`; the next one decides it all."""
    async with Senders.open(site.settings) as senders:
        await senders.publish_batch(hard_cases=EVERYWHERE)
    waiting = oracle.lag()
    for step, when in WITHOUT_EFFECT:
        await killed_at(site, step, when, 1)
        assert oracle.lag() == waiting, f"the position moved although the router died {when} {step}"
    async with routing(WatchedRouter(site.settings)):
        await routed(oracle)
    await assert_both_hold(oracle)


@pytest.mark.parametrize(("step", "when"), WITH_EFFECT)
async def test_a_router_that_dies_while_it_writes_loses_and_doubles_nothing(
    site: Installation, oracle: Oracle, step: str, when: str
) -> None:
    """After SIGKILL at the step, a restarted router brings submissions, deliveries and receipts to agree."""
    async with Senders.open(site.settings) as senders:
        await senders.publish_batch(hard_cases=EVERYWHERE)
    await killed_at(site, step, when, 2)
    async with routing(WatchedRouter(site.settings)):
        await routed(oracle)
    await assert_holds(oracle)


@pytest.mark.parametrize(("step", "when"), [("open", "sent"), ("open", "after"), ("begin", "before")])
async def test_a_router_that_dies_twice_in_a_row_loses_and_doubles_nothing(
    site: Installation, oracle: Oracle, step: str, when: str
) -> None:
    """After a router that left a transaction hanging, the next one dies before its task has begun one; the third settles all."""
    task = partition_of(OFFICE, LANE_PARTITIONS)
    async with Senders.open(site.settings, [OFFICE]) as senders:
        await senders.publish_batch()
    await killed_at(site, f"append@{task}", "after", 2)
    assert oracle.hanging()
    await killed_at(site, f"{step}@{task}", when, 1)
    async with routing(WatchedRouter(site.settings)):
        await routed(oracle)
    await assert_holds(oracle)


async def test_a_router_that_dies_amid_a_large_batch_keeps_the_express_work_that_overtook_it(
    site: Installation, oracle: Oracle
) -> None:
    """An express transaction beside a standard batch in hand stands; of that batch nothing does until it is routed."""
    async with Senders.open(site.settings, [OFFICE]) as senders:
        await senders.publish_batch(60)
    async with RouterChild(site.settings, "0", "append", "half", "1", batch_records=100) as victim:
        assert await victim.ended() == -signal.SIGKILL
    await bury_dead_members(site.settings)
    [((lane, _), lag)] = [(place, lag) for place, lag in oracle.lag().items() if lag]
    assert (lane, lag > PIECE_RECORDS) == (SUBMISSIONS_STANDARD, True)
    async with routing(WatchedRouter(site.settings)):
        await routed(oracle)
    await assert_holds(oracle)
