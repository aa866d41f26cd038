"""`axis reconcile`: submissions, deliveries and receipts agree, nothing lost, nothing doubled."""

import asyncio
from enum import StrEnum
from typing import Annotated, Final

from cyclopts import App, Parameter

from axis import settings
from axis.apps import audit, wiring
from axis.apps.audit import AUDITOR
from axis.cli.exit_codes import ExitCode
from axis.cli.moments import parse_period
from axis.cli.output import Column, json_text, say, write_line, write_table
from axis.cli.parameters import DEFAULT_DATA, Client, DataFolder
from axis.cli.progress import ReadingProgress
from axis.core.findings import Finding, FindingKind, Report

SHOWN_FINDINGS: Final = 200
"""Most findings in a table; JSON has all."""


class ReportFormat(StrEnum):
    """How a report is written."""

    TABLE = "table"
    JSON = "json"


app = App(
    name="reconcile",
    help="""Đối soát văn bản gửi, văn bản tới và biên nhận; tự kiểm chứng mọi chữ ký, xét lại mọi quyết định.

    Compare submissions, deliveries and receipts; every signature is verified anew, every decision judged again.""",
    help_epilogue="""Ví dụ (examples):

  axis reconcile
  axis reconcile --since 24h -o json

Mã thoát 3: đối soát không khớp. Exit code 3: it does not hold.""",
)

_COUNTS: Final = {
    "submissions": ("văn bản và biên nhận đã gửi lên trục", "submissions decided"),
    "accepted": ("  được tiếp nhận", "  accepted"),
    "refused": ("  bị từ chối", "  refused"),
    "quarantined": ("  bị cách ly", "  quarantined"),
    "duplicates": ("  gửi lặp", "  repeated"),
    "forwarded": ("  biên nhận của nơi nhận", "  recipients' receipts"),
    "waiting": ("đang chờ xử lý", "waiting"),
    "inboxes": ("hộp thư", "inboxes"),
    "consigned": ("văn bản phải có trong hộp thư", "deliveries due"),
    "delivered": ("văn bản có trong hộp thư", "deliveries found"),
    "answers_due": ("biên nhận nơi gửi phải có", "answers due"),
    "answered": ("biên nhận nơi gửi có", "answers found"),
    "taken_as_given": ("quyết định theo lời trục", "decisions taken as given"),
    "other_rules": ("khác, theo danh bạ hay chính sách khác", "differing, by another directory or policy"),
}

KINDS: Final = {
    FindingKind.SUBMISSION_LOST: "mất văn bản đã gửi",
    FindingKind.SUBMISSION_STALLED: "văn bản chờ quá một ngày",
    FindingKind.POSITION_LOST: "mất vị trí đọc của bộ định tuyến",
    FindingKind.RECORDS_REMOVED: "bản ghi bị xóa trước hạn",
    FindingKind.FATE_DOUBLED: "một văn bản, hai kết quả",
    FindingKind.DECIDED_TWICE: "quyết định hai lần",
    FindingKind.MESSAGE_ID_REUSED: "một mã, hai nội dung",
    FindingKind.RECEIPT_UNVERIFIED: "biên nhận giả hoặc hỏng",
    FindingKind.RECEIPT_NOT_BY_AXIS: "biên nhận không do trục ký",
    FindingKind.RECEIPT_UNFOUNDED: "biên nhận không có căn cứ",
    FindingKind.RECEIPT_CONTRADICTS: "biên nhận trái với văn bản gửi",
    FindingKind.RECEIPT_DOUBLED: "biên nhận ghi hai lần",
    FindingKind.RECIPIENT_DROPPED: "bỏ bớt nơi nhận",
    FindingKind.RECIPIENT_ADDED: "thêm nơi nhận",
    FindingKind.ACCEPTANCE_UNFOUNDED: "tiếp nhận không có căn cứ",
    FindingKind.REFUSAL_UNFOUNDED: "từ chối không có căn cứ",
    FindingKind.HANDOVER_UNFOUNDED: "xác nhận đã nhận không có căn cứ",
    FindingKind.HANDOVER_DOUBLED: "xác nhận đã nhận hai lần",
    FindingKind.QUARANTINE_UNREADABLE: "bản ghi cách ly không đọc được",
    FindingKind.QUARANTINE_UNFOUNDED: "cách ly không có căn cứ",
    FindingKind.QUARANTINE_UNJUSTIFIED: "cách ly dù biết rõ nơi gửi",
    FindingKind.DOCUMENT_MISSING: "thiếu văn bản trong hộp thư",
    FindingKind.DOCUMENT_DOUBLED: "trùng văn bản trong hộp thư",
    FindingKind.DOCUMENT_ALTERED: "văn bản bị thay đổi",
    FindingKind.DOCUMENT_UNEXPECTED: "văn bản lạ trong hộp thư",
    FindingKind.ANSWER_MISSING: "nơi gửi thiếu biên nhận",
    FindingKind.ANSWER_DOUBLED: "nơi gửi thừa biên nhận",
    FindingKind.ANSWER_UNEXPECTED: "biên nhận lạ trong hộp thư",
    FindingKind.ENTRY_UNVERIFIED: "mục hộp thư không kiểm chứng được",
    FindingKind.INBOX_REOPENED: "hộp thư mở lại",
}
"""What each kind of finding is, for people."""

