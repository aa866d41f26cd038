"""Nodes of communes that take whatever comes: `python -m bench.nodes FOLDER CODE=OFFSET…`; the end of its input stops it.

Each has its own journal, keys and connections, and reads its inbox on from the offset. It says `open` when all of them do.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from axis import settings as settings_file
from axis.apps.node import Node
from axis.consumers.inbox import Document
from axis.core.addressing import OrganisationCode
from axis.core.topics import inbox_topic
from axis.settings import Settings
from axis.telemetry.logs import configure_logs
from bench.lifeline import when_input_ends

OPEN: Final = "open\n"
_OPENED_TOGETHER: Final = 8


@asynccontextmanager
async def opened(settings: Settings, ends: Mapping[OrganisationCode, int]) -> AsyncIterator[Sequence[Node]]:
    """Open a node per organisation, a few at a time, to read its inbox on from an offset."""
    limit = asyncio.Semaphore(_OPENED_TOGETHER)
    async with AsyncExitStack() as stack:

        async def one(code: OrganisationCode, end: int) -> Node:
            async with limit:
                node = await stack.enter_async_context(Node.open(settings, code))
            node.journal.set_position(inbox_topic(code), end)
            return node

        yield await asyncio.gather(*(one(code, end) for code, end in ends.items()))


async def _take(node: Node) -> None:
    """Read an inbox for ever, and attest the hand-over of every document."""
    async for entries in node.inbox.follow():
        if any(isinstance(entry, Document) for entry in entries):
            await node.taker.take(node.journal.deliveries(waiting=True), node.directory.current())


def _place(text: str) -> tuple[OrganisationCode, int]:
    code, _, offset = text.partition("=")
    return OrganisationCode(code), int(offset)


async def main() -> None:
    """Take documents until the standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the site's data folder")
    parser.add_argument(
        "places", type=_place, nargs="+", help="an organisation, and where its inbox is read on"
    )
    arguments = parser.parse_args()
    configure_logs()
    stopping = asyncio.Event()
    when_input_ends(stopping.set)
    async with opened(settings_file.load(arguments.folder), dict(arguments.places)) as nodes:
        taking = [asyncio.create_task(_take(node)) for node in nodes]
        print(OPEN, end="", flush=True)
        await asyncio.wait(
            [asyncio.create_task(stopping.wait()), *taking], return_when=asyncio.FIRST_COMPLETED
        )
        for task in taking:
            if task.done():
                task.result()
            task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
