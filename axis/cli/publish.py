"""`axis publish`: sign and send a document for an organisation, and see what became of it."""

import asyncio
import mimetypes
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from axis.apps import wiring
from axis.apps.node import Node
from axis.cli.exit_codes import FILE_MISSING, ExitCode
from axis.cli.moments import parse_moment
from axis.cli.nodes import open_node, receipts_of, warn_of_rejected
from axis.cli.output import Row, json_text, safe_text, say, write_card, write_line
from axis.cli.parameters import DEFAULT_DATA, ActingOrganisation, DataFolder, Switch
from axis.cli.words import STATES, URGENCIES, reason_words
from axis.consumers.take import opened
from axis.core.consignment import State
from axis.core.envelope import MessageId, Urgency
from axis.core.policy import AcceptancePolicy
from axis.core.receipt import Event, Outcome
from axis.errors import ConfigurationError, Refused
from axis.producers.publish import Acknowledged, Draft, DraftPart, DraftRefused

_ENDED: Final = {
    State.SUBMITTED: frozenset(State) - {State.STORED},
    State.ACCEPTED: frozenset({State.ACCEPTED, State.REJECTED, State.HANDED_OVER}),
    State.HANDED_OVER: frozenset({State.REJECTED, State.HANDED_OVER}),
}
"""For each thing to wait for, the states that end the wait."""

_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
_MEDIA_TYPES: Final = mimetypes.MimeTypes()
for _extension, _kind in (
    (".docx", f"{_OFFICE}wordprocessingml.document"),
    (".xlsx", f"{_OFFICE}spreadsheetml.sheet"),
    (".pptx", f"{_OFFICE}presentationml.presentation"),
    (".p7s", "application/pkcs7-signature"),
):
    _MEDIA_TYPES.add_type(_kind, _extension)


class Milestone(StrEnum):
    """What `--wait` waits for."""

    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    HANDED_OVER = "handed-over"


class ResultFormat(StrEnum):
    """How the result is written; `id` is the message id alone."""

    TABLE = "table"
    JSON = "json"
    ID = "id"


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """What is stated about the document."""

    to: Annotated[
        tuple[str, ...],
        Parameter(
            name="--to",
            negative="",
            show_default=False,
            help="Nơi nhận: mã cơ quan hoặc nhóm, cách nhau dấu phẩy. Recipients: codes or groups, by comma.",
        ),
    ] = ()
    subject: Annotated[str | None, Parameter(help="Trích yếu. What it is about.")] = None
    urgency: Annotated[Urgency, Parameter(help="Độ khẩn. How urgent it is.")] = Urgency.NORMAL
    document_type: Annotated[
        str, Parameter(name="--type", help="Loại văn bản. Its type: `axis help document-types`.")
    ] = "cong-van"
    number: Annotated[str, Parameter(show_default=False, help="Số. Its number in the series.")] = ""
    notation: Annotated[
        str, Parameter(show_default=False, help='Ký hiệu, ví dụ "UBND-VP". Its notation.')
    ] = ""
    document_id: Annotated[
        str | None, Parameter(help="Mã định danh văn bản. The document's own identity; by default new.")
    ] = None
    due: Annotated[
        str | None, Parameter(help="Hạn xử lý. When it is to be dealt with: `axis help time`.")
    ] = None
    expires: Annotated[
        str | None, Parameter(help="Không chuyển sau thời điểm này. Not to be delivered after this.")
    ] = None


app = App(
    name="publish",
    help_epilogue="""Ví dụ (examples):

  axis publish cong-van.pdf phu-luc.xlsx --as H56 --to H56.14812,H56.14818 \\
    --subject "Kế hoạch phòng chống thiên tai" --number 125 --due 2026-12-01
  axis publish cong-dien.pdf --as H56 --to @communes --type cong-dien \\
    --subject "Ứng phó bão số 5" --urgency flash --wait handed-over
  axis publish bao-cao.docx --as H56.14812 --to H56 --subject "Báo cáo" \\
    --dry-run
  axis publish --resume --as H56

Mã thoát (exit codes): 6 bị từ chối (refused); 7 chưa gửi được, dùng --resume
(not sent yet, use --resume); 8 đã gửi nhưng chưa tới mức chờ hoặc không tới
hết nơi nhận (sent, but not as far as was waited for, or not to everyone).""",
)


