"""The full circle of a broadcast: until its sender has verified every recipient's signed receipt of hand-over.

All 166 communes run as nodes in this program, each with its own journal, keys and connections, as a province would
run them on 166 machines: here they share one core with each other.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from axis.apps.node import Node
from axis.consumers.inbox import Document
from axis.core.addressing import OrganisationCode
from axis.core.consignment import State
from axis.core.envelope import MessageId, Urgency
from axis.core.topics import inbox_topic
from axis.producers.publish import Draft, DraftPart
from axis.settings import Settings
from bench.contenders import ROUTER, Stable
from bench.documents import BROADCAST
from bench.ground import PROVINCE

_OPENED_TOGETHER: Final = 8
_SECONDS: Final = 120.0
_CONTENT: Final = b"%PDF-1.7\n" + bytes(range(256)) * 4


def circle(stable: Stable, *, rounds: int, burst: int) -> dict[str, float]:
    """Broadcast one document after the other, then a burst at once.

    Args:
        stable: runs the router.
        rounds: how often one document goes round alone, after one that does not count.
        burst: documents that go round at once.
    """
    with stable.running(ROUTER):
        alone, together = asyncio.run(_measure(stable, rounds, burst))
    messages = len(stable.ground.communes)
    return {
        "circle.recipients": messages,
        "circle.seconds": statistics.median(alone),
        "circle.slowest_seconds": max(alone),
        "circle.messages_per_s": messages / statistics.median(alone),
        "circle.burst_messages_per_s": messages * burst / together,
    }


async def _measure(stable: Stable, rounds: int, burst: int) -> tuple[list[float], float]:
    ground = stable.ground
    ends = stable.positions.inbox_ends([PROVINCE, *ground.communes])
    async with _opened(ground.settings, ends) as (sender, *recipients), asyncio.TaskGroup() as tasks:
        print(f"… {len(recipients)} nodes are open", flush=True)
        rounding = Rounding(sender)
        following = [tasks.create_task(rounding.follow())]
        following += [tasks.create_task(_take(node)) for node in recipients]
        await rounding.send(1)
        alone = [await rounding.send(1) for _ in range(rounds)]
        print(f"… one broadcast {', '.join(f'{seconds:.2f}' for seconds in alone)} s", flush=True)
        together = await rounding.send(burst)
        for task in following:
            task.cancel()
    return alone, together


class Rounding:
    """A sender, and the documents of it that are on their way."""

    def __init__(self, sender: Node) -> None:
        self._sender = sender
        self._open: set[MessageId] = set()
        self._answered = asyncio.Event()

    async def send(self, count: int) -> float:
        """Publish documents to all communes and wait until all receipts are verified; return the seconds.

        Raises:
            TimeoutError: some receipts did not come.
        """
        began = time.monotonic()
        self._answered.clear()
        draft = Draft(
            "Về việc phòng, chống bão",
            BROADCAST,
            (DraftPart("cong-dien.pdf", "application/pdf", _CONTENT),),
            urgency=Urgency.FLASH,
        )
        submissions = [await self._sender.publisher.prepare(draft) for _ in range(count)]
        self._open = {each.message_id for each in submissions}
        for submission in submissions:
            await self._sender.publisher.append(submission)
        async with asyncio.timeout(_SECONDS):
            await self._answered.wait()
        return time.monotonic() - began

    async def follow(self) -> None:
        """Read the sender's inbox for ever."""
        async for entries in self._sender.inbox.follow():
            if not entries:
                continue
            for message_id in list(self._open):
                submission = self._sender.journal.submission(message_id=message_id)
                if submission is not None and submission.state is State.HANDED_OVER:
                    self._open.discard(message_id)
            if not self._open:
                self._answered.set()


async def _take(node: Node) -> None:
    """Read an inbox for ever, and attest the hand-over of every document."""
    async for entries in node.inbox.follow():
        if any(isinstance(entry, Document) for entry in entries):
            await node.taker.take(node.journal.deliveries(waiting=True), node.directory.current())


@asynccontextmanager
async def _opened(settings: Settings, ends: Mapping[OrganisationCode, int]) -> AsyncIterator[Sequence[Node]]:
    """Open a node per organisation, a few at a time, to read its inbox on from the present end."""
    limit = asyncio.Semaphore(_OPENED_TOGETHER)
    async with AsyncExitStack() as stack:

        async def opened(code: OrganisationCode, end: int) -> Node:
            async with limit:
                node = await stack.enter_async_context(Node.open(settings, code))
            node.journal.set_position(inbox_topic(code), end)
            return node

        yield await asyncio.gather(*(opened(code, end) for code, end in ends.items()))
