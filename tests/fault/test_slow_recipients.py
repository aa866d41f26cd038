"""Recipients that do not read, or stop in the middle."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
import pytest

from axis.apps.node import Node
from axis.consumers.inbox import Document, Entry
from axis.settings import Settings
from tests.fault.installation import Installation
from tests.fault.judging import assert_both_hold, routed
from tests.fault.oracle import Oracle
from tests.fault.routers import WatchedRouter, routing
from tests.fault.sending import DIEN_LU, OFFICE, QUANG_TRUNG, QUY_LUONG, Senders, append_all
from tests.waiting import eventually

pytestmark = pytest.mark.kafka

DOCUMENTS = 40
EVERYBODY = (DIEN_LU, QUANG_TRUNG, QUY_LUONG)


async def read(node: Node, wanted: set[bytes]) -> None:
    """Follow an inbox until these documents were read."""
    async for entries in node.inbox.follow():
        wanted -= {digest(entry) for entry in entries}
        if not wanted:
            return


def digest(entry: Entry) -> bytes:
    """Return the identity of a document, nothing for other entries."""
    return entry.digest if isinstance(entry, Document) else b""


class Follower:
    """`axis inbox follow` in a process of its own, which can be stopped in the middle."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def of(cls, settings: Settings, code: str) -> AsyncIterator["Follower"]:
        """Follow the inbox of an organisation."""
        command = ("-m", "axis.cli.main", "inbox", "follow", "--as", code, "-o", "jsonl", "--data")
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, str(settings.folder), stdout=asyncio.subprocess.PIPE
        )
        try:
            yield cls(process)
        finally:
            process.kill()
            await process.wait()

    async def shows(self, wanted: set[str]) -> None:
        """Return when it has shown the documents with these message ids."""
        assert self._process.stdout is not None
        while wanted:
            line = await self._process.stdout.readline()
            assert line, "it ended"
            wanted -= {json.loads(line).get("message_id")}

    async def stop(self) -> None:
        """Let it do nothing more; its connections stay."""
        self._process.send_signal(signal.SIGSTOP)
        await eventually(self.is_stopped, "the recipient stands still")

    def is_stopped(self) -> bool:
        """Tell whether it does nothing."""
        return bool(psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED)

    def go_on(self) -> None:
        """Let it go on where it was stopped."""
        self._process.send_signal(signal.SIGCONT)


async def test_recipients_that_read_late_or_never_disturb_nobody(site: Installation, oracle: Oracle) -> None:
    """One recipient reads as documents come, one is stopped after the first, one comes later; each gets everything."""
    async with (
        Senders.open(site.settings, [OFFICE]) as senders,
        Node.open(site.settings, DIEN_LU) as prompt,
        Node.open(site.settings, QUANG_TRUNG) as absent,
        Follower.of(site.settings, QUY_LUONG) as stopping,
        routing(WatchedRouter(site.settings)),
    ):
        first, *others = [await senders.prepare(OFFICE, EVERYBODY) for _ in range(DOCUMENTS)]
        wanted = {bytes(each.submission.digest) for each in (first, *others)}
        following = asyncio.create_task(read(prompt, set(wanted)))
        await first.append()
        await asyncio.wait_for(stopping.shows({first.submission.message_id}), 60)
        await stopping.stop()
        await append_all(others)
        await asyncio.wait_for(following, 60)
        assert not list(absent.journal.deliveries())
        await asyncio.wait_for(read(absent, set(wanted)), 60)
        assert {bytes(each.digest) for each in absent.journal.deliveries()} >= wanted
        await routed(oracle)
        assert stopping.is_stopped()
        stopping.go_on()
        await asyncio.wait_for(stopping.shows({each.submission.message_id for each in others}), 60)
    await assert_both_hold(oracle)
