"""The threads that compute beside the event loop: whose turn it is, what they raise, and which one gives way."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from axis.apps.workbench import PriorityWorkbench
from axis.consumers.equipment import Turn

DEADLINE_SECONDS = 30


@asynccontextmanager
async def held_up(bench: PriorityWorkbench) -> AsyncIterator[None]:
    """Keep the thread of standard work busy while the block puts work in line; then let it go on."""
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        go_on.wait(DEADLINE_SECONDS)

    holding = asyncio.create_task(bench.run(Turn.DECISION, hold))
    await asyncio.to_thread(begun.wait, DEADLINE_SECONDS)
    yield
    # Each has put its work in line once the loop has gone round.
    await asyncio.sleep(0)
    go_on.set()
    await holding


async def test_work_goes_by_its_turn_then_piece_by_piece_then_as_it_came() -> None:
    """Decisions first; and the first piece of a small batch goes before the second one of a large batch."""
    done: list[tuple[Turn, int, str]] = []
    with PriorityWorkbench() as bench:
        async with held_up(bench):
            waiting = [
                asyncio.create_task(bench.run(turn, partial(done.append, (turn, number, batch)), number))
                for turn in (Turn.EXAMINATION, Turn.DECISION)
                for batch, pieces in (("large", 2), ("small", 1))
                for number in range(pieces)
            ]
        await asyncio.gather(*waiting)
    assert done == [
        (turn, number, batch)
        for turn in (Turn.DECISION, Turn.EXAMINATION)
        for number, batch in ((0, "large"), (0, "small"), (1, "large"))
    ]


async def test_express_work_waits_for_no_piece_of_other_work() -> None:
    """It has a thread of its own: while standard work computes, or hangs, it is done."""
    with PriorityWorkbench() as bench:
        async with held_up(bench), asyncio.timeout(DEADLINE_SECONDS):
            assert await bench.run(Turn.EXPRESS, partial(divmod, 7, 2)) == (3, 1)


async def test_a_flood_of_decisions_does_not_stop_the_rest() -> None:
    """What waits longest has its turn now and then."""
    done: list[Turn] = []
    with PriorityWorkbench() as bench:
        async with held_up(bench):
            waiting = [
                asyncio.create_task(bench.run(turn, partial(done.append, turn)))
                for turn in (Turn.EXAMINATION, *[Turn.DECISION] * 20)
            ]
        await asyncio.gather(*waiting)
    assert 0 < done.index(Turn.EXAMINATION) < 10


async def test_work_that_nobody_waits_for_is_not_done() -> None:
    """After a rebalance a batch in line would keep the thread from what is wanted."""
    done: list[str] = []
    with PriorityWorkbench() as bench:
        async with held_up(bench):
            given_up = asyncio.create_task(bench.run(Turn.DECISION, partial(done.append, "given up")))
            wanted = asyncio.create_task(bench.run(Turn.DECISION, partial(done.append, "wanted")))
            await asyncio.sleep(0)
            given_up.cancel()
        await wanted
    assert done == ["wanted"]


async def test_what_work_raises_is_raised_where_it_was_ordered() -> None:
    """And the thread goes on."""

    def fail() -> None:
        raise LookupError("in the thread")

    with PriorityWorkbench() as bench:
        with pytest.raises(LookupError, match="in the thread"):
            await bench.run(Turn.DECISION, fail)
        assert await bench.run(Turn.DECISION, threading.get_ident) != threading.get_ident()


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has a niceness of its own on Linux alone")
async def test_the_thread_of_standard_work_gives_way_and_nobody_else() -> None:
    """Its niceness is raised; that of express work and of the thread with the event loop stays as it was."""

    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = niceness()
    with PriorityWorkbench() as bench:
        assert await bench.run(Turn.EXAMINATION, niceness) > before
        assert await bench.run(Turn.EXPRESS, niceness) == before
    assert niceness() == before
