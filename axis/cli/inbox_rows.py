"""How inbox entries are shown: a row per document, a card for one, a line or a JSON object for what comes in."""

from datetime import datetime
from typing import Final

from axis.cli.nodes import name_of
from axis.cli.output import Column, Row, json_text, safe_text, shown
from axis.cli.words import EVENTS, URGENCIES, reason_words
from axis.consumers.inbox import Answer, Document, Entry, Opened
from axis.consumers.take import opened
from axis.core.addressee import is_recipient
from axis.core.addressing import OrganisationCode
from axis.core.directory import Directory
from axis.core.document_types import DOCUMENT_TYPES
from axis.core.envelope import Header, Urgency
from axis.core.receipt import Receipt
from axis.storage.journal import StoredDelivery

NOT_IN_GROUP: Final = (
    "gửi tới nhóm mà cơ quan hiện không thuộc (addressed to a group that this organisation is not in today)"
)
_STATES: Final = {"waiting": "chờ nhận", "taken": "đã nhận"}


def row_of(delivery: StoredDelivery, directory: Directory, owner: OrganisationCode) -> Row:
    """Return a document of the owner's journal as a row.

    Raises:
        IntegrityError: the journal was changed from outside.
    """
    envelope, header = opened(delivery.value)
    return {
        **_header_row(header, directory),
        "delivered_at": delivery.delivered_at,
        "addressed": _is_addressed(header, delivery.delivered_at, directory, owner),
        "state": "waiting" if delivery.receipt is None else "taken",
        "envelope_sha256": delivery.digest,
        "parts": [
            {
                "name": part.name,
                "media_type": part.media_type,
                "size_bytes": part.size,
                "sha256": part.digest,
            }
            for part in envelope.parts
        ],
    }


def _header_row(header: Header, directory: Directory) -> Row:
    return {
        "urgency": header.urgency.label.replace("_", "-"),
        "sender": header.sender,
        "sender_name": name_of(header.sender, directory),
        "document_type": header.document_type,
        "number": header.number,
        "notation": header.notation,
        "subject": header.subject,
        "message_id": header.message_id,
        "document_id": header.document_id,
        "operation": header.operation.value.lower(),
        "recipients": header.recipients,
        "references": header.references,
        "created_at": header.created_at,
        "due_at": header.due_at,
        "expires_at": header.expires_at,
    }


def _is_addressed(
    header: Header, delivered_at: datetime, directory: Directory, owner: OrganisationCode
) -> bool:
    """Tell whether the directory of today says that the document is for the owner; its group may have lost it since."""
    return is_recipient(owner, header, directory, header.created_at, delivered_at)


def urgency_of(row: Row) -> Urgency:
    """Return the urgency that a row names."""
    return _urgency(row["urgency"])


def _urgency(name: str) -> Urgency:
    return Urgency[name.upper().replace("-", "_")]


def _urgency_words(name: str) -> str:
    return URGENCIES[_urgency(name)]


def _urgency_style(name: str) -> str:
    match _urgency(name):
        case Urgency.NORMAL:
            return ""
        case Urgency.URGENT | Urgency.VERY_URGENT:
            return "yellow"
        case _:
            return "bold red"


COLUMNS: Final = (
    Column("urgency", "Độ khẩn", "Urgency", _urgency_words, _urgency_style),
    Column("state", "Trạng thái", "State", _STATES.__getitem__, beneath=True),
    Column("sender", "Nơi gửi", "Sender"),
    Column("sender_name", "Tên nơi gửi", "Sender's name", spare=True),
    Column("number", "Số", "Number"),
    Column("notation", "Ký hiệu", "Notation", beneath=True),
    Column("delivered_at", "Tới (+07:00)", "Delivered"),
    Column("due_at", "Hạn xử lý", "Due", spare=True),
    Column("subject", "Trích yếu", "Subject"),
    Column("message_id", "Mã thông điệp", "Message id", style=lambda _id: "dim", beneath=True),
)
"""What people and spreadsheets see of a row."""


def card_of(row: Row) -> list[tuple[str, str, object]]:
    """Return the entries of a card for a row."""
    document_type = DOCUMENT_TYPES.get(row["document_type"])
    return [
        ("Trích yếu", "subject", row["subject"]),
        ("Loại", "type", document_type.name if document_type else row["document_type"]),
        (
            "Số, ký hiệu",
            "number",
            "/".join(each for each in (row["number"], row["notation"]) if each) or None,
        ),
        ("Độ khẩn", "urgency", _urgency_words(row["urgency"])),
        ("Nơi gửi", "sender", f"{row['sender']} {row['sender_name'] or ''}".rstrip()),
        ("Nơi nhận", "recipients", row["recipients"]),
        ("Lưu ý", "note", None if row["addressed"] else NOT_IN_GROUP),
        ("Lập lúc", "created", row["created_at"]),
        ("Tới lúc", "delivered", row["delivered_at"]),
        ("Hạn xử lý", "due", row["due_at"]),
        ("Trạng thái", "state", f"{_STATES[row['state']]} ({row['state']})"),
        ("Mã thông điệp", "message id", row["message_id"]),
        ("Mã văn bản", "document id", row["document_id"]),
        *(
            ("Tệp", "file", f"{part['name']}, {part['media_type']}, {part['size_bytes']:,} byte")
            for part in row["parts"]
        ),
    ]


def line_of(entry: Entry, directory: Directory, owner: OrganisationCode) -> str | None:
    """Return a line for people about an entry that has just come; None for what is not worth one."""
    match entry:
        case Document(header=header):
            name = name_of(header.sender, directory) or ""
            number = "/".join(each for each in (header.number, header.notation) if each)
            return _joined(
                shown(entry.delivered_at),
                URGENCIES[header.urgency],
                f"{header.sender} {name}".rstrip(),
                number,
                header.subject,
                header.message_id,
                "" if _is_addressed(header, entry.delivered_at, directory, owner) else NOT_IN_GROUP,
            )
        case Answer(receipt=receipt):
            return _joined(
                shown(receipt.occurred_at),
                f"biên nhận (receipt): {EVENTS[receipt.event]}",
                receipt.issuer,
                reason_words(receipt.reason) if receipt.reason else "",
                str(receipt.message_id),
            )
        case _:
            return None


def json_of(entry: Entry, directory: Directory, owner: OrganisationCode) -> str | None:
    """Return a JSON object for an entry that has just come; None for one that did not pass verification."""
    match entry:
        case Document(header=header):
            return json_text(
                {
                    "kind": "document",
                    "offset": entry.offset,
                    **_header_row(header, directory),
                    "delivered_at": entry.delivered_at,
                    "addressed": _is_addressed(header, entry.delivered_at, directory, owner),
                    "envelope_sha256": entry.digest,
                    "repeated": entry.repeated,
                }
            )
        case Answer(receipt=receipt) | Opened(receipt=receipt):
            return json_text({"kind": "receipt", "offset": entry.offset, **_receipt_row(receipt)})
        case _:
            return None


def _joined(*facts: str) -> str:
    return " · ".join(safe_text(fact) for fact in facts if fact)


def _receipt_row(receipt: Receipt) -> Row:
    return {
        "event": receipt.event,
        "message_id": receipt.message_id,
        "issuer": receipt.issuer,
        "occurred_at": receipt.occurred_at,
        "reason": receipt.reason,
        "detail": receipt.detail,
        "status": receipt.status,
        "outcomes": [
            {"recipient": each.recipient, "outcome": each.outcome, "reason": each.reason}
            for each in receipt.outcomes
        ],
    }
