"""Step 5: the router is killed in the middle of a batch and started again; everything arrives, everything once."""

import asyncio
from collections.abc import Collection
from typing import Final

from axis.admin.kafka import Bound, TopicAdmin
from axis.apps import wiring
from axis.apps.demo import bulk
from axis.apps.demo.claims import Claim, Findings, Phrase
from axis.apps.demo.stage import Stage
from axis.core.topics import RECEIPTS
from axis.ports import PartitionId
from axis.testing.broker import ADMIN_NAME

TITLE: Final = Phrase(
    "Bộ định tuyến bị SIGKILL giữa chừng rồi chạy lại",
    "The router is killed with SIGKILL in the middle of a batch, and started again",
)
BATCH: Final = 600
_LOOKS: Final = 100
_PAUSE_SECONDS: Final = 0.02


async def play(stage: Stage) -> Findings:
    """Append a bulk, kill the router while a transaction is open, start another one, and count what arrived."""
    batch = await bulk.prepare(stage, BATCH)
    topics = [RECEIPTS, *stage.inboxes]
    starts = await stage.witness.mark(topics)
    with stage.router.frozen():
        await bulk.append(batch)
    killed, open_records = stage.router.pid, await _kill_inside_a_transaction(stage, starts)
    killed_at = wiring.clock().now()
    stage.router.start()
    await stage.router.ready()
    # Each document stands once in an inbox; its receipt stands in the legal record and in the sender's inbox.
    records = await stage.witness.collect(starts, lambda found: len(found) >= 3 * len(batch))

    delivered = bulk.deliveries(batch, records)
    early = sum(record.appended_at < killed_at for each in delivered for record in each)
    receipts = bulk.by_message_id([each for each in records if each.topic == RECEIPTS])
    answered = [receipts.get(each.submission.message_id.encode(), []) for each in batch]
    return Findings(
        (
            Claim(
                _KILLED,
                held=open_records > 0 and early < len(batch),
                evidence=(
                    f"SIGKILL pid {killed}: {open_records} bản ghi chưa commit (records not committed)",
                    f"{early} / {len(batch)} đã giao trước khi chết (delivered before); pid mới (new) {stage.router.pid}",
                ),
            ),
            Claim(
                _ARRIVED,
                held=all(len(each) == 1 for each in delivered),
                evidence=(
                    (
                        f"{sum(map(bool, delivered))} / {len(batch)} đã giao (delivered), "
                        f"{sum(len(each) > 1 for each in delivered)} bị lặp (doubled)"
                    ),
                ),
            ),
            Claim(
                _ANSWERED,
                held=all(len(each) == 1 for each in answered),
                evidence=(f"{sum(map(len, answered))} / {len(batch)} {RECEIPTS}",),
            ),
        ),
        proof=f"{early} → {sum(map(len, delivered))} / {len(batch)}; {open_records} bản ghi dở dang (uncommitted)",
    )


_KILLED: Final = Phrase(
    "Lúc bị giết, bộ định tuyến đang ở trong giao dịch: có bản ghi đã ghi mà chưa commit, không ai đọc được",
    "It died inside a transaction: records were written that were not committed, and nobody can read them",
)
_ARRIVED: Final = Phrase(
    "Chạy lại: mọi văn bản của lô tới nơi, mỗi văn bản đúng một lần",
    "After the restart every document of the batch arrived, exactly once",
)
_ANSWERED: Final = Phrase(
    "Mỗi văn bản có đúng một biên nhận tiếp nhận", "Each document has exactly one receipt"
)


async def _kill_inside_a_transaction(stage: Stage, places: Collection[PartitionId]) -> int:
    """Freeze the router again and again until a transaction is open, and kill it; return the records left in it."""
    router, admin = stage.router, wiring.topic_admin(stage.settings, ADMIN_NAME)
    open_records = 0
    for _ in range(_LOOKS):
        await asyncio.sleep(_PAUSE_SECONDS)
        router.freeze()
        # What the frozen router asked for before is answered meanwhile, so a transaction that is open now stays open.
        await asyncio.sleep(_PAUSE_SECONDS)
        open_records = await asyncio.to_thread(_uncommitted, admin, places)
        if open_records > 0:
            break
        router.thaw()
    router.kill()
    return open_records


def _uncommitted(admin: TopicAdmin, places: Collection[PartitionId]) -> int:
    """Count the records that stand in the logs but not before the ends that readers of committed records see."""
    written, committed = admin.offsets(places, Bound.WRITTEN), admin.offsets(places, Bound.COMMITTED)
    return sum(written[place] - committed[place] for place in places)
