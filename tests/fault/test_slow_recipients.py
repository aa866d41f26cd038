"""Recipients that do not read."""

import asyncio

import pytest

from axis.apps.node import Node
from axis.consumers.inbox import Document, Entry
from tests.fault.installation import Installation
from tests.fault.judging import assert_both_hold, routed
from tests.fault.oracle import Oracle
from tests.fault.routers import WatchedRouter, routing
from tests.fault.sending import DIEN_LU, OFFICE, QUANG_TRUNG, Senders, append_all

pytestmark = pytest.mark.kafka

DOCUMENTS = 40


async def read(node: Node, wanted: set[bytes]) -> None:
    """Follow an inbox until these documents were read."""
    async for entries in node.inbox.follow():
        wanted -= {digest(entry) for entry in entries}
        if not wanted:
            return


def digest(entry: Entry) -> bytes:
    """Return the identity of a document, nothing for other entries."""
    return entry.digest if isinstance(entry, Document) else b""


async def test_a_recipient_that_never_reads_disturbs_nobody(site: Installation, oracle: Oracle) -> None:
    """One recipient reads as documents come, the other not at all until later; each gets everything."""
    async with (
        Senders.open(site.settings, [OFFICE]) as senders,
        Node.open(site.settings, DIEN_LU) as prompt,
        Node.open(site.settings, QUANG_TRUNG) as absent,
        routing(WatchedRouter(site.settings)),
    ):
        documents = [await senders.prepare(OFFICE, (DIEN_LU, QUANG_TRUNG)) for _ in range(DOCUMENTS)]
        wanted = {bytes(each.submission.digest) for each in documents}
        following = asyncio.create_task(read(prompt, set(wanted)))
        await append_all(documents)
        await asyncio.wait_for(following, 60)
        assert not list(absent.journal.deliveries())
        await asyncio.wait_for(read(absent, set(wanted)), 60)
        assert {bytes(each.digest) for each in absent.journal.deliveries()} >= wanted
        await routed(oracle)
    await assert_both_hold(oracle)