@app.default
def publish(
    *files: Annotated[Path, Parameter(help="Các tệp của văn bản. The document's files.")],
    organisation: ActingOrganisation,
    fields: Fields | None = None,
    dry_run: Annotated[bool, Switch, Parameter(help="Chỉ kiểm tra. Check only, send nothing.")] = False,
    resume: Annotated[
        bool, Switch, Parameter(help="Gửi tiếp những gì chưa gửi xong. Send on what was kept but not sent.")
    ] = False,
    wait: Annotated[Milestone, Parameter(help="Chờ tới khi. Wait until it is so far.")] = Milestone.ACCEPTED,
    timeout: Annotated[float, Parameter(help="Chờ nhiều nhất, giây. Longest wait, in seconds.")] = 60.0,
    output: Annotated[ResultFormat, Parameter(name=["-o", "--output"])] = ResultFormat.TABLE,
    data: DataFolder = DEFAULT_DATA,
) -> int:
    """Ký và gửi một văn bản. Sign and send a document."""
    fields = fields or Fields()
    _check_usage(files, fields, resume=resume, dry_run=dry_run)
    options = _Options(organisation, data, State(wait.value), timeout, output)
    if resume:
        return asyncio.run(_resume(options))
    return asyncio.run(_publish(_draft(files, fields), options, dry_run=dry_run))


@dataclass(frozen=True, slots=True)
class _Options:
    organisation: str
    data: Path
    wanted: State
    timeout_seconds: float
    output: ResultFormat


def _check_usage(files: Sequence[Path], fields: Fields, *, resume: bool, dry_run: bool) -> None:
    given = bool(files or fields.to or fields.subject is not None)
    if resume and (given or dry_run):
        raise ConfigurationError(
            "--resume sends what is in the journal: give no files, --to, --subject, --dry-run"
        )
    if not resume:
        faults = [
            text
            for text, missing in (
                ("got no file, expected at least one", not files),
                ("--to is missing, expected codes or groups such as H56.14812 or @communes", not fields.to),
                ("--subject is missing, expected the document's subject (trích yếu)", fields.subject is None),
            )
            if missing
        ]
        if faults:
            raise ConfigurationError(*faults)


def _draft(files: Sequence[Path], fields: Fields) -> Draft:
    now = wiring.clock().now()
    codes = [code.strip() for text in fields.to for code in text.split(",")]
    return Draft(
        subject=fields.subject or "",
        recipients=tuple(code for code in codes if code),
        parts=tuple(_part(path) for path in files),
        document_type=fields.document_type,
        number=fields.number,
        notation=fields.notation,
        urgency=fields.urgency,
        document_id=fields.document_id,
        due_at=parse_moment(fields.due, now, ahead=True, end_of_day=True) if fields.due else None,
        expires_at=parse_moment(fields.expires, now, ahead=True, end_of_day=True) if fields.expires else None,
    )


def _part(path: Path) -> DraftPart:
    kind, encoding = _MEDIA_TYPES.guess_type(path.name)
    media_type = kind if kind and not encoding else "application/octet-stream"
    # Some systems store names decomposed; the name that is signed is the composed one.
    return DraftPart(unicodedata.normalize("NFC", path.name), media_type, path)


async def _publish(draft: Draft, options: _Options, *, dry_run: bool) -> ExitCode:
    async with open_node(
        options.data, options.organisation, deadline_seconds=options.timeout_seconds
    ) as node:
        _check(node, draft)
        if dry_run:
            _write_preview(node, draft, options.output)
            return ExitCode.OK
        with _progress(draft):
            acknowledged = await node.publisher.publish(draft, node.directory.current())
        results = [await _result(node, acknowledged, options)]
    return _write(results, options)


async def _resume(options: _Options) -> ExitCode:
    async with open_node(
        options.data, options.organisation, deadline_seconds=options.timeout_seconds
    ) as node:
        sent = await node.publisher.resume()
        results = [await _result(node, each, options) for each in sent]
    if not results:
        say("Không có văn bản nào chờ gửi tiếp.", "No document waits to be sent on.")
    return _write(results, options)


def _check(node: Node, draft: Draft) -> None:
    """Find every fault of the draft, those of its files included.

    Raises:
        DraftRefused: with all of them.
    """
    faults: list[Refused] = []
    try:
        node.publisher.check(draft, node.directory.current())
    except DraftRefused as refused:
        faults.extend(refused.faults)
    faults.extend(
        Refused(FILE_MISSING, f"{part.content} is not a file that can be read")
        for part in draft.parts
        if isinstance(part.content, Path) and not part.content.is_file()
    )
    if faults:
        raise DraftRefused(faults)


async def _result(node: Node, acknowledged: Acknowledged, options: _Options) -> Row:
    """Wait as asked and return what is known then."""
    message_id = acknowledged.submission.message_id
    try:
        async with asyncio.timeout(options.timeout_seconds):
            await _wait(node, message_id, options.wanted)
    except TimeoutError:
        say(
            f"Đã gửi, nhưng sau {options.timeout_seconds:g} giây chưa tới mức {options.wanted}.",
            f"Sent, but not yet {options.wanted} after {options.timeout_seconds:g} s.",
        )
    submission = node.journal.submission(message_id=message_id) or acknowledged.submission
    _, header = opened(submission.value)
    receipts = receipts_of(node.journal, message_id)
    verdicts = [each for each in receipts if each.event is not Event.CONTENT_HANDOVER]
    # A rejection may be followed by an acceptance, never the other way round.
    accepted = [each for each in verdicts if each.event is Event.SUBMISSION_ACCEPTANCE]
    verdict = next(iter(accepted or reversed(verdicts)), None)
    return {
        "message_id": message_id,
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
        "handed_over": sorted(node.journal.handed_over_to(message_id)),
        "topic": submission.topic,
        "partition": acknowledged.partition,
        "offset": acknowledged.offset,
        "attempts": acknowledged.attempts,
    }


