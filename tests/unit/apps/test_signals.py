"""Signals end a role in order, and leave things as they were."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from axis.apps.signals import stopping_on_signals

BOTH = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def terminated_as_interrupted() -> Iterator[None]:
    """Outside the block SIGTERM interrupts, as a site's does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("first", BOTH)
@pytest.mark.parametrize("second", BOTH)
async def test_the_first_signal_stops_and_the_second_interrupts(
    first: signal.Signals, second: signal.Signals
) -> None:
    """Who asks twice, in whichever way, does not want to wait."""
    asked = asyncio.Event()
    with stopping_on_signals(asked.set):
        os.kill(os.getpid(), first)
        await asyncio.wait_for(asked.wait(), 10)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), second)


async def test_a_second_signal_interrupts_however_soon_it_comes() -> None:
    """What comes before the first was answered counts as well."""
    asked = asyncio.Event()
    with stopping_on_signals(asked.set):
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(asked.wait(), 10)


@pytest.mark.parametrize("stopped", [False, True])
async def test_afterwards_a_signal_means_what_it_meant_before(*, stopped: bool) -> None:
    """What is taken down after the role, such as a broker, is taken down in order all the same."""
    before = [signal.getsignal(each) for each in BOTH]
    asked = asyncio.Event()
    with stopping_on_signals(asked.set):
        if stopped:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(asked.wait(), 10)
    assert [signal.getsignal(each) for each in BOTH] == before
