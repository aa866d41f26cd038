"""What `axis publish` shows of a submission: a row for machines, a card for people."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path

from axis.cli.output import Row, json_text, say, warn, write_card, write_line
from axis.cli.parameters import next_command
from axis.cli.words import STATES, URGENCIES, reason_words
from axis.consumers.take import opened
from axis.core.consignment import State
from axis.core.receipt import Outcome, Receipt
from axis.errors import Refused
from axis.producers.files import size_of
from axis.producers.publish import Acknowledged, Draft, Unsent
from axis.storage.journal import StoredSubmission


class ResultFormat(StrEnum):
    """How the result is written; `id` is the message id alone."""

    TABLE = "table"
    JSON = "json"
    ID = "id"


def row_of(
    submission: StoredSubmission,
    acknowledged: Acknowledged | None = None,
    verdict: Receipt | None = None,
    handed_over: Sequence[str] = (),
) -> Row:
    """Return what is known of a submission.

    Args:
        submission: as the journal holds it.
        acknowledged: where the broker put it; None while it did not.
        verdict: the axis's receipt; None before it came.
        handed_over: the organisations that attested the hand-over.

    Raises:
        IntegrityError: the journal was changed from outside.
    """
    _, header = opened(submission.value)
    return {
        "message_id": submission.message_id,
        "document_id": header.document_id,
        "envelope_sha256": submission.digest,
        "sender": header.sender,
        "urgency": header.urgency.label.replace("_", "-"),
        "state": submission.state,
        "reason": verdict.reason if verdict else None,
        "detail": verdict.detail if verdict else None,
        "recipients": [
            {"recipient": each.recipient, "outcome": each.outcome, "reason": each.reason}
            for each in (verdict.outcomes if verdict else ())
        ],
        "handed_over": list(handed_over),
        "topic": submission.topic,
        "partition": acknowledged and acknowledged.partition,
        "offset": acknowledged and acknowledged.offset,
        "attempts": acknowledged and acknowledged.attempts,
    }


def unsent_row(unsent: Unsent) -> Row:
    """Return what is known of a submission that stays kept, with what kept it; raises as `row_of`."""
    error = unsent.error
    reason, detail = (error.reason, error.detail) if isinstance(error, Refused) else (None, str(error))
    return {**row_of(unsent.submission), "reason": reason, "detail": detail}


def write_results(rows: Sequence[Row], form: ResultFormat, data: Path) -> None:
    """Write what is known of submissions; `data` is the folder that the next command has to name."""
    match form:
        case ResultFormat.ID:
            for row in rows:
                if row["state"] is State.STORED:
                    warn(f"{row['message_id']}: chưa gửi (not sent): {row['detail']}")
                else:
                    write_line(row["message_id"])
        case ResultFormat.JSON:
            for row in rows:
                write_line(json_text(row))
        case ResultFormat.TABLE:
            for row in rows:
                write_card(card_of(row))
                if row["state"] is not State.STORED:
                    show = next_command(f"receipts show {row['message_id']}", data)
                    say(f"Xem biên nhận (see its receipts): {show}")


def write_preview(draft: Draft, recipients: Sequence[str], form: ResultFormat) -> None:
    """Say what would be sent to whom."""
    parts = [
        {"name": part.name, "media_type": part.media_type, "size_bytes": size_of(part.content)}
        for part in draft.parts
    ]
    if form is ResultFormat.JSON:
        write_line(json_text({"dry_run": True, "recipients": recipients, "parts": parts}))
    elif form is ResultFormat.TABLE:
        write_card(
            [
                ("Xem trước", "dry run", "hợp lệ, chưa gửi gì (valid, nothing was sent)"),
                ("Độ khẩn", "urgency", URGENCIES[draft.urgency]),
                ("Nơi nhận", "recipients", f"{len(recipients)}: {', '.join(recipients)}"),
                *(
                    ("Tệp", "file", f"{part['name']}, {part['media_type']}, {part['size_bytes']:,} byte")
                    for part in parts
                ),
            ]
        )


def card_of(row: Row) -> list[tuple[str, str, object]]:
    """Return a row as entries for `axis.cli.output.write_card`."""
    state: State = row["state"]
    return [
        ("Mã thông điệp", "message id", row["message_id"]),
        ("Trạng thái", "state", f"{STATES[state]} ({state})"),
        ("Lý do", "reason", reason_words(row["reason"]) if row["reason"] else None),
        ("Chi tiết", "detail", row["detail"]),
        (
            "Vị trí",
            "position",
            None if row["offset"] is None else f"{row['topic']}/{row['partition']}/{row['offset']}",
        ),
        *_recipient_entries(row["recipients"]),
        ("Đã nhận", "handed over", row["handed_over"] or None),
    ]


def _recipient_entries(outcomes: Sequence[Row]) -> Iterator[tuple[str, str, str]]:
    """Yield one entry for all whom it reached, and one for each whom it did not."""
    reached = [each["recipient"] for each in outcomes if each["outcome"] is not Outcome.REFUSED]
    if reached:
        yield "Đã chuyển tới", "delivered to", f"{len(reached)}: {', '.join(reached)}"
    for each in outcomes:
        if each["outcome"] is Outcome.REFUSED:
            yield "Không chuyển được", "not delivered", f"{each['recipient']}: {reason_words(each['reason'])}"
