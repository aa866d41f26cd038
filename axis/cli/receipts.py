"""`axis receipts`: the legal record; show what is attested of a message, find receipts, follow them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from axis import settings
from axis.apps import wiring
from axis.apps.audit import AUDITOR
from axis.apps.receipts import ReadReceipt, receipts_about, receipts_of_period, receipts_to_come
from axis.cli.exit_codes import ExitCode, NotFound
from axis.cli.moments import parse_period
from axis.cli.output import json_text, say, warn, write_line, write_rows
from axis.cli.parameters import (
    DEFAULT_DATA,
    Client,
    DataFolder,
    Format,
    FormatOption,
    StreamFormat,
    StreamFormatOption,
    next_command,
)
from axis.cli.receipt_rows import COLUMNS, line_of, row_of, write_receipt
from axis.core.disposition import Reason
from axis.core.receipt import Event
from axis.errors import Bilingual, ConfigurationError, Unavailable

_OPENSSL: Final = """openssl cms -verify -binary -inform DER -in 1.signature -content 1.statement \\
    -CAfile axis-data/pki/ca.pem -out /dev/null"""

app = App(
    name="receipts",
    help_epilogue="""Ví dụ (examples):

  axis receipts show 019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071
  axis receipts find --sender H56 --event SUBMISSION_REJECTION --since 24h
  axis receipts follow -o jsonl""",
)


@app.command(
    help_epilogue=f"""Ví dụ (examples):

  axis receipts show 019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071
  axis receipts show 019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071 --raw bang-chung

Kiểm chứng độc lập, không cần trục (verify without the axis):

  {_OPENSSL}

Mã thoát 3: có chữ ký không đúng. Exit code 3: a signature does not hold."""
)
def show(
    message_id: Annotated[str, Parameter(help="Mã thông điệp. The message id.")],
    /,
    *,
    raw: Annotated[
        Path | None,
        Parameter(
            help="Thư mục để ghi nguyên văn từng biên nhận và chữ ký. A folder for the exact statement and signature of"
            " each receipt: <n>.statement, <n>.signature."
        ),
    ] = None,
    client: Client = AUDITOR,
    output: FormatOption = Format.TABLE,
    data: DataFolder = DEFAULT_DATA,
) -> int:
    """Mọi biên nhận của một thông điệp, với kết quả kiểm chứng từng chữ ký.

    Every receipt about a message, with the result of verifying each signature.
    """
    installation = settings.load(data)
    receipts = asyncio.run(receipts_about(installation, client, message_id))
    if not receipts:
        look_up = next_command("receipts find", data)
        raise NotFound(
            Bilingual(
                f"không có biên nhận về {message_id!a:.70}; tra mã thông điệp bằng `{look_up}`",
                f"no receipt about {message_id!a:.70}; look the message id up with `{look_up}`",
            )
        )
    if raw is not None:
        write_raw(receipts, raw)
    if output is Format.TABLE:
        directory = wiring.directory(installation).current()
        for number, receipt in enumerate(receipts, 1):
            write_receipt(number, receipt, directory)
    else:
        write_rows(map(row_of, receipts), COLUMNS, output)
    return _code(receipts)


@app.command
def find(
    *,
    sender: Annotated[str | None, Parameter(help="Nơi gửi văn bản. Sender of the document.")] = None,
    recipient: Annotated[str | None, Parameter(help="Nơi nhận. A recipient.")] = None,
    event: Annotated[Event | None, Parameter(name_transform=str, help="Sự kiện. The event attested.")] = None,
    reason: Annotated[Reason | None, Parameter(help="Lý do từ chối. The reason of a refusal.")] = None,
    since: Annotated[str | None, Parameter(help="Từ lúc này. Recorded from this moment on.")] = None,
    until: Annotated[str | None, Parameter(help="Trước lúc này. Recorded before this moment.")] = None,
    client: Client = AUDITOR,
    output: FormatOption = Format.TABLE,
    data: DataFolder = DEFAULT_DATA,
) -> int:
    """Tìm biên nhận; những gì không kiểm chứng được luôn được hiện.

    Find receipts; what cannot be verified is always shown.
    """
    now = wiring.clock().now()
    period = parse_period(since, until, now)
    found = asyncio.run(_find(data, client, period, sender, recipient, event, reason))
    write_rows(map(row_of, found), COLUMNS, output)
    return _code(found)


@app.command
def follow(
    *,
    client: Client = AUDITOR,
    output: StreamFormatOption = StreamFormat.TABLE,
    data: DataFolder = DEFAULT_DATA,
) -> None:
    """Hiện biên nhận ngay khi được ghi; Ctrl-C để dừng. Show receipts as they are recorded; Ctrl-C ends."""
    asyncio.run(_follow(receipts_to_come(settings.load(data), client), output))


def write_raw(receipts: list[ReadReceipt], folder: Path) -> None:
    """Write the exact bytes of each established receipt, so that any CMS tool can verify them.

    Raises:
        ConfigurationError: a file of that name exists.
        Unavailable: the folder cannot be written.
    """
    written = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, receipt in enumerate(receipts, 1):
            if receipt.verified is not None:
                written += 1
                signed = receipt.verified.signed
                for suffix, content in (("statement", signed.statement), ("signature", signed.signature)):
                    with (folder / f"{number}.{suffix}").open("xb") as file:
                        file.write(content)
    except FileExistsError as error:
        raise ConfigurationError(
            Bilingual(
                f"đã có {error.filename}, không ghi đè; hãy chọn thư mục khác",
                f"{error.filename} exists and is not overwritten; name another folder",
            )
        ) from error
    except OSError as error:
        raise Unavailable(
            Bilingual(
                f"không ghi được vào {folder}: {error.strerror}",
                f"cannot write into {folder}: {error.strerror}",
            )
        ) from error
    say(
        f"Đã ghi {written} biên nhận vào {folder}. Kiểm chứng độc lập: xem `axis receipts show --help`.",
        f"Wrote {written} receipts into {folder}. To verify them without the axis: `axis receipts show --help`.",
    )
    if left := len(receipts) - written:
        warn(f"{left} biên nhận không kiểm chứng được, không ghi (receipts not verified, not written)")


async def _find(
    data: Path,
    client: str,
    period: tuple[datetime | None, datetime | None],
    sender: str | None,
    recipient: str | None,
    event: Event | None,
    reason: Reason | None,
) -> list[ReadReceipt]:
    found = [
        each
        async for each in receipts_of_period(settings.load(data), client, *period)
        if _fits(each, sender, recipient, event, reason)
    ]
    return sorted(found, key=lambda each: (each.appended_at, each.place.partition, each.place.offset))


def _fits(
    read: ReadReceipt, sender: str | None, recipient: str | None, event: Event | None, reason: Reason | None
) -> bool:
    if read.verified is None:
        return True
    receipt = read.verified.receipt
    reasons = {receipt.reason, *(outcome.reason for outcome in receipt.outcomes)}
    return (
        sender in {None, receipt.sender}
        and (recipient is None or recipient in {outcome.recipient for outcome in receipt.outcomes})
        and event in {None, receipt.event}
        and (reason is None or reason in reasons)
    )


async def _follow(receipts: AsyncIterator[ReadReceipt], form: StreamFormat) -> None:
    async for receipt in receipts:
        write_line(json_text(row_of(receipt)) if form is StreamFormat.JSONL else line_of(receipt))


def _code(receipts: list[ReadReceipt]) -> ExitCode:
    holds = all(receipt.verified is not None for receipt in receipts)
    return ExitCode.OK if holds else ExitCode.NOT_VERIFIED
