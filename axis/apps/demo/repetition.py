"""Step 4: the same envelope twice is one delivery and one receipt; its message id with other content is a conflict."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from axis.apps import wiring
from axis.apps.demo import documents
from axis.apps.demo.claims import Claim, Findings, Phrase, place, short
from axis.apps.demo.stage import Stage
from axis.apps.node import Node
from axis.consumers.take import opened
from axis.core.addressing import OrganisationCode
from axis.core.digest import sha256
from axis.core.disposition import Reason
from axis.core.receipt import Event
from axis.core.topics import RECEIPTS, inbox_topic
from axis.ports import Record
from axis.storage.journal import StoredSubmission

TITLE: Final = Phrase(
    "Gửi lặp cùng một phong bì chỉ giao một lần, trả đúng biên nhận cũ",
    "The same envelope twice is delivered once and answered with the same receipt",
)
_SENDER: Final = OrganisationCode("H56.03")
_RECIPIENT: Final = OrganisationCode("H56.14818")
_ANSWERS: Final = 3


async def play(stage: Stage) -> Findings:
    """Append one envelope twice, then another one under its message id, and read both inboxes and the receipts."""
    node = await stage.node(_SENDER)
    starts = await stage.witness.mark([RECEIPTS, inbox_topic(_SENDER), inbox_topic(_RECIPIENT)])
    genuine = await node.publisher.prepare(documents.notice(_RECIPIENT, 1), stage.directory)
    conflicting = _same_message_id(node, genuine)
    for submission in (genuine, genuine, conflicting):
        await node.publisher.append(submission)
    records = await stage.witness.collect(
        starts, lambda found: len(_in(found, inbox_topic(_SENDER))) >= _ANSWERS
    )

    delivered, answers = _in(records, inbox_topic(_RECIPIENT)), _in(records, inbox_topic(_SENDER))
    kept, repeated = _in(records, RECEIPTS), [each for each in answers if each.value == answers[0].value]
    return Findings(
        (
            Claim(
                _DELIVERED_ONCE,
                held=[each.value for each in delivered] == [genuine.value],
                evidence=tuple(f"{place(each)} · {short(genuine.digest)}" for each in delivered),
            ),
            Claim(
                _SAME_RECEIPT,
                held=len(repeated) == 2  # noqa: PLR2004 - the envelope was submitted twice
                and _is(stage, repeated[0], Event.SUBMISSION_ACCEPTANCE, genuine),
                evidence=tuple(f"{place(each)} · {short(sha256(each.value or b''))}" for each in repeated),
            ),
            Claim(
                _CONFLICT,
                held=len(kept) == 2  # noqa: PLR2004 - one acceptance, one rejection
                and kept[0].value == answers[0].value
                and _is(stage, kept[1], Event.SUBMISSION_REJECTION, conflicting, Reason.MESSAGE_ID_CONFLICT),
                evidence=tuple(f"{place(each)} · {short(sha256(each.value or b''))}" for each in kept),
            ),
        ),
        proof=f"{len(delivered)} bản (copy); biên nhận (receipt) 2 × {short(sha256(answers[0].value or b''))}"
        if answers
        else "",
    )


_DELIVERED_ONCE: Final = Phrase(
    "Phong bì nộp hai lần chỉ nằm một lần trong hộp thư nơi nhận",
    "The envelope submitted twice stands once in the recipient's inbox",
)
_SAME_RECEIPT: Final = Phrase(
    "Nơi gửi nhận hai biên nhận giống hệt nhau từng byte",
    "The sender got two receipts, the same byte for byte",
)
_CONFLICT: Final = Phrase(
    "Cùng mã thông điệp với nội dung khác: xung đột được ghi lại và từ chối (message-id-conflict)",
    "The same message id with other content: recorded as a conflict and refused",
)


def _same_message_id(node: Node, genuine: StoredSubmission) -> StoredSubmission:
    """Return another document, properly signed, under the message id of the genuine one."""
    envelope, header = opened(genuine.value)
    other = replace(header, number=f"{header.number}-2")
    return node.publisher.seal(other, envelope.parts, wiring.clock().now())


def _in(records: Sequence[Record], topic: str) -> list[Record]:
    return [each for each in records if each.topic == topic]


def _is(
    stage: Stage, record: Record, event: Event, about: StoredSubmission, reason: Reason | None = None
) -> bool:
    """Tell whether a record is the axis's receipt of this event about this submission."""
    verified = stage.receipt_in(record)
    if verified is None or not stage.is_by_axis(verified):
        return False
    receipt = verified.receipt
    return (receipt.event, receipt.reason, receipt.envelope_digest) == (event, reason, about.digest)
