"""Waiting for what happens elsewhere."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import pytest

_OFTEN_SECONDS: Final = 0.05
_SELDOM_SECONDS: Final = 0.5


def pause_after(waited_seconds: float) -> float:
    """Return how long to wait before looking again: a tenth of the time so far, for to look costs those who work."""
    return min(max(_OFTEN_SECONDS, waited_seconds / 10), _SELDOM_SECONDS)


def until(holds: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Return when a condition holds; fail the test, naming what was waited for, when it does not in time."""
    began = time.monotonic()
    while not holds():
        waited = time.monotonic() - began
        if waited > seconds:
            pytest.fail(f"not within {seconds:g} s: {what}")
        time.sleep(pause_after(waited))


async def eventually(
    condition: Callable[[], object | Awaitable[object]], what: str, seconds: float = 60.0
) -> None:
    """Return when the condition holds; fail when it does not within the deadline."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        answer = condition()
        if await answer if isinstance(answer, Awaitable) else answer:
            return
        waited = loop.time() - began
        assert waited < seconds, f"within {seconds:g} s it did not come about that {what}"
        await asyncio.sleep(pause_after(waited))
