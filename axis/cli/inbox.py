"""`axis inbox`: what has arrived for an organisation; read it, take it, follow it."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from axis.apps.node import Node
from axis.cli.exit_codes import ExitCode, NotFound, exit_code_of
from axis.cli.inbox_rows import COLUMNS, NOT_IN_GROUP, card_of, json_of, line_of, row_of, urgency_of
from axis.cli.moments import shown_moment
from axis.cli.nodes import open_node, send_waiting, synchronise, warn_of_rejected, warn_of_unacknowledged
from axis.cli.output import Row, safe_text, say, warn, write_card, write_line, write_rows
from axis.cli.parameters import (
    DEFAULT_DATA,
    ActingOrganisation,
    DataFolder,
    Format,
    FormatOption,
    StreamFormat,
    StreamFormatOption,
    next_command,
)
from axis.cli.words import reason_words
from axis.consumers.take import unpack
from axis.core.addressing import parse_code
from axis.core.envelope import MessageId, is_message_id
from axis.core.rejection import FINAL
from axis.errors import AxisError, Bilingual, ConfigurationError, IntegrityError
from axis.storage.journal import StoredDelivery
from axis.storage.rejections import MAX_KEPT_BYTES

_TOLD_RECEIPTS: Final = 10
_TOLD_REJECTIONS: Final = 10
_TOLD_MISDIRECTED: Final = 10

SenderOption = Annotated[
    str | None,
    Parameter(name="--from", help="Nơi gửi, khi một mã có ở hai nơi gửi. The sender, where two used one id."),
]

app = App(
    name="inbox",
    help_epilogue="""Ví dụ (examples):

  axis inbox list --as H56.14812
  axis inbox read 019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071 --as H56.14812 --to van-ban
  axis inbox take --all --as H56.14812 --to van-ban
  axis inbox follow --as H56.14812 -o jsonl""",
)


@app.command(
    name="list",
    help_epilogue="""Ví dụ (examples):

  axis inbox list --as H56.14812
  axis inbox list --as H56.14812 --all -o csv > hop-thu.csv""",
)
def list_(
    *,
    organisation: ActingOrganisation,
    everything: Annotated[
        bool,
        Parameter(
            name="--all", negative="", show_default=False, help="Cả văn bản đã nhận. Those already taken too."
        ),
    ] = False,
    output: FormatOption = Format.TABLE,
    data: DataFolder = DEFAULT_DATA,
) -> None:
    """Liệt kê văn bản chờ nhận, khẩn nhất trước. List what waits to be taken, the most urgent first."""
    asyncio.run(_list(data, organisation, output, everything=everything))


@app.command(
    help_epilogue="""Ví dụ (examples):

  axis inbox read 019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071 --as H56.14812
  axis inbox read 019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071 --as H56.14812 --to van-ban"""
)
def read(
    message_id: Annotated[str, Parameter(help="Mã thông điệp. The message id.")],
    /,
    *,
    organisation: ActingOrganisation,
    to: Annotated[
        Path | None, Parameter(help="Thư mục để ghi các tệp. A folder to write the files to.")
    ] = None,
    sender: SenderOption = None,
    output: FormatOption = Format.TABLE,
    data: DataFolder = DEFAULT_DATA,
) -> None:
    """Xem một văn bản, hoặc ghi các tệp đã kiểm chứng ra thư mục; không gửi biên nhận.

    Show a document, or write its verified files to a folder; sends no receipt.
    """
    asyncio.run(_read(data, organisation, message_id, sender, to, output))


@app.command(
    help_epilogue="""Ví dụ (examples):

  axis inbox take 019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071 --as H56.14812
  axis inbox take --all --as H56.14812 --to van-ban