_COUNT_COLUMNS: Final = (
    Column("label", "Số liệu", "figure"),
    Column("english", "", ""),
    Column("count", "Số lượng", "count"),
)
_RANGE_COLUMNS: Final = (
    Column("topic", "Làn", "lane"),
    Column("partition", "Phân vùng", "partition"),
    Column("beginning", "Còn giữ từ", "kept from"),
    Column("first", "Xét từ", "judged from"),
    Column("until", "Đến trước", "until before"),
    Column("end", "Hết ở", "end"),
)
_COLUMNS: Final = (
    Column("kind", "Không khớp", "finding", lambda kind: f"{KINDS[kind]} ({kind})"),
    Column("place", "Vị trí", "place"),
    Column("organisation", "Cơ quan", "organisation"),
    Column("message_id", "Mã thông điệp", "message id"),
    Column("detail", "Chi tiết", "detail"),
)


@app.default
def reconcile(
    *,
    since: Annotated[
        str | None, Parameter(help="Chỉ xét văn bản gửi từ lúc này. Judge submissions from this moment on.")
    ] = None,
    until: Annotated[
        str | None, Parameter(help="Chỉ xét văn bản gửi trước lúc này. Judge submissions before this moment.")
    ] = None,
    client: Client = AUDITOR,
    output: Annotated[
        ReportFormat, Parameter(name=["-o", "--output"], help="Dạng kết quả. Form of the result.")
    ] = ReportFormat.TABLE,
    data: DataFolder = DEFAULT_DATA,
) -> int:
    """Đối soát; mã thoát 3 nếu không khớp. Reconcile; exit code 3 when it does not hold."""
    now = wiring.clock().now()
    begin, end = parse_period(since, until, now)
    with ReadingProgress() as progress:
        report = asyncio.run(
            audit.reconcile(
                settings.load(data),
                client=client,
                since=begin,
                until=end,
                progress=progress,
            )
        )
    write_report(report, output)
    return ExitCode.OK if report.holds else ExitCode.NOT_VERIFIED


def write_report(report: Report, form: ReportFormat) -> None:
    """Write a report to standard output."""
    findings = [_row(finding) for finding in report.findings]
    ranges = _ranges(report)
    if form is ReportFormat.JSON:
        content = {
            "holds": report.holds,
            "counts": dict(report.counts),
            "judged": ranges,
            "directory_version": report.rules.directory,
            "policy_version": report.rules.policy,
            "findings": findings,
        }
        write_line(json_text(content, indent=1))
        return
    write_table([each for each in ranges if each["end"]], _RANGE_COLUMNS)
    write_table(
        [
            {"label": label, "english": english, "count": report.counts[name]}
            for name, (label, english) in _COUNTS.items()
        ],
        _COUNT_COLUMNS,
    )
    if report.holds and not report.counts["submissions"]:
        say(
            "Không có văn bản nào trong khoảng này để đối soát; không thấy điểm sai.",
            "Nothing was submitted in this period, so nothing was judged; no fault was seen.",
        )
        return
    if report.holds:
        say("Khớp: không mất, không trùng.", "It holds: nothing lost, nothing doubled.")
        return
    write_table(findings[:SHOWN_FINDINGS], _COLUMNS)
    left = len(findings) - SHOWN_FINDINGS
    if left > 0:
        say(f"Còn {left} điểm nữa; -o json hiện tất cả.", f"{left} more; -o json shows all of them.")
    say(
        f"KHÔNG KHỚP: {len(findings)} điểm. Giữ nguyên dữ liệu, báo người phụ trách an toàn thông tin.",
        f"IT DOES NOT HOLD: {len(findings)} findings. Keep everything as it is and tell the security officer.",
    )


def _ranges(report: Report) -> list[dict[str, object]]:
    """Return which offsets of each partition were judged."""
    return [
        {
            "topic": topic,
            "partition": partition,
            "beginning": scope.beginning,
            "first": scope.first,
            "until": max(scope.first, scope.until),
            "end": scope.end,
        }
        for (topic, partition), scope in sorted(report.judged.items())
    ]


def _row(finding: Finding) -> dict[str, object]:
    return {
        "kind": finding.kind,
        "place": finding.place,
        "organisation": finding.organisation,
        "message_id": finding.message_id,
        "digest": finding.digest,
        "detail": finding.detail,
    }
