"""Ends a role in order when the operating system asks for it."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    before = signal.getsignal(signal.SIGTERM)

    def let_go() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    def asked(number: signal.Signals) -> None:
        _log.info("role.stopping", signal=number.name)
        let_go()
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        stop()

    for number in _SIGNALS:
        loop.add_signal_handler(number, asked, number)
    try:
        yield
    finally:
        let_go()
        # None: what is not of Python cannot be put back.
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
