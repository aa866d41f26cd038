"""How receipts are shown: a row in a list, a line while following, a card with its recipients."""

from typing import Any, Final

from axis.apps.receipts import ReadReceipt
from axis.cli.moments import shown_moment
from axis.cli.nodes import name_of
from axis.cli.output import Column, Row, safe_text, write_card, write_table
from axis.cli.words import EVENTS, OUTCOMES, reason_words
from axis.core.directory import Directory
from axis.core.history import shown
from axis.core.receipt import Event, Outcome

COLUMNS: Final = (
    Column("appended_at", "Thời điểm", "time (+07:00)"),
    Column("event", "Sự kiện", "event", lambda event: f"{EVENTS[Event(event)]} ({event})"),
    Column("issuer", "Người ký", "issuer"),
    Column("sender", "Nơi gửi", "sender"),
    Column("recipients", "Số nơi nhận", "recipients", lambda outcomes: str(len(outcomes))),
    Column("message_id", "Mã thông điệp", "message id"),
    Column("reason", "Lý do", "reason", reason_words),
    Column("verified", "Chữ ký", "signature", lambda verified: _verdict(holds=verified)),
    Column("place", "Vị trí", "place"),
)
_RECIPIENT_COLUMNS: Final = (
    Column("recipient", "Nơi nhận", "recipient"),
    Column("name", "Tên", "name"),
    Column("outcome", "Kết quả", "outcome", lambda outcome: f"{OUTCOMES[Outcome(outcome)]} ({outcome})"),
    Column("reason", "Lý do", "reason", reason_words),
)


def row_of(read: ReadReceipt) -> Row:
    """Return a receipt as a row; what is not established is None."""
    row: dict[str, Any] = {
        "appended_at": read.appended_at,
        "place": shown(read.place),
        "verified": read.verified is not None,
        "refusal": str(read.refusal.reason) if read.refusal else None,
    }
    verified = read.verified
    receipt = verified.receipt if verified else None
    signature = verified.signature if verified else None
    row |= {
        name: getattr(receipt, name) if receipt else None
        for name in (
            *("event", "environment", "message_id", "envelope_digest", "sender", "issuer", "occurred_at"),
            *("directory_version", "policy_version", "reason", "detail", "status"),
        )
    }
    outcomes = receipt.outcomes if receipt else ()
    row["recipients"] = [
        {"recipient": each.recipient, "outcome": each.outcome, "reason": each.reason} for each in outcomes
    ]
    row["source"] = shown(receipt.source) if receipt and receipt.source else None
    row["receipt_sha256"] = verified.digest if verified else None
    row["signature"] = signature and {
        "algorithm": signature.algorithm,
        "legacy": signature.legacy,
        "certificate_sha256": signature.certificate_digest,
        "signed_at": signature.signed_at,
        "revocation": signature.revocation,
    }
    if read.refusal is not None:
        row["reason"] = str(read.refusal.reason)
    return row


def line_of(read: ReadReceipt) -> str:
    """Return a receipt on one line, for following."""
    at = shown_moment(read.appended_at, zone=False)
    if read.verified is None:
        reason = reason_words(str(read.refusal.reason)) if read.refusal else ""
        return safe_text(f"{at}  {_verdict(holds=False)}  {shown(read.place)}  {reason}")
    receipt = read.verified.receipt
    reason = f"  {reason_words(receipt.reason)}" if receipt.reason else ""
    recipients = ", ".join(outcome.recipient for outcome in receipt.outcomes[:3])
    more = f" +{len(receipt.outcomes) - 3}" if len(receipt.outcomes) > 3 else ""  # noqa: PLR2004 - as many as shown
    return safe_text(
        f"{at}  {EVENTS[receipt.event]} ({receipt.event})  {receipt.sender} → {recipients}{more}"
        f"  {receipt.message_id or ''}{reason}"
    )


def write_receipt(number: int, read: ReadReceipt, directory: Directory) -> None:
    """Write one receipt in full: what is stated, how its signature was verified, and what it means for each recipient."""
    row = row_of(read)
    if read.verified is None:
        write_card(
            [
                (f"Biên nhận {number}", f"receipt {number}", _verdict(holds=False)),
                ("Lý do", "reason", reason_words(row["reason"])),
                ("Chi tiết", "detail", read.refusal.detail if read.refusal else None),
                ("Vị trí", "place", row["place"]),
            ]
        )
        return
    signature = read.verified.signature
    write_card(
        [
            (f"Biên nhận {number}", f"receipt {number}", f"{EVENTS[row['event']]} ({row['event']})"),
            ("Mã thông điệp", "message id", row["message_id"]),
            ("SHA-256 của phong bì", "envelope SHA-256", row["envelope_digest"]),
            ("Nơi gửi", "sender", _named(row["sender"], directory)),
            ("Người ký biên nhận", "issuer", _named(row["issuer"], directory)),
            ("Thời điểm", "time", row["occurred_at"]),
            ("Ghi lúc", "recorded at", row["appended_at"]),
            ("Lý do", "reason", reason_words(row["reason"]) if row["reason"] else None),
            ("Chi tiết", "detail", row["detail"]),
            ("Trạng thái edXML", "edXML status", row["status"]),
            ("Danh bạ", "directory", row["directory_version"]),
            ("Chính sách", "policy", row["policy_version"]),
            ("Về bản ghi", "about record", row["source"]),
            ("Vị trí", "place", row["place"]),
            ("Chữ ký", "signature", f"{_verdict(holds=True)}; {signature.algorithm}"),
            ("Ký lúc", "signed at", signature.signed_at),
            ("Chứng thư SHA-256", "certificate SHA-256", signature.certificate_digest),
        ]
    )
    rows = [{**each, "name": name_of(each["recipient"], directory)} for each in row["recipients"]]
    if rows:
        write_table(rows, _RECIPIENT_COLUMNS)


def _named(code: str, directory: Directory) -> str:
    name = name_of(code, directory)
    return f"{code}  {name}" if name else code


def _verdict(*, holds: bool) -> str:
    return "đúng (verified)" if holds else "KHÔNG ĐÚNG (NOT VERIFIED)"
