"""Runs computations in two threads: one for express work, one for everything else, that gives way.

Verification is most of a router's work and releases the interpreter lock while it computes, so threads beside the event
loop use the second core and keep the loop free to answer the broker. Work is handed over in small pieces; between two
pieces of a thread, work whose turn is earlier overtakes.
"""

import asyncio
import itertools
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from axis.consumers.equipment import Turn

_T = TypeVar("_T")
_NICER: Final = 10
_OLDEST_EVERY: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    turn: Turn
    number: int
    order: int
    work: Callable[[], None]


class PriorityWorkbench:
    """Implements `axis.consumers.equipment.Workbench`; a context manager that owns its threads.

    Express work has a thread of its own, as nice as the event loop, and waits for no piece of other work, but for the moment
    in which a batch is stored. So no flood of it stops the rest either.
    """

    def __init__(self) -> None:
        self._express = _Bench("axis-express")
        self._standard = _Bench("axis-standard", gives_way=True)

    def __enter__(self) -> Self:
        self._express.start()
        self._standard.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._express.stop()
        self._standard.stop()

    async def run(self, turn: Turn, work: Callable[[], _T], number: int = 0) -> _T:
        """Run the work in its thread and return its result, or raise what it raised."""
        return await (self._express if turn is Turn.EXPRESS else self._standard).run(turn, work, number)


class _Bench:
    """One thread, and what is in line for it.

    Every eighth piece is the one that waits longest, whatever its turn, so that nothing is shut out.
    """

    def __init__(self, name: str, *, gives_way: bool = False) -> None:
        self._gives_way = gives_way
        self._pieces: list[_Piece] = []
        self._changed = threading.Condition()
        self._closing = False
        self._order = itertools.count()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    async def run(self, turn: Turn, work: Callable[[], _T], number: int) -> _T:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_T] = loop.create_future()

        def piece() -> None:
            if done.cancelled():
                return
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - it is raised again where the work was ordered
                loop.call_soon_threadsafe(_settle, done, None, error)
            else:
                loop.call_soon_threadsafe(_settle, done, result, None)

        with self._changed:
            self._pieces.append(_Piece(turn, number, next(self._order), piece))
            self._changed.notify()
        return await done

    def _work(self) -> None:
        if self._gives_way:
            _give_way()
        for number in itertools.count(1):
            with self._changed:
                self._changed.wait_for(lambda: self._pieces or self._closing)
                if self._closing:
                    return
                oldest = number % _OLDEST_EVERY == 0
                piece = min(self._pieces, key=_age if oldest else _turn)
                self._pieces.remove(piece)
            piece.work()


def _age(piece: _Piece) -> int:
    return piece.order


def _turn(piece: _Piece) -> tuple[Turn, bool, int]:
    # First pieces go first. The others go batch by batch: batches that end together would be committed all at once.
    return piece.turn, piece.number > 0, piece.order


def _give_way() -> None:
    """Let this thread compute in the time that nobody else on the machine wants, as far as the platform can.

    The event loop, and a broker on the same machine, answer somebody who waits and need little for each answer. Beside
    a thread that always computes, each of a transaction's steps would wait its turn for milliseconds.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # A sandbox may forbid it: then it computes as before.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICER)


def _settle(done: "asyncio.Future[Any]", result: object, error: BaseException | None) -> None:
    if done.cancelled():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(result)
