"""Waiting for what happens elsewhere."""

import time
from collections.abc import Callable

import pytest


def until(holds: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Return when a condition holds; fail the test, naming what was waited for, when it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)
