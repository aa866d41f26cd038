"""Signals end a role in order, and leave things as they were."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from axis.apps.signals import stopping_on_signals


@pytest.fixture(autouse=True)
def terminated_as_interrupted() -> Iterator[None]:
    """Outside the block SIGTERM interrupts, as a site's does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_signal_stops_and_the_second_interrupts(number: signal.Signals) -> None:
    """Who asks twice, in whichever way, does not want to wait."""
    asked = asyncio.Event()
    with stopping_on_signals(asked.set):
        os.kill(os.getpid(), number)
        await asyncio.wait_for(asked.wait(), 10)
        for each in (signal.SIGINT, signal.SIGTERM):
            assert signal.getsignal(each) is signal.default_int_handler


@pytest.mark.parametrize("stopped", [False, True])
async def test_afterwards_a_signal_means_what_it_meant_before(*, stopped: bool) -> None:
    """What is taken down after the role, such as a broker, is taken down in order all the same."""
    asked = asyncio.Event()
    with stopping_on_signals(asked.set):
        if stopped:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(asked.wait(), 10)
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
