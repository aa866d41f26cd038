"""The full circle of a broadcast: until its sender has verified every recipient's signed receipt of hand-over.

All 166 communes run as nodes, each with its own journal, keys and connections, as a province would run them on 166
machines: here they share a process per core with each other, and the cores with sender, router and broker.
"""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from axis.apps.node import Node
from axis.apps.workers import worker_count
from axis.core.addressing import OrganisationCode
from axis.core.consignment import State
from axis.core.envelope import MessageId, Urgency
from axis.errors import Unavailable
from axis.producers.publish import Draft, DraftPart
from bench.contenders import ROUTER, Stable
from bench.documents import BROADCAST
from bench.ground import PROVINCE, Ground
from bench.nodes import OPEN, opened

_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 1.0
_CONTENT: Final = b"%PDF-1.7\n" + bytes(range(256)) * 4

Nodes = subprocess.Popen[str]


def circle(stable: Stable, *, rounds: int, burst: int) -> dict[str, float]:
    """Broadcast one document after the other, then a burst at once.

    Args:
        stable: runs the router.
        rounds: how often one document goes round alone, after twice as many that do not count: the broker compiles what
            166 clients make it do for as long.
        burst: documents that go round at once.
    """
    ground = stable.ground
    with stable.running(ROUTER):
        sender, ends = stable.positions.inbox_ends([PROVINCE]), stable.positions.inbox_ends(ground.communes)
        with _recipients(ground, ends) as children:
            print(f"… {len(ends)} nodes are open", flush=True)
            alone, together = asyncio.run(_measure(ground, sender, children, rounds, burst))
    messages = len(ends)
    return {
        "circle.recipients": messages,
        "circle.seconds": statistics.median(alone),
        "circle.slowest_seconds": max(alone),
        "circle.messages_per_s": messages / statistics.median(alone),
        "circle.burst_messages_per_s": messages * burst / together,
    }


@contextmanager
def _recipients(ground: Ground, ends: Mapping[OrganisationCode, int]) -> Iterator[Sequence[Nodes]]:
    """Run the recipients' nodes, divided over as many processes as a router has here.

    Raises:
        Unavailable: some ended before they were open, or did not end in order.
    """
    places = [f"{code}={end}" for code, end in ends.items()]
    share = min(worker_count(0), len(places))
    with (ground.output / "nodes.log").open("wb") as log:
        children = [
            subprocess.Popen(
                [sys.executable, "-m", "bench.nodes", str(ground.settings.folder), *places[number::share]],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                process_group=0,
            )
            for number in range(share)
        ]
    try:
        if not all(child.stdout and child.stdout.readline() == OPEN for child in children):
            raise Unavailable(f"nodes ended before they were open; see {ground.output}")
        yield children
        for child in children:
            if child.stdin is not None:
                child.stdin.close()
        if any(child.wait(_STOP_SECONDS) for child in children):
            raise Unavailable(f"nodes did not end in order; see {ground.output}")
    finally:
        for child in children:
            # Closes what is open of it, and waits.
            with child:
                child.kill()


async def _measure(
    ground: Ground,
    place: Mapping[OrganisationCode, int],
    children: Sequence[Nodes],
    rounds: int,
    burst: int,
) -> tuple[list[float], float]:
    async with opened(ground.settings, place) as (sender,), asyncio.TaskGroup() as tasks:
        rounding = Rounding(sender)
        beside = [tasks.create_task(rounding.follow()), tasks.create_task(_watch(children))]
        for _ in range(2 * rounds):
            await rounding.send(1)
        alone = [await rounding.send(1) for _ in range(rounds)]
        print(f"… one broadcast {', '.join(f'{seconds:.2f}' for seconds in alone)} s", flush=True)
        together = await rounding.send(burst)
        for task in beside:
            task.cancel()
    return alone, together


async def _watch(children: Sequence[Nodes]) -> None:
    """Raise when nodes have ended: nobody would answer for them."""
    while True:
        if any(child.poll() is not None for child in children):
            raise Unavailable("nodes ended while documents were on their way; see nodes.log")
        await asyncio.sleep(_LOOK_SECONDS)


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
        draft = Draft(
            "Về việc phòng, chống bão",
            BROADCAST,
            (DraftPart("cong-dien.pdf", "application/pdf", _CONTENT),),
            urgency=Urgency.FLASH,
        )
        submissions = [await self._sender.publisher.prepare(draft) for _ in range(count)]
        self._open = {each.message_id for each in submissions}
        self._answered.clear()
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
