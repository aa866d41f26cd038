"""Memory with an attachment of 200 MB: publisher, router and reader, each a process of its own, above its idle.

Also the publisher and the reader themselves: `python -m bench.attachment FOLDER publisher|reader …`.
"""

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from axis import settings as settings_file
from axis.apps.node import Node
from axis.consumers.inbox import Document
from axis.consumers.take import unpack
from axis.core.addressing import OrganisationCode
from axis.core.topics import inbox_topic
from axis.errors import Unavailable
from axis.producers.publish import Draft, DraftPart
from axis.settings import Settings
from bench.contenders import MEBIBYTE, ROUTER, MemoryWatch, Stable
from bench.ground import PROVINCE
from bench.lifeline import when_input_ends

SIZE_MB: Final = 200
_READY, _DONE = "ready", "done"


def attachment(stable: Stable) -> dict[str, float]:
    """Send a document with an attachment of 200 MB to one commune, whose node unpacks it."""
    ground = stable.ground
    recipient = ground.communes[0]
    with tempfile.TemporaryDirectory(prefix="axis-bench-") as folder, stable.running(ROUTER) as router:
        end = stable.positions.inbox_ends([recipient])[recipient]
        path = Path(folder, "ban-do.bin")
        _fill(path)
        site = str(ground.settings.folder)
        with (
            _child([site, "reader", recipient, str(end), folder]) as reader,
            _child([site, "publisher", recipient, str(path)]) as publisher,
        ):
            _expect(publisher, _READY)
            _expect(reader, _READY)
            with (
                MemoryWatch(psutil.Process(publisher.pid)) as at_publisher,
                MemoryWatch(*router.processes) as at_router,
                MemoryWatch(psutil.Process(reader.pid)) as at_reader,
            ):
                print("go", file=publisher.stdin, flush=True)
                _expect(publisher, _DONE)
                _expect(reader, _DONE)
        same = Path(folder, path.name + ".taken").stat().st_size == SIZE_MB * MEBIBYTE
    if not same:
        raise Unavailable("the reader did not unpack the attachment whole")
    extra = {
        "memory.publisher_attachment_extra_mb": at_publisher.extra_mb,
        "memory.router_attachment_extra_mb": at_router.extra_mb,
        "memory.reader_attachment_extra_mb": at_reader.extra_mb,
    }
    return {
        **extra,
        "memory.attachment_200mb_extra_mb": max(extra.values()),
        "memory.publisher_idle_mb": at_publisher.idle_bytes / MEBIBYTE,
        "memory.router_idle_mb": at_router.idle_bytes / MEBIBYTE,
        "memory.reader_idle_mb": at_reader.idle_bytes / MEBIBYTE,
    }


def _fill(path: Path) -> None:
    content = random.Random(2).randbytes(MEBIBYTE)  # noqa: S311 - filling
    with path.open("wb") as file:
        for number in range(SIZE_MB):
            file.write(number.to_bytes(8, "big") + content[8:])


@contextmanager
def _child(arguments: list[str]) -> Iterator["subprocess.Popen[str]"]:
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.attachment", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        yield child
        child.communicate()
    finally:
        child.kill()
        child.communicate()


def _expect(child: "subprocess.Popen[str]", word: str) -> None:
    assert child.stdout is not None
    if (line := child.stdout.readline().strip()) != word:
        raise Unavailable(f"a child of the bench said {line!r}, expected {word!r}; its output above says why")


async def _publish(settings: Settings, recipient: str, path: Path) -> None:
    """Send a small document, say so, wait for a line, send the large one."""
    async with Node.open(settings, PROVINCE) as node:
        for part, word in (
            (DraftPart("nho.txt", "text/plain", b"nho"), _READY),
            (DraftPart(f"{path.name}.taken", "application/octet-stream", path), _DONE),
        ):
            await node.publisher.publish(Draft("Bản đồ quy hoạch", (recipient,), (part,)))
            print(word, flush=True)
            await asyncio.to_thread(sys.stdin.readline)


async def _read(settings: Settings, code: OrganisationCode, start: int, folder: Path) -> None:
    """Unpack a small document, say so, then the large one; the end of the input ends it earlier."""
    reading = asyncio.current_task()
    assert reading is not None
    finished = when_input_ends(reading.cancel)
    words = iter((_READY, _DONE))
    async with Node.open(settings, code) as node:
        node.journal.set_position(inbox_topic(code), start)
        async for entries in node.inbox.follow():
            for entry in entries:
                if isinstance(entry, Document):
                    [delivery] = node.journal.deliveries(message_id=entry.header.message_id)
                    await unpack(delivery, folder, node.blobs)
                    print(word := next(words), flush=True)
                    if word == _DONE:
                        finished()
                        return


def main() -> None:
    """Play the publisher or the reader."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the site's data folder")
    roles = parser.add_subparsers(dest="role", required=True)
    publisher = roles.add_parser("publisher")
    publisher.add_argument("recipient")
    publisher.add_argument("path", type=Path)
    reader = roles.add_parser("reader")
    reader.add_argument("code", type=OrganisationCode)
    reader.add_argument("start", type=int)
    reader.add_argument("into", type=Path)
    arguments = parser.parse_args()
    settings = settings_file.load(arguments.folder)
    if arguments.role == "publisher":
        asyncio.run(_publish(settings, arguments.recipient, arguments.path))
    else:
        asyncio.run(_read(settings, arguments.code, arguments.start, arguments.into))


if __name__ == "__main__":
    main()
