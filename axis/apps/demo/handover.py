"""Step 1: a signed letter reaches one ward, which reads, verifies and takes it; the sender holds the receipt."""

import asyncio
from collections.abc import Callable
from typing import Final

from axis.apps.demo import documents
from axis.apps.demo.claims import Claim, Findings, Phrase, short
from axis.apps.demo.stage import OFFICE, WARD, Stage
from axis.consumers.inbox import Entry, Inbox
from axis.consumers.take import unpack
from axis.core.consignment import State
from axis.core.digest import sha256
from axis.core.receipt import Event
from axis.core.topics import inbox_topic
from axis.producers.publish import Draft
from axis.storage.journal import StoredDelivery, StoredSubmission

TITLE: Final = Phrase(
    "Văn phòng UBND tỉnh gửi công văn đã ký tới phường Bỉm Sơn",
    "The provincial office sends a signed letter to Bỉm Sơn ward",
)
_DEADLINE_SECONDS: Final = 60.0


async def play(stage: Stage) -> Findings:
    """Publish, read, take, and wait for the receipt of hand-over."""
    office, ward = await stage.node(OFFICE), await stage.node(WARD)
    draft = documents.letter(WARD)
    sent = await office.publisher.publish(draft, stage.directory)
    message_id, partition = sent.submission.message_id, sent.partition

    await _read_until(ward.inbox, lambda: ward.journal.delivery(OFFICE, message_id) is not None)
    delivery = ward.journal.delivery(OFFICE, message_id)
    if delivery is None:
        return Findings((Claim(_READ, held=False),), "")
    files = await _unpacked(stage, delivery, draft)
    await ward.taker.take([delivery], stage.directory)
    await _read_until(office.inbox, lambda: _is_handed_over(office.journal.submission(message_id=message_id)))
    handover = [each for each in office.journal.receipts(message_id) if each.event is Event.CONTENT_HANDOVER]
    own = office.journal.submission(message_id=message_id)
    return Findings(
        (
            Claim(
                _READ,
                held=delivery.value == sent.submission.value and delivery.digest == sent.submission.digest,
                evidence=(
                    f"{message_id} · {sent.submission.topic}[{partition}]@{sent.offset} → {inbox_topic(WARD)}",
                    f"{len(delivery.value)} B = {len(sent.submission.value)} B · {short(delivery.digest)}",
                ),
            ),
            Claim(_UNPACKED, held=all(same for same, _ in files), evidence=tuple(line for _, line in files)),
            Claim(
                _HANDED_OVER,
                held=_is_handed_over(own) and [each.issuer for each in handover] == [WARD],
                evidence=tuple(f"{each.event} · {each.issuer} · {short(each.digest)}" for each in handover),
            ),
        ),
        proof=" · ".join(f"{each.event} {short(each.digest)}" for each in handover),
    )


_READ: Final = Phrase(
    "Nút của phường đọc và kiểm tra chữ ký; bản nhận được giống từng byte bản đã gửi",
    "The ward's node read it and verified the signature; what arrived is what was sent, byte for byte",
)
_UNPACKED: Final = Phrase(
    "Các tệp lấy ra đúng như tệp gốc, kể cả phụ lục lớn đi qua kho tệp",
    "The files unpacked are the originals, the large attachment by claim check included",
)
_HANDED_OVER: Final = Phrase(
    "Nơi gửi có biên nhận do chính phường ký trong hộp thư của mình",
    "The sender has the ward's own signed hand-over receipt in its inbox",
)


async def _read_until(inbox: Inbox, arrived: Callable[[], bool]) -> list[Entry]:
    """Read an inbox as its owner's node does, until something arrived or the deadline passed."""
    loop = asyncio.get_running_loop()
    end = loop.time() + _DEADLINE_SECONDS
    entries: list[Entry] = []
    async for batch in inbox.follow():
        entries += batch
        if arrived() or loop.time() > end:
            break
    return entries


async def _unpacked(stage: Stage, delivery: StoredDelivery, draft: Draft) -> list[tuple[bool, str]]:
    """Unpack a delivery; return per part whether the file is the original, and the evidence."""
    folder = stage.settings.node_folder(WARD) / "taken" / delivery.message_id
    unpacked = await unpack(delivery, folder, (await stage.node(WARD)).blobs)
    lines = []
    for part, path in zip(draft.parts, unpacked.files, strict=True):
        content = path.read_bytes()
        lines.append((content == part.content, f"{path.name} · {len(content)} B · {short(sha256(content))}"))
    return lines


def _is_handed_over(submission: StoredSubmission | None) -> bool:
    return submission is not None and submission.state is State.HANDED_OVER