async def _wait(node: Node, message_id: MessageId, wanted: State) -> None:
    """Read the sender's inbox until the submission is as far as wanted."""

    def so_far() -> bool:
        submission = node.journal.submission(message_id=message_id)
        return submission is None or submission.state in _ENDED[wanted]

    if so_far():
        return
    async for entries in node.inbox.follow():
        warn_of_rejected(entries)
        if so_far():
            return


def _write(results: Sequence[Row], options: _Options) -> ExitCode:
    match options.output:
        case ResultFormat.ID:
            for row in results:
                write_line(row["message_id"])
        case ResultFormat.JSON:
            for row in results:
                write_line(json_text(row))
        case ResultFormat.TABLE:
            for row in results:
                _write_card(row)
                say(f"Xem biên nhận (see its receipts): axis receipts show {row['message_id']}")
    codes = {_code(row, options.wanted) for row in results}
    return codes.pop() if len(codes) == 1 else ExitCode.PARTLY_DONE if codes else ExitCode.OK


def _code(row: Row, wanted: State) -> ExitCode:
    if row["state"] is State.REJECTED:
        return ExitCode.REFUSED
    refused = any(each["outcome"] is Outcome.REFUSED for each in row["recipients"])
    if refused or row["state"] not in _ENDED[wanted]:
        return ExitCode.PARTLY_DONE
    return ExitCode.OK


def _write_card(row: Row) -> None:
    state: State = row["state"]
    write_card(
        [
            ("Mã thông điệp", "message id", row["message_id"]),
            ("Trạng thái", "state", f"{STATES[state]} ({state})"),
            ("Lý do", "reason", reason_words(row["reason"]) if row["reason"] else None),
            ("Chi tiết", "detail", row["detail"]),
            ("Vị trí", "position", f"{row['topic']}/{row['partition']}/{row['offset']}"),
            *_recipient_entries(row["recipients"]),
            ("Đã nhận", "handed over", row["handed_over"] or None),
        ]
    )


def _recipient_entries(outcomes: Sequence[Row]) -> Iterator[tuple[str, str, str]]:
    """Yield one entry for all whom it reached, and one for each whom it did not."""
    reached = [each["recipient"] for each in outcomes if each["outcome"] is not Outcome.REFUSED]
    if reached:
        yield "Đã chuyển tới", "delivered to", f"{len(reached)}: {', '.join(reached)}"
    for each in outcomes:
        if each["outcome"] is Outcome.REFUSED:
            yield "Không chuyển được", "not delivered", f"{each['recipient']}: {reason_words(each['reason'])}"


def _write_preview(node: Node, draft: Draft, form: ResultFormat) -> None:
    """Say what would be sent to whom."""
    directory, now = node.directory.current(), wiring.clock().now()
    resolved = {
        code for recipient in draft.recipients for code in directory.resolve(recipient, node.code, now)
    }
    parts = [
        {"name": part.name, "media_type": part.media_type, "size_bytes": part.content.stat().st_size}
        for part in draft.parts
        if isinstance(part.content, Path)
    ]
    if form is ResultFormat.JSON:
        write_line(json_text({"dry_run": True, "recipients": sorted(resolved), "parts": parts}))
    elif form is ResultFormat.TABLE:
        write_card(
            [
                ("Xem trước", "dry run", "hợp lệ, chưa gửi gì (valid, nothing was sent)"),
                ("Độ khẩn", "urgency", URGENCIES[draft.urgency]),
                ("Nơi nhận", "recipients", f"{len(resolved)}: {', '.join(sorted(resolved))}"),
                *(
                    ("Tệp", "file", f"{part['name']}, {part['media_type']}, {part['size_bytes']:,} byte")
                    for part in parts
                ),
            ]
        )


@contextmanager
def _progress(draft: Draft) -> Iterator[None]:
    """While large parts are stored, show on a terminal that work goes on and for how long."""
    limit = AcceptancePolicy().max_inline_bytes
    sizes = [part.content.stat().st_size for part in draft.parts if isinstance(part.content, Path)]
    large = sum(size for size in sizes if size > limit)
    if not large or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - slow, and rarely needed
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    words = safe_text(f"đang lưu tệp lớn và ký, {large / 1e6:,.1f} MB (storing large files, signing)")
    columns = (SpinnerColumn(), TextColumn(words, markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task("", total=None)
        yield
