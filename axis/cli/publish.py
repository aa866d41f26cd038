"""`axis publish`: sign and send a document for an organisation, and see what became of it."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter
from cyclopts.validators import Number

from axis.apps import wiring
from axis.apps.node import Node
from axis.cli.exit_codes import ExitCode, NotFound
from axis.cli.moments import shown_moment
from axis.cli.nodes import open_node, receipts_of, warn_of_rejected
from axis.cli.output import Row, json_text, safe_text, say, warn, write_line
from axis.cli.parameters import DEFAULT_DATA, ActingOrganisation, DataFolder, Switch, next_command
from axis.cli.publish_fields import Fields, draft_of
from axis.cli.publish_rows import ResultFormat, row_of, unsent_row, write_preview, write_results
from axis.consumers.take import opened
from axis.core.consignment import State
from axis.core.directory import Directory
from axis.core.envelope import MessageId
from axis.core.policy import AcceptancePolicy
from axis.core.receipt import Event, Outcome
from axis.errors import Bilingual, ConfigurationError, Refused, Unavailable
from axis.producers.files import size_of
from axis.producers.publish import Acknowledged, Draft, Unsent

_ENDED: Final = {
    State.SUBMITTED: frozenset(State) - {State.STORED},
    State.ACCEPTED: frozenset({State.ACCEPTED, State.REJECTED, State.HANDED_OVER}),
    State.HANDED_OVER: frozenset({State.REJECTED, State.HANDED_OVER}),
}
"""For each thing to wait for, the states that end the wait."""
_LONGEST_WAIT_SECONDS: Final = 24 * 60 * 60
_NAMED: Final = 10


class Milestone(StrEnum):
    """What `--wait` waits for."""

    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    HANDED_OVER = "handed-over"


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
  axis publish --drop 019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071 --as H56

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
    drop: Annotated[
        str | None,
        Parameter(
            help="Bỏ một văn bản chưa gửi, theo mã thông điệp. Give up one that was kept but not sent."
        ),
    ] = None,
    wait: Annotated[Milestone, Parameter(help="Chờ tới khi. Wait until it is so far.")] = Milestone.ACCEPTED,
    timeout: Annotated[
        float,
        Parameter(
            validator=Number(gt=0, lte=_LONGEST_WAIT_SECONDS),
            help="Chờ nhiều nhất, giây. Longest wait, in seconds.",
        ),
    ] = 60.0,
    output: Annotated[ResultFormat, Parameter(name=["-o", "--output"])] = ResultFormat.TABLE,
    data: DataFolder = DEFAULT_DATA,
) -> int:
    """Ký và gửi một văn bản. Sign and send a document."""
    fields = fields or Fields()
    _check_usage(files, fields, resume=resume, drop=drop, dry_run=dry_run)
    options = _Options(organisation, data, State(wait.value), timeout, output)
    if resume:
        return asyncio.run(_resume(options))
    if drop is not None:
        return asyncio.run(_drop(MessageId(drop), options))
    return asyncio.run(_publish(draft_of(files, fields), options, dry_run=dry_run))


@dataclass(frozen=True, slots=True)
class _Options:
    organisation: str
    data: Path
    wanted: State
    timeout_seconds: float
    output: ResultFormat


def _check_usage(
    files: Sequence[Path], fields: Fields, *, resume: bool, drop: str | None, dry_run: bool
) -> None:
    of_kept = resume or drop is not None
    given = bool(files or fields.to or fields.subject is not None)
    if of_kept and (given or dry_run or (resume and drop is not None)):
        raise ConfigurationError(
            Bilingual(
                "--resume và --drop là về những gì còn trong sổ: chọn một, không ghi tệp, --to, --subject, --dry-run",
                "--resume and --drop are about what is in the journal: choose one, and give no files, --to, --subject,"
                " --dry-run",
            )
        )
    faults = [
        fault
        for fault, missing in (
            (
                Bilingual("chưa có tệp nào, cần ít nhất một", "got no file, expected at least one"),
                not files,
            ),
            (
                Bilingual(
                    "thiếu --to: mã hoặc nhóm nơi nhận, ví dụ H56.14812 hoặc @communes",
                    "--to is missing, expected codes or groups such as H56.14812 or @communes",
                ),
                not fields.to,
            ),
            (
                Bilingual(
                    "thiếu --subject: trích yếu của văn bản",
                    "--subject is missing, expected the document's subject",
                ),
                not (fields.subject or "").strip(),
            ),
        )
        if missing
    ]
    if faults and not of_kept:
        raise ConfigurationError(*faults)


async def _publish(draft: Draft, options: _Options, *, dry_run: bool) -> ExitCode:
    async with open_node(
        options.data, options.organisation, deadline_seconds=options.timeout_seconds
    ) as node:
        directory = node.directory.current()
        node.publisher.check(draft, directory)
        _warn_of_kept(node, options)
        if draft.due_at is not None and draft.due_at < wiring.clock().now():
            warn(f"hạn xử lý {shown_moment(draft.due_at)} đã qua (the document is due in the past)")
        if dry_run:
            write_preview(draft, _resolved(draft, node.code, directory), options.output)
            return ExitCode.OK
        with _progress(draft):
            submission = await node.publisher.prepare(draft, directory)
        with _told_where_it_stands(node, submission.message_id, options):
            acknowledged = await node.publisher.append(submission)
            results = [await _result(node, acknowledged, options)]
    return _write(results, options)


def _resolved(draft: Draft, sender: str, directory: Directory) -> list[str]:
    now = wiring.clock().now()
    return sorted({code for each in draft.recipients for code in directory.resolve(each, sender, now)})


@contextmanager
def _told_where_it_stands(node: Node, message_id: MessageId, options: _Options) -> Iterator[None]:
    """Name a document whose sending is broken off, and say how to go on: it is signed and kept, or sent already."""
    try:
        yield
    except (asyncio.CancelledError, Refused, Unavailable):
        submission = node.journal.submission(message_id=message_id)
        if submission is not None and submission.state is State.STORED:
            say(f"{message_id} đã ký và lưu, có thể chưa gửi (is signed and kept, and may not be sent).")
            _say_how_to_send_on(options)
        else:
            show = next_command(f"receipts show {message_id}", options.data)
            say(f"{message_id} đã gửi (is sent): {show}")
        raise


def _warn_of_kept(node: Node, options: _Options) -> None:
    """Name what was kept and not sent before: who publishes it anew has two documents once it is sent on."""
    kept = node.journal.submissions([State.STORED])
    if not kept:
        return
    warn(f"{len(kept)} văn bản đã ký và lưu từ trước, chưa gửi (documents are kept and not sent)")
    for submission in kept[:_NAMED]:
        _, header = opened(submission.value)
        say(f"  {submission.message_id}  {shown_moment(submission.stored_at)}  {header.subject}")
    if more := len(kept[_NAMED:]):
        say(f"  … và {more} văn bản nữa (and {more} more)")
    _say_how_to_send_on(options)


async def _resume(options: _Options) -> ExitCode:
    async with open_node(
        options.data, options.organisation, deadline_seconds=options.timeout_seconds
    ) as node:
        results = [
            unsent_row(each) if isinstance(each, Unsent) else await _result(node, each, options)
            for each in await node.publisher.resume()
        ]
        left = len(node.journal.submissions([State.STORED]))
    if left:
        say(f"Còn {left} văn bản chưa gửi.", f"{left} documents are not sent yet.")
        _say_how_to_send_on(options)
    elif not results:
        say("Không có văn bản nào chờ gửi tiếp.", "No document waits to be sent on.")
    return _write(results, options)


async def _drop(message_id: MessageId, options: _Options) -> ExitCode:
    async with open_node(
        options.data, options.organisation, deadline_seconds=options.timeout_seconds
    ) as node:
        # What is thought unsent may have arrived: then its receipt says so, and there is nothing left to drop.
        async for entries in node.inbox.synchronise():
            warn_of_rejected(entries)
        if node.journal.submission(message_id=message_id) is None:
            _warn_of_kept(node, options)
            raise NotFound(
                Bilingual(
                    f"{node.code} không có văn bản nào mang mã {message_id!a:.60}",
                    f"{node.code} has no document {message_id!a:.60}",
                )
            )
        dropped = node.publisher.drop(message_id)
    write_line(json_text(row_of(dropped)) if options.output is ResultFormat.JSON else message_id)
    say(
        f"{message_id} sẽ không được gửi nữa. Nếu Kafka đã nhận từ lần trước, trục vẫn chuyển và sẽ có biên nhận.",
        f"{message_id} will not be sent any more. If Kafka has it from an earlier attempt, the axis delivers it all the"
        " same, and a receipt will say so.",
    )
    return ExitCode.OK


def _say_how_to_send_on(options: _Options) -> None:
    acting = f"--as {options.organisation}"
    say(f"Gửi tiếp (send on): {next_command(f'publish --resume {acting}', options.data)}")
    say(f"Bỏ, không gửi (give up): {next_command(f'publish --drop <mã> {acting}', options.data)}")


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
    except Unavailable as error:
        warn(f"{message_id}: đã gửi, chưa đọc được hộp thư (sent, but the inbox cannot be read): {error}")
    receipts = receipts_of(node.journal, message_id)
    verdicts = [each for each in receipts if each.event is not Event.CONTENT_HANDOVER]
    # A rejection may be followed by an acceptance, never the other way round.
    accepted = [each for each in verdicts if each.event is Event.SUBMISSION_ACCEPTANCE]
    return row_of(
        node.journal.submission(message_id=message_id) or acknowledged.submission,
        acknowledged,
        next(iter(accepted or reversed(verdicts)), None),
        sorted(node.journal.handed_over_to(message_id)),
    )


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
    write_results(results, options.output, options.data)
    codes = {_code(row, options.wanted) for row in results}
    return codes.pop() if len(codes) == 1 else ExitCode.PARTLY_DONE if codes else ExitCode.OK


def _code(row: Row, wanted: State) -> ExitCode:
    if row["state"] is State.STORED:
        return ExitCode.REFUSED if row["reason"] else ExitCode.UNAVAILABLE
    if row["state"] is State.REJECTED:
        return ExitCode.REFUSED
    refused = any(each["outcome"] is Outcome.REFUSED for each in row["recipients"])
    if refused or row["state"] not in _ENDED[wanted]:
        return ExitCode.PARTLY_DONE
    return ExitCode.OK


@contextmanager
def _progress(draft: Draft) -> Iterator[None]:
    """While large parts are stored, show on a terminal that work goes on and for how long."""
    limit = AcceptancePolicy().max_inline_bytes
    large = sum(size for part in draft.parts if (size := size_of(part.content)) > limit)
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
