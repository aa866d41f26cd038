"""`axis replay`: read the history again, verified anew, one row per record, never its content."""

import asyncio
import re
from typing import Annotated, Final

from cyclopts import App, Parameter

from axis import settings
from axis.apps import audit, wiring
from axis.apps.audit import AUDITOR, KINDS
from axis.cli.moments import parse_period
from axis.cli.nodes import known_organisation
from axis.cli.output import Column, Row, write_rows
from axis.cli.parameters import DEFAULT_DATA, Client, DataFolder, Format, FormatOption
from axis.cli.progress import ReadingProgress
from axis.cli.words import EVENTS, reason_words
from axis.consumers.replay import DOCUMENT, QUARANTINED, UNKNOWN, Period, Replayed, Verdict
from axis.core.history import shown
from axis.core.receipt import Event
from axis.errors import Bilingual, ConfigurationError

_SHOWN_RECIPIENTS: Final = 3
_OFFSETS: Final = re.compile(r"(\d{1,6}):(\d{1,18})(?:-(\d{1,18}))?")
_KINDS: Final = {
    DOCUMENT: "văn bản",
    QUARANTINED: "cách ly",
    UNKNOWN: "không rõ",
    **{str(event): EVENTS[event] for event in Event},
}
_VERDICTS: Final = {
    Verdict.VERIFIED: "chữ ký đúng",
    Verdict.ALTERED: "bị thay đổi",
    Verdict.REFUSED: "không kiểm chứng được",
    Verdict.PARKED: "đã cách ly",
}

app = App(
    name="replay",
    help="""Đọc lại lịch sử theo thời gian hoặc vị trí; kiểm chứng lại mọi chữ ký; không làm phiền ai.

    Read the history again by time or offset; every signature is verified anew; disturbs nobody.""",
    help_epilogue="""Ví dụ (examples):

  axis replay --since 24h
  axis replay --since 2026-11-20 --until 2026-11-21 --org H56.14812 -o csv > lich-su.csv
  axis replay --topic axis.submissions.express --from-offset 3:1200-1300""",
)


@app.default
def replay(
    *,
    since: Annotated[str | None, Parameter(help="Từ lúc này. From this moment on: `axis help time`.")] = None,
    until: Annotated[str | None, Parameter(help="Trước lúc này. Before this moment.")] = None,
    org: Annotated[
        str | None,
        Parameter(help="Chỉ những gì cơ quan này gửi, nhận hoặc ký. Only what it sent, receives or signed."),
    ] = None,
    topic: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            help=f"{', '.join(KINDS)}, hoặc tên chủ đề; mặc định tất cả. Or the name of a topic; by default all.",
        ),
    ] = (),
    from_offset: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            help="P:O hoặc P:O-E: phân vùng P từ vị trí O (đến E). Partition P from offset O (to E, inclusive).",
        ),
    ] = (),
    client: Client = AUDITOR,
    output: FormatOption = Format.TABLE,
    data: DataFolder = DEFAULT_DATA,
) -> None:
    """Đọc lại lịch sử. Read the history again."""
    installation = settings.load(data)
    begin, end = parse_period(since, until, wiring.clock().now())
    period = Period(
        topics=(),
        since=begin,
        until=end,
        offsets=dict(map(parse_offsets, from_offset)),
    )
    organisation = known_organisation(installation, org, option="--org") if org else None
    with ReadingProgress() as progress:
        rows = asyncio.run(
            audit.replay(
                installation, topic, period, organisation=organisation, client=client, progress=progress
            )
        )
    write_rows(map(row_of, rows), _COLUMNS, output)


def parse_offsets(text: str) -> tuple[int, tuple[int, int | None]]:
    """Read `P:O` or `P:O-E` as (partition, (first, last offset)).

    Raises:
        ConfigurationError: it is neither, or ends before it begins.
    """
    match = _OFFSETS.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            Bilingual(
                f"--from-offset là {text!a:.40}, phải là P:O hoặc P:O-E, ví dụ 3:1200-1300",
                f"got {text!a:.40} as --from-offset, expected P:O or P:O-E, such as 3:1200-1300",
            )
        )
    first, last = int(match[2]), int(match[3]) if match[3] else None
    if last is not None and last < first:
        raise ConfigurationError(
            Bilingual(
                f"--from-offset {text}: vị trí cuối {last} trước vị trí đầu {first}",
                f"--from-offset {text}: got {last} as the last offset, expected {first} or later",
            )
        )
    return int(match[1]), (first, last)


def row_of(replayed: Replayed) -> Row:
    """Return a record of the history as a row."""
    return {
        "appended_at": replayed.appended_at,
        "place": shown(replayed.place),
        "what": replayed.what,
        "sender": replayed.sender,
        "recipients": replayed.recipients,
        "issuer": replayed.issuer,
        "message_id": replayed.message_id,
        "digest": replayed.digest,
        "verdict": replayed.verdict,
        "reason": replayed.reason,
    }


def _brief(codes: tuple[str, ...]) -> str:
    """Return the first few codes and how many follow."""
    left = len(codes) - _SHOWN_RECIPIENTS
    return ", ".join(codes[:_SHOWN_RECIPIENTS]) + (f" +{left}" if left > 0 else "")


def _style(verdict: Verdict) -> str:
    return "bold red" if verdict in {Verdict.ALTERED, Verdict.REFUSED} else ""


_COLUMNS: Final = (
    Column("appended_at", "Thời điểm", "time (+07:00)"),
    Column("place", "Vị trí", "place"),
    Column("what", "Loại", "what", lambda what: f"{_KINDS.get(what, what)} ({what})"),
    Column("sender", "Nơi gửi", "sender"),
    Column("recipients", "Nơi nhận", "recipients", _brief),
    Column("issuer", "Người ký", "issuer"),
    Column("message_id", "Mã thông điệp", "message id"),
    Column("digest", "SHA-256", "SHA-256", lambda digest: f"{digest.hex()[:16]}…"),
    Column("verdict", "Kiểm chứng", "verdict", lambda verdict: f"{_VERDICTS[verdict]} ({verdict})", _style),
    Column("reason", "Lý do", "reason", reason_words),
)
