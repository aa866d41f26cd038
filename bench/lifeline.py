"""Ends a child of the bench with its parent: the parent holds the other end of the child's standard input."""

import asyncio
import sys
from collections.abc import Callable


def when_input_ends(call: Callable[[], object]) -> Callable[[], bool]:
    """Call once when the standard input ends, because the parent closed it or is gone; return what calls it off."""
    loop = asyncio.get_running_loop()

    def ended() -> None:
        # The end stays readable for ever: without this the loop would spin on it.
        loop.remove_reader(sys.stdin)
        call()

    loop.add_reader(sys.stdin, ended)
    return lambda: loop.remove_reader(sys.stdin)