Mã thoát 8: có văn bản chưa nhận được. Exit code 8: some could not be taken."""
)
def take(
    *message_ids: Annotated[str, Parameter(help="Mã thông điệp. The message ids.")],
    organisation: ActingOrganisation,
    everything: Annotated[
        bool,
        Parameter(name="--all", negative="", show_default=False, help="Mọi văn bản đang chờ. All that wait."),
    ] = False,
    to: Annotated[
        Path | None,
        Parameter(
            help="Ghi các tệp vào <thư mục>/<nơi gửi>/<mã thông điệp>; nếu không có thì vào nodes/<mã>/taken của thư mục dữ liệu."
            " Write the files to <folder>/<sender>/<message id>; without it, to nodes/<code>/taken in the data folder."
        ),
    ] = None,
    sender: SenderOption = None,
    output: FormatOption = Format.TABLE,
    data: DataFolder = DEFAULT_DATA,
) -> int:
    """Nhận văn bản: kiểm chứng và ghi các tệp, rồi gửi biên nhận đã ký cho nơi gửi.

    Take documents: verify and write the files, then send the sender a signed receipt.
    """
    if bool(message_ids) == everything:
        raise ConfigurationError(
            Bilingual(
                "hãy ghi mã thông điệp hoặc --all, một trong hai",
                "give either message ids or --all, expected exactly one of the two",
            )
        )
    return asyncio.run(_take(data, organisation, message_ids, sender, to, output))


@app.command(
    help_epilogue="""Ví dụ (examples):

  axis inbox follow --as H56.14812
  axis inbox follow --as H56.14812 -o jsonl | jq .subject"""
)
def follow(
    *,
    organisation: ActingOrganisation,
    output: StreamFormatOption = StreamFormat.TABLE,
    data: DataFolder = DEFAULT_DATA,
) -> None:
    """Hiện văn bản và biên nhận ngay khi tới; Ctrl-C để dừng.

    Show documents and receipts as they come; Ctrl-C ends.
    """
    asyncio.run(_follow(data, organisation, output))


async def _list(data: Path, organisation: str, form: Format, *, everything: bool) -> None:
    async with open_node(data, organisation) as node:
        await _synchronise(node, data)
        await send_waiting(node)
        directory = node.directory.current()
        _tell_rejections(node)
        deliveries = node.journal.deliveries(waiting=not everything)
        rows = [row_of(delivery, directory, node.code) for delivery in deliveries]
        rows.sort(key=urgency_of, reverse=True)
        write_rows(rows, COLUMNS, form)
        _tell_misdirected(rows)
    if not rows:
        say("Không có văn bản nào.", "There are no documents.")
    elif form is Format.TABLE:
        take_one = next_command(f"inbox take <mã> --as {organisation}", data)
        say(f"{len(rows)} văn bản (documents). Nhận (take): {take_one}")


async def _read(
    data: Path, organisation: str, message_id: str, sender: str | None, to: Path | None, form: Format
) -> None:
    async with open_node(data, organisation) as node:
        await _synchronise(node, data)
        await send_waiting(node)
        delivery = _find(node, data, message_id, sender)
        row = dict(row_of(delivery, node.directory.current(), node.code))
        if to is not None:
            row["files"] = [str(path) for path in (await unpack(delivery, to, node.blobs)).files]
    _tell_misdirected([row])
    if form is not Format.TABLE:
        write_rows([row], COLUMNS, form)
    elif to is None:
        write_card(card_of(row))
    else:
        for path in row["files"]:
            write_line(safe_text(path))


async def _take(
    data: Path,
    organisation: str,
    message_ids: Sequence[str],
    sender: str | None,
    to: Path | None,
    form: Format,
) -> ExitCode:
    async with open_node(data, organisation) as node:
        await _synchronise(node, data)
        directory = node.directory.current()
        unpacked, failures = await _unpack_all(node, _chosen(node, data, message_ids, sender), to)
        unacknowledged = await node.taker.take(_stored(node, unpacked), directory)
        warn_of_unacknowledged(unacknowledged)
        sent = sum(each.receipt_appended for each in _stored(node, unpacked))
        if sent < len(unpacked):
            failures += [each.error for each in unacknowledged]
        rows = [row_of(delivery, directory, node.code) for delivery in _stored(node, unpacked)]
        write_rows(rows, COLUMNS, form)
        _tell_misdirected(rows)
    if not failures:
        return ExitCode.OK
    return ExitCode.PARTLY_DONE if sent else exit_code_of(failures[0])


def _chosen(
    node: Node, data: Path, message_ids: Sequence[str], sender: str | None
) -> Iterator[StoredDelivery]:
    """Yield the documents to be taken: those named, or all that wait."""
    if message_ids:
        named = [_find(node, data, message_id, sender) for message_id in dict.fromkeys(message_ids)]
        yield from named
    else:
        waiting = node.journal.deliveries(waiting=True)
        yield from (each for each in waiting if sender in {None, each.sender})


def _stored(node: Node, keys: Iterable[tuple[str, MessageId]]) -> Iterator[StoredDelivery]:
    found = (node.journal.delivery(*key) for key in keys)
    return (each for each in found if each is not None)


async def _unpack_all(
    node: Node, deliveries: Iterable[StoredDelivery], to: Path | None
) -> tuple[list[tuple[str, MessageId]], list[AxisError]]:
    """Write the files of each; return sender and message id of those that may be attested, and what kept the others."""
    unpacked: list[tuple[str, MessageId]] = []
    failures: list[AxisError] = []
    for delivery in deliveries:
        try:
            # Two senders may have used one message id, and their files do not belong together.
            folder = (to or node.folder / "taken") / parse_code(delivery.sender)
            files = (await unpack(delivery, folder / _folder_name(delivery.message_id), node.blobs)).files
        except AxisError as error:
            warn(f"{delivery.message_id}: chưa nhận (not taken): {error}")
            failures.append(error)
        else:
            unpacked.append((delivery.sender, delivery.message_id))
            for path in files:
                warn(f"đã ghi (written) {path}")
    return unpacked, failures


async def _follow(data: Path, organisation: str, form: StreamFormat) -> None:
    async with open_node(data, organisation) as node:
        await send_waiting(node)
        shown = line_of if form is StreamFormat.TABLE else json_of
        async for entries in node.inbox.follow():
            warn_of_rejected(entries)
            directory = node.directory.current()
            for entry in entries:
                line = shown(entry, directory, node.code)
                if line is not None:
                    write_line(line)


async def _synchronise(node: Node, data: Path) -> None:
    """Read what is new; tell of the receipts that came: they are about what was sent, so they are no documents."""
    receipts = await synchronise(node)
    directory = node.directory.current()
    for entry in receipts[:_TOLD_RECEIPTS]:
        say(line_of(entry, directory, node.code) or "")
    if len(receipts) > _TOLD_RECEIPTS:
        more = len(receipts) - _TOLD_RECEIPTS
        show = next_command("receipts show <mã>", data)
        say(f"… và {more} biên nhận nữa (and {more} more receipts): {show}")


def _tell_rejections(node: Node) -> None:
    """Tell of what did not pass, the newest last; it is no document yet, so no row of the list."""
    rejections = node.journal.rejections.listed()
    if not rejections:
        return
    kept = sum(each.kept for each in rejections)
    say(
        f"{len(rejections)} mục chưa qua kiểm tra; {kept} mục đang được giữ, sẽ kiểm tra lại khi danh bạ thay đổi"
        f" ({len(rejections)} entries did not pass; {kept} are kept, and judged again when the directory changes):"
    )
    for each in rejections[-_TOLD_REJECTIONS:]:
        say(f"  {each.offset}  {shown_moment(each.appended_at)}  {reason_words(each.reason)}: {each.detail}")
    if dropped := sum(not each.kept and each.reason not in FINAL for each in rejections):
        warn(
            f"{dropped} mục cũ không còn được giữ vì hết chỗ ({dropped} old entries are kept no more: there is room for"
            f" {MAX_KEPT_BYTES} bytes)"
        )


def _tell_misdirected(rows: Iterable[Row]) -> None:
    """Warn of documents for a group that does not have this organisation today."""
    misdirected = [row["message_id"] for row in rows if not row["addressed"]]
    for message_id in misdirected[:_TOLD_MISDIRECTED]:
        warn(f"{message_id}: {NOT_IN_GROUP}")
    if more := len(misdirected[_TOLD_MISDIRECTED:]):
        say(f"… và {more} văn bản nữa (and {more} more documents)")


def _find(node: Node, data: Path, message_id: str, sender: str | None) -> StoredDelivery:
    found = [each for each in node.journal.deliveries(message_id=message_id) if sender in {None, each.sender}]
    if not found:
        listed = next_command(f"inbox list --all --as {node.code}", data)
        raise NotFound(
            Bilingual(
                f"hộp thư của {node.code} không có văn bản {message_id!a:.60}; xem `{listed}`",
                f"the inbox of {node.code} has no document {message_id!a:.60}; see `{listed}`",
            )
        )
    if len(found) > 1:
        senders = ", ".join(each.sender for each in found)
        raise ConfigurationError(
            Bilingual(
                f"{senders} đều gửi văn bản {message_id}; chọn một nơi gửi bằng --from",
                f"{senders} each sent a document {message_id}; choose one with --from",
            )
        )
    return found[0]


def _folder_name(message_id: MessageId) -> str:
    if not is_message_id(message_id):
        raise IntegrityError(f"message id {message_id!a:.60} is no UUIDv7 and cannot name a folder")
    return message_id
