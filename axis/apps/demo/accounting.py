"""Step 6: an auditor reads everything from the beginning and reconciles; the nodes' own journals agree."""

import asyncio
from collections import Counter
from typing import Final

from axis.apps import audit
from axis.apps.demo import replayed
from axis.apps.demo.claims import Claim, Findings, Phrase
from axis.apps.demo.replayed import Reading
from axis.apps.demo.stage import Stage
from axis.consumers.replay import DOCUMENT
from axis.core.consignment import State
from axis.core.findings import Report
from axis.core.receipt import Event

TITLE: Final = Phrase(
    "Kiểm toán đọc lại toàn bộ từ đầu và đối soát",
    "An auditor reads everything from the beginning and reconciles",
)
_FINDINGS_SHOWN: Final = 10
_ANSWERS: Final = (Event.SUBMISSION_ACCEPTANCE, Event.SUBMISSION_REJECTION, Event.CONTENT_HANDOVER)


async def play(stage: Stage) -> Findings:
    """Replay and reconcile, each by a reading of its own, and compare with what each node knows about what it sent."""
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(replayed.replay(stage.settings.folder))
        reconciling = group.create_task(audit.reconcile(stage.settings))
    report = reconciling.result()
    counts = report.counts
    return Findings(
        (_replayed(reading.result(), report), _reconciled(report), await _journals(stage)),
        proof=f"{counts['submissions']} nộp (submissions), {counts['delivered']} giao (deliveries), "
        f"{counts['answered']} biên nhận (receipts); {len(report.findings)} sai lệch (differences)",
    )


_REPLAYED: Final = Phrase(
    "`axis replay` đọc từng bản ghi từ đầu và đếm được đúng như đối soát; sau bộ định tuyến không có gì giả mạo",
    "`axis replay` read every record and counts the same as reconciliation; behind the router nothing is forged",
)
_RECONCILED: Final = Phrase(
    "Văn bản nộp, bản giao và biên nhận khớp nhau: không mất, không trùng; mọi chữ ký đã được kiểm tra lại",
    "Submissions, deliveries and receipts agree: nothing lost, nothing doubled; every signature verified again",
)
_JOURNALS: Final = Phrase(
    "Nhật ký riêng của từng nút: mọi văn bản đã gửi đều được trả lời",
    "The nodes' own journals: everything that was sent was answered",
)


def _replayed(reading: Reading, report: Report) -> Claim:
    counts, unverified = report.counts, reading.unverified_beyond_lanes()
    documents, answers = reading.in_inboxes(DOCUMENT), reading.in_inboxes(*_ANSWERS)
    return Claim(
        _REPLAYED,
        held=unverified == 0
        and (reading.submissions(), documents, answers)
        == (counts["submissions"], counts["delivered"], counts["answered"]),
        evidence=(
            (
                f"{reading.counts.total()} bản ghi (records): {reading.submissions()} nộp (submissions), "
                f"{documents} văn bản (documents), {answers} biên nhận (receipts), {unverified} giả mạo (forged)"
            ),
        ),
    )


def _reconciled(report: Report) -> Claim:
    counts = report.counts
    shown = report.findings[:_FINDINGS_SHOWN]
    return Claim(
        _RECONCILED,
        held=report.holds
        and counts["waiting"] == 0
        and counts["submissions"] > 0
        and counts["consigned"] == counts["delivered"]
        and counts["answers_due"] == counts["answered"],
        evidence=(
            " · ".join(f"{name}={count}" for name, count in counts.items()),
            *(f"{each.kind} · {each.place} · {each.detail}" for each in shown),
        ),
    )


async def _journals(stage: Stage) -> Claim:
    """Let each node read its inbox to the end, and count the states of what it sent."""
    states: Counter[State] = Counter()
    nodes = list(stage.opened)
    for node in nodes:
        async for _ in node.inbox.synchronise():
            pass
        states.update(submission.state for submission in node.journal.submissions())
    unanswered = states[State.STORED] + states[State.SUBMITTED]
    return Claim(
        _JOURNALS,
        held=unanswered == 0 and states.total() > 0,
        evidence=(
            f"{len(nodes)} nút (nodes) · "
            + " · ".join(f"{state}={count}" for state, count in sorted(states.items()))
            + f" · chưa trả lời (unanswered)={unanswered}",
        ),
    )
