"""Runs computations in one worker thread, in the order of their turns.

Verification is most of a router's work and releases the interpreter lock while it computes, so one thread beside the
event loop uses the second core and keeps the loop free to answer the broker. Work is handed over in small pieces;
between two pieces, work whose turn is earlier overtakes.
"""

import asyncio
import itertools
import os
import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from axis.consumers.route import Turn

_T = TypeVar("_T")
_Piece = tuple[int, int, Callable[[], None] | None]
_LAST = max(Turn) + 1
_NICER: Final = 10


class PriorityWorkbench:
    """Implements `axis.consumers.route.Workbench`; a context manager that owns its thread."""

    def __init__(self) -> None:
        self._pieces: queue.PriorityQueue[_Piece] = queue.PriorityQueue()
        self._order = itertools.count()
        self._thread = threading.Thread(target=self._work, name="axis-workbench", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pieces.put((_LAST, next(self._order), None))
        self._thread.join()

    async def run(self, turn: Turn, work: Callable[[], _T]) -> _T:
        """Run the work in the thread and return its result, or raise what it raised."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_T] = loop.create_future()

        def piece() -> None:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - it is raised again where the work was ordered
                loop.call_soon_threadsafe(_settle, done, None, error)
            else:
                loop.call_soon_threadsafe(_settle, done, result, None)

        self._pieces.put((turn, next(self._order), piece))
        return await done

    def _work(self) -> None:
        _give_way()
        while (piece := self._pieces.get()[2]) is not None:
            piece()


def _give_way() -> None:
    """Let this thread compute in the time that nobody else on the machine wants, as far as the platform can.

    The event loop, and a broker on the same machine, answer somebody who waits and need little for each answer. Beside
    a thread that always computes, each of a transaction's steps would wait its turn for milliseconds.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + _NICER
        # A sandbox may forbid it: then it computes as before.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, niceness)


def _settle(done: "asyncio.Future[Any]", result: object, error: BaseException | None) -> None:
    if done.cancelled():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(result)
