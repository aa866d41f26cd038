"""What a node makes of its inbox."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from axis.apps.node import Node
from axis.consumers.inbox import Entry

SECONDS = 60


async def read(node: Node) -> list[Entry]:
    """Everything new that the node makes of its inbox."""
    return [entry async for entries in node.inbox.synchronise() for entry in entries]


async def read_until(node: Node, wanted: Callable[[Entry], bool]) -> Entry:
    """Follow the inbox up to the first entry that is wanted."""
    async with asyncio.timeout(SECONDS), aclosing(node.inbox.follow()) as following:
        async for entries in following:
            for entry in entries:
                if wanted(entry):
                    return entry
    raise AssertionError
