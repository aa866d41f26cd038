"""Waiting for what happens elsewhere."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest


def until(holds: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Return when a condition holds; fail the test, naming what was waited for, when it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


async def eventually(
    condition: Callable[[], object | Awaitable[object]], what: str, seconds: float = 60.0
) -> None:
    """Return when the condition holds; fail when it does not within the deadline."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        answer = condition()
        if await answer if isinstance(answer, Awaitable) else answer:
            return
        assert loop.time() < deadline, f"within {seconds:g} s it did not come about that {what}"
        await asyncio.sleep(0.05)
