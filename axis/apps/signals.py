"""Ends a role in order when the operating system asks for it."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import structlog

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_log = structlog.stdlib.get_logger("axis.signals")


@contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Within the block, the first SIGINT or SIGTERM calls `stop`; a second one interrupts, whichever it is.

    So what the process started is taken down even by whoever does not want to wait.

    To be used inside the running event loop of the main thread.
    """
    loop = asyncio.get_running_loop()
    heard = False

    def asked(number: signal.Signals) -> None:
        _log.info("role.stopping", signal=number.name)
        stop()

    # Not the loop's own handlers: they hear a signal some time after it came, and while they are taken away for the
    # second one to interrupt, it is lost or ends the process.
    def hear(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        if heard:
            signal.default_int_handler(number, frame)
        heard = True
        loop.call_soon_threadsafe(asked, signal.Signals(number))

    before = {number: signal.signal(number, hear) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None: what is not of Python cannot be put back.
            signal.signal(number, handler or signal.SIG_DFL)
