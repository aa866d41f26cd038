"""Producers that repeat themselves."""

import pytest

from tests.fault.installation import Installation
from tests.fault.judging import assert_both_hold, assert_holds, routed
from tests.fault.oracle import Oracle
from tests.fault.routers import WatchedRouter, routing
from tests.fault.sending import Senders, append_all, shuffled

pytestmark = pytest.mark.kafka


async def test_every_envelope_three_times_in_random_order_is_delivered_once(
    site: Installation, oracle: Oracle
) -> None:
    """However often and in whatever order copies come, in one batch or in several, each recipient gets one.

    Conflicts, altered copies and refusals come among them: which of two documents with one message id came first, and which
    copy was whole, is settled by the order of the log.
    """
    async with Senders.open(site.settings) as senders:
        documents, cases = await senders.mixture(60), await senders.hard_cases(8)
        submissions = [*documents, *(each for case in cases for each in (*case.first, *case.later))]
        async with routing(WatchedRouter(site.settings)):
            await append_all(shuffled(submissions, 3))
            await senders.hand_over(cases)
            await routed(oracle)
    assert oracle.copies(*(each.submission.digest for each in documents)) == [3] * 60
    await assert_both_hold(oracle)


async def test_copies_that_come_after_a_restart_are_recognised(site: Installation, oracle: Oracle) -> None:
    """What one router process has delivered the next one does not deliver again."""
    async with Senders.open(site.settings) as senders:
        documents, cases = await senders.mixture(20), await senders.hard_cases(2)
        for instance in ("0", "1"):
            async with routing(WatchedRouter(site.settings, instance)):
                await append_all(documents)
                await append_all(each for case in cases for each in case.first)
                await append_all(each for case in cases for each in case.later)
                await senders.hand_over(cases)
                await routed(oracle)
    assert oracle.copies(*(each.submission.digest for each in documents)) == [2] * 20
    await assert_holds(oracle)
