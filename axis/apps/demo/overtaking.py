"""Step 2: a flash document to everybody overtakes a backlog of ordinary ones."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from axis.apps.demo import bulk, documents
from axis.apps.demo.claims import Claim, Findings, Phrase, short
from axis.apps.demo.stage import PROVINCE, Stage
from axis.core.topics import SUBMISSIONS_EXPRESS, SUBMISSIONS_STANDARD, inbox_topic
from axis.ports import Record

TITLE: Final = Phrase(
    "Một công điện hỏa tốc gửi mọi cơ quan vượt lên trước hàng nghìn văn bản đang chờ",
    "A flash document to every organisation overtakes thousands that are waiting",
)
BACKLOG: Final = 2_000
_LEAST_BEHIND: Final = 0.8


async def play(stage: Stage) -> Findings:
    """Let a backlog gather while the router is held, put the flash document behind it, let go, and watch the inboxes."""
    backlog = await bulk.prepare(stage, BACKLOG)
    province = await stage.node(PROVINCE)
    flash = await province.publisher.prepare(documents.flash(), stage.directory)
    recipients = stage.directory.resolve("@all", PROVINCE, flash.stored_at)
    starts = await stage.witness.mark([SUBMISSIONS_EXPRESS, SUBMISSIONS_STANDARD, *stage.inboxes])
    with stage.router.frozen():
        await bulk.append(backlog)
        acknowledged = await province.publisher.append(flash)
    # Each submission stands once in its lane and is answered once; each document stands once in an inbox.
    expected = 3 * len(backlog) + 2 + len(recipients)
    records = await stage.witness.collect(starts, lambda found: len(found) >= expected)

    submitted = [each for each in records if each.topic == SUBMISSIONS_EXPRESS and each.value == flash.value]
    copies = [each for each in records if each.topic != SUBMISSIONS_EXPRESS and each.value == flash.value]
    delivered = bulk.deliveries(backlog, records)
    everywhere = sorted(each.topic for each in copies) == sorted(map(inbox_topic, recipients))
    return Findings(
        (
            _was_last(
                records,
                submitted,
                len(backlog),
                f"{flash.topic}[{acknowledged.partition}]@{acknowledged.offset}",
            ),
            Claim(
                _EVERYWHERE,
                held=everywhere,
                evidence=(
                    (
                        f"{len(copies)}/{len(recipients)} axis.inbox.*, 1 × {SUBMISSIONS_EXPRESS}"
                        f" · {short(flash.digest)} · {_clock([each.appended_at for each in copies])}"
                    ),
                ),
            ),
            overtook(copies, delivered, everywhere=everywhere),
            Claim(
                _COMPLETE,
                held=all(len(each) == 1 for each in delivered),
                evidence=(f"{sum(map(len, delivered))} / {len(backlog)}",),
            ),
        ),
        proof=f"{len(copies)} axis.inbox.*; {_appended_after(copies, delivered)} / {len(backlog)} còn chờ (still waiting)",
    )


_LAST: Final = Phrase(
    "Công điện được nộp sau cùng, khi cả hàng đợi đã nằm trong Kafka",
    "The flash document was submitted last, with the whole backlog already in Kafka",
)
_EVERYWHERE: Final = Phrase(
    "Một lần nộp, mỗi cơ quan trong danh bạ nhận đúng một bản giống từng byte",
    "One submission; every organisation of the directory got exactly one copy, byte for byte",
)
_OVERTOOK: Final = Phrase(
    "Khi công điện đã vào mọi hộp thư, vẫn còn chừng này văn bản thường chưa chuyển",
    "When it stood in every inbox, so many ordinary documents were still waiting",
)
_COMPLETE: Final = Phrase(
    "Sau đó mọi văn bản thường cũng tới, mỗi văn bản đúng một lần",
    "Every ordinary document arrived afterwards, exactly once",
)


def _was_last(records: Sequence[Record], submitted: Sequence[Record], backlog: int, place: str) -> Claim:
    """Judge whether the flash document was submitted once, when the whole backlog was in Kafka already."""
    waiting = [each.appended_at for each in records if each.topic == SUBMISSIONS_STANDARD]
    moments = [each.appended_at for each in submitted]
    return Claim(
        _LAST,
        held=len(waiting) == backlog and len(submitted) == 1 and max(waiting) <= moments[0],
        evidence=(
            f"{len(waiting)} × {SUBMISSIONS_STANDARD}, {_clock(waiting)}",
            f"{place}, {_clock(moments)}",
        ),
    )


def overtook(copies: Sequence[Record], delivered: Sequence[Sequence[Record]], *, everywhere: bool) -> Claim:
    """Judge whether nearly the whole backlog still waited when the flash document stood in its last inbox.

    A router that serves both lanes by turns leaves some behind as well; one that drains the express lane first, nearly all.

    Args:
        copies: of the flash document in the inboxes.
        delivered: the copies of each document of the backlog.
        everywhere: whether the flash document reached every inbox.
    """
    behind = _appended_after(copies, delivered)
    return Claim(
        _OVERTOOK,
        held=everywhere and behind >= _LEAST_BEHIND * len(delivered),
        evidence=(f"{behind} / {len(delivered)} · {_clock(_moments(delivered))}",),
    )


def _appended_after(copies: Sequence[Record], delivered: Sequence[Sequence[Record]]) -> int:
    """Count the deliveries that Kafka took after the last copy of the flash document."""
    last = max((each.appended_at for each in copies), default=None)
    return 0 if last is None else sum(at > last for at in _moments(delivered))


def _moments(delivered: Sequence[Sequence[Record]]) -> list[datetime]:
    return [record.appended_at for each in delivered for record in each]


def _clock(moments: Sequence[datetime]) -> str:
    """Return the span of Kafka's append times, UTC."""
    if not moments:
        return "–"
    first, last = (f"{moment:%H:%M:%S.%f}"[:-3] for moment in (min(moments), max(moments)))
    return f"{first} – {last} UTC" if first != last else f"{first} UTC"
