"""The thread that computes beside the event loop: whose turn it is, what it raises, and that it gives way."""

import asyncio
import os
import sys
import threading

import pytest

from axis.apps.workbench import PriorityWorkbench
from axis.consumers.route import Turn

DEADLINE_SECONDS = 30


async def test_work_goes_by_its_turn_and_then_in_the_order_in_which_it_came() -> None:
    """What waits while a piece is computed is sorted; the piece itself is finished."""
    begun, go_on = threading.Event(), threading.Event()
    done: list[tuple[Turn, int]] = []

    def first() -> None:
        begun.set()
        go_on.wait(DEADLINE_SECONDS)

    with PriorityWorkbench() as bench:
        waiting = [asyncio.create_task(bench.run(Turn.EXAMINATION, first))]
        await asyncio.to_thread(begun.wait, DEADLINE_SECONDS)
        for number, turn in enumerate((*reversed(Turn), *reversed(Turn))):
            work = bench.run(turn, lambda turn=turn, number=number: done.append((turn, number)))  # type: ignore[misc] # bound per piece
            waiting.append(asyncio.create_task(work))
        # Each has put its work in line once the loop has gone round.
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(*waiting)
    assert done == sorted(done)
    assert len(done) == 2 * len(Turn)


async def test_what_work_raises_is_raised_where_it_was_ordered() -> None:
    """And the thread goes on."""

    def fail() -> None:
        raise LookupError("in the thread")

    with PriorityWorkbench() as bench:
        with pytest.raises(LookupError, match="in the thread"):
            await bench.run(Turn.DECISION, fail)
        assert await bench.run(Turn.DECISION, threading.get_ident) != threading.get_ident()


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has a niceness of its own on Linux alone")
async def test_the_thread_gives_way_and_its_process_does_not() -> None:
    """Its niceness is raised, and that of the thread with the event loop stays as it was."""

    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = niceness()
    with PriorityWorkbench() as bench:
        assert await bench.run(Turn.EXAMINATION, niceness) > before
    assert niceness() == before
