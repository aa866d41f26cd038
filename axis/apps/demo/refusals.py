"""Step 3: forgeries and mistakes are refused by a signed receipt, or parked where no sender can be established."""

from collections.abc import Sequence
from typing import Final

from axis.apps.demo import attacks
from axis.apps.demo.attacks import Attack
from axis.apps.demo.claims import Claim, Findings, Phrase, place, short
from axis.apps.demo.stage import Stage
from axis.core.disposition import Disposition, disposition_of
from axis.core.receipt import Event, Source
from axis.core.topics import QUARANTINE, RECEIPTS, inbox_topic
from axis.ports import Record
from axis.schemas import avro
from axis.schemas.avro import QuarantineRecord

TITLE: Final = Phrase(
    "Văn bản giả mạo hoặc sai quy tắc bị từ chối, có lý do và chữ ký của trục",
    "Forged and faulty documents are refused, with a reason and the axis's signature",
)


async def play(stage: Stage) -> Findings:
    """Submit every attack and find out, from the topics, what became of each."""
    prepared = await attacks.prepare(stage)
    starts = await stage.witness.mark([RECEIPTS, QUARANTINE, *stage.inboxes])
    sources = {}
    for attack in prepared:
        acknowledged = await attack.node.publisher.append(attack.submission)
        sources[Source(attack.submission.topic, acknowledged.partition, acknowledged.offset)] = attack
    records = await stage.witness.collect(starts, lambda found: len(_answers(stage, found)) >= len(prepared))
    answers = _answers(stage, records)
    return Findings(
        (
            *(_judged(stage, attack, answers.get(source), records) for source, attack in sources.items()),
            Claim(
                _NOTHING,
                held=not [each for each in records if each.topic == inbox_topic(attacks.RECIPIENT)],
                evidence=(f"{inbox_topic(attacks.RECIPIENT)}: 0 bản ghi mới (new records)",),
            ),
        ),
        proof=", ".join(attack.expected for attack in prepared),
    )


_NOTHING: Final = Phrase(
    "Không văn bản nào trong số đó tới hộp thư của nơi nhận", "None of them reached the recipient's inbox"
)


def _answers(stage: Stage, records: Sequence[Record]) -> dict[Source, Record]:
    """Return the receipts and the quarantine entries among records by the submission that they are about."""
    found: dict[Source, Record] = {}
    for record in records:
        if record.topic == RECEIPTS:
            receipt = stage.receipt_in(record)
            if receipt is not None and receipt.receipt.source is not None:
                found[receipt.receipt.source] = record
        elif record.topic == QUARANTINE:
            found[_parked(record).source] = record
    return found


def _judged(stage: Stage, attack: Attack, answer: Record | None, records: Sequence[Record]) -> Claim:
    """Claim that an attack was answered as it must be."""
    if answer is None:
        return Claim(attack.words, held=False)
    if disposition_of(attack.expected) is Disposition.QUARANTINED:
        return _quarantined(attack, answer)
    return _refused(stage, attack, answer, records)


def _quarantined(attack: Attack, answer: Record) -> Claim:
    if answer.topic != QUARANTINE:
        return Claim(attack.words, held=False, evidence=(place(answer),))
    parked = _parked(answer)
    return Claim(
        attack.words,
        held=parked.reason == attack.expected and parked.value == attack.submission.value,
        evidence=(
            f"cách ly (quarantined): {parked.reason} · {place(answer)}",
            f"giữ nguyên byte gốc (original bytes kept): {len(parked.value or b'')} B",
        ),
    )


def _refused(stage: Stage, attack: Attack, answer: Record, records: Sequence[Record]) -> Claim:
    verified = stage.receipt_in(answer) if answer.topic == RECEIPTS else None
    if verified is None:
        return Claim(attack.words, held=False, evidence=(place(answer),))
    inbox = inbox_topic(attack.node.code)
    copies = [each for each in records if each.topic == inbox and each.value == answer.value]
    receipt = verified.receipt
    return Claim(
        attack.words,
        held=receipt.event is Event.SUBMISSION_REJECTION
        and receipt.reason == attack.expected
        and stage.is_by_axis(verified)
        and len(copies) == 1,
        evidence=(
            f"{receipt.event}: {receipt.reason} · {verified.issuer} · {short(verified.digest)}",
            " = ".join(place(each) for each in (answer, *copies)),
        ),
    )


def _parked(record: Record) -> QuarantineRecord:
    parked = avro.decode(record.value or b"")
    assert isinstance(parked, QuarantineRecord)  # noqa: S101 - the axis alone writes this topic
    return parked
