"""What the commands of an organisation's node share: opening it, bringing it up to date, saying what was not passed on."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from axis import settings
from axis.apps import wiring
from axis.apps.node import Node
from axis.cli.exit_codes import NotFound
from axis.cli.output import say, warn
from axis.cli.words import reason_words
from axis.consumers.inbox import Answer, Entry, Gap, GapReason, Rejected
from axis.consumers.take import Unacknowledged
from axis.core.addressing import OrganisationCode, parse_code
from axis.core.directory import Directory
from axis.core.envelope import MessageId
from axis.core.receipt import Receipt, SignedReceipt
from axis.errors import Bilingual, ConfigurationError, IntegrityError, Refused
from axis.schemas import avro
from axis.settings import Settings
from axis.storage.journal import Journal

DEADLINE_SECONDS: Final = 60.0
_GAPS: Final = {
    GapReason.RECREATED: "hộp thư đã được tạo lại, đọc lại từ đầu",
    GapReason.TRUNCATED: "hộp thư ngắn hơn lần đọc trước, đọc lại từ đầu",
    GapReason.EXPIRED: "có mục hết hạn lưu trước khi được đọc",
}


@asynccontextmanager
async def open_node(
    data: Path, code: str, *, deadline_seconds: float = DEADLINE_SECONDS
) -> AsyncIterator[Node]:
    """Connect the node of an organisation whose keys are in the data folder.

    Raises:
        ConfigurationError: settings or keys are missing or wrong, or the code is not one.
        NotFound: the directory does not know the organisation.
        Unavailable: no broker answers.
    """
    installation = settings.load(data)
    organisation = known_organisation(installation, code)
    async with Node.open(installation, organisation, deadline_seconds=deadline_seconds) as node:
        yield node


def known_organisation(installation: Settings, code: str, *, option: str = "--as") -> OrganisationCode:
    """Return the code that an option gives when the directory knows it; raises as `open_node` does."""
    try:
        organisation = parse_code(code)
    except Refused as refusal:
        raise ConfigurationError(
            Bilingual(
                f"{option}: {code!a:.40} không phải mã cơ quan; mã có dạng H56 hoặc H56.14812",
                f"{option}: {refusal.detail}",
            )
        ) from refusal
    directory = wiring.directory(installation).current()
    if organisation not in directory:
        folder = installation.directory.folder
        raise NotFound(
            Bilingual(
                f"không có {organisation} trong danh bạ {directory.version} ở {folder}; tra mã ở đó",
                f"{organisation} is not in directory {directory.version} in {folder}; look the code up there",
            )
        )
    return organisation


def name_of(code: str, directory: Directory) -> str | None:
    """Return an organisation's name, None when the directory does not know it."""
    return directory.get(code).name if code in directory else None


async def synchronise(node: Node) -> list[Answer]:
    """Read what is new in the inbox, and warn of what was not passed on; return the answers."""
    answers: list[Answer] = []
    rejected = 0
    async for entries in node.inbox.synchronise():
        answers += [entry for entry in entries if isinstance(entry, Answer)]
        rejected += len(warn_of_rejected(entries))
    if rejected:
        say(
            f"{rejected} mục trong hộp thư không qua kiểm tra, không được chuyển tiếp. Mục nào có thể đúng theo danh bạ"
            " khác thì được giữ lại để kiểm tra lại khi danh bạ thay đổi.",
            f"{rejected} inbox entries did not pass verification and were not passed on. What may pass under another"
            " directory is kept, to be judged again when the directory changes.",
        )
    return answers


async def send_waiting(node: Node) -> None:
    """Send the receipts of hand-over that were kept; warn of those that still wait."""
    warn_of_unacknowledged(await node.taker.append_waiting())


def warn_of_unacknowledged(unacknowledged: Iterable[Unacknowledged]) -> None:
    """Warn of receipts of hand-over that are kept and may not be sent, with what kept them."""
    for each in unacknowledged:
        warn(
            f"{each.message_id}: biên nhận đã ký và lưu, có thể chưa gửi, sẽ gửi lại"
            f" (receipt kept, may not be sent, will be sent again): {each.error}"
        )


def warn_of_rejected(entries: Iterable[Entry]) -> Sequence[Rejected]:
    """Warn of gaps and of the entries that did not pass verification, by place and reason; return the latter."""
    rejected: list[Rejected] = []
    for entry in entries:
        if isinstance(entry, Gap):
            warn(f"hộp thư (inbox) {entry.offset}: {_GAPS[entry.reason]} ({entry.reason}): {entry.detail}")
        elif isinstance(entry, Rejected):
            warn(f"hộp thư (inbox) {entry.offset}: {reason_words(entry.reason)}: {entry.detail}")
            rejected.append(entry)
    return rejected


def receipts_of(journal: Journal, message_id: MessageId) -> list[Receipt]:
    """Return the receipts about a submission that the journal holds, oldest first.

    Raises:
        IntegrityError: the journal was changed from outside.
    """
    receipts = []
    for stored in journal.receipts(message_id):
        signed = avro.decode(stored.value)
        if not isinstance(signed, SignedReceipt):
            raise IntegrityError("the journal holds something else than a receipt")
        receipts.append(avro.decode_receipt(signed.statement))
    return receipts
