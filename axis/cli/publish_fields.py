"""What the command line of `axis publish` states about a document."""

import mimetypes
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from axis.apps import wiring
from axis.cli.moments import parse_moment
from axis.core.envelope import Urgency
from axis.producers.publish import Draft, DraftPart

_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
_MEDIA_TYPES: Final = mimetypes.MimeTypes()
for _extension, _kind in (
    (".docx", f"{_OFFICE}wordprocessingml.document"),
    (".xlsx", f"{_OFFICE}spreadsheetml.sheet"),
    (".pptx", f"{_OFFICE}presentationml.presentation"),
    (".p7s", "application/pkcs7-signature"),
):
    _MEDIA_TYPES.add_type(_kind, _extension)


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


def draft_of(files: Sequence[Path], fields: Fields) -> Draft:
    """Return what is to be published.

    Raises:
        ConfigurationError: a time is in no form that is read.
    """
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
