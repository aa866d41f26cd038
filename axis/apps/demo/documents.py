"""The invented documents of the demo."""

from collections.abc import Sequence

from axis.core.envelope import Urgency
from axis.producers.publish import Draft, DraftPart

_PDF = "application/pdf"
_ROWS = 6_000


def letter(recipient: str) -> Draft:
    """A công văn with its PDF and an attachment too large to travel inside the record."""
    return Draft(
        subject="V/v rà soát số liệu phục vụ họp giao ban (văn bản trình diễn)",
        recipients=(recipient,),
        parts=(
            DraftPart("cong-van.pdf", _PDF, pdf("CONG VAN (VAN BAN TRINH DIEN)", "Ra soat so lieu.")),
            DraftPart("phu-luc-so-lieu.csv", "text/csv", _figures()),
        ),
        number="1208",
        notation="VP-TH",
    )


def flash() -> Draft:
    """A telegram of urgency hỏa tốc to every organisation of the directory."""
    return Draft(
        subject="V/v chủ động ứng phó mưa lũ (văn bản trình diễn)",
        recipients=("@all",),
        parts=(DraftPart("cong-dien.pdf", _PDF, pdf("CONG DIEN HOA TOC", "Ung pho mua lu.")),),
        document_type="cong-dien",
        urgency=Urgency.FLASH,
    )


def notice(recipient: str, number: int) -> Draft:
    """One of many ordinary notices."""
    return Draft(
        subject=f"Thông báo lịch tiếp công dân số {number} (văn bản trình diễn)",
        recipients=(recipient,),
        parts=(DraftPart("thong-bao.pdf", _PDF, pdf("THONG BAO", f"Lich tiep cong dan so {number}.")),),
        document_type="thong-bao",
        number=str(number),
        notation="TB",
    )


def pdf(*lines: str) -> bytes:
    """Return a PDF of one page (ISO 32000-1, 7.5) with these lines of ASCII text."""
    text = "\n".join(f"({line}) Tj 0 -24 Td" for line in lines)
    content = f"BT /F1 14 Tf 72 760 Td\n{text}\nET".encode("ascii")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
            b" /Resources << /Font << /F1 5 0 R >> >> >>"
        ),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    return _numbered(objects)


def _numbered(objects: Sequence[bytes]) -> bytes:
    """Put header, cross-reference table and trailer around the objects of a PDF."""
    body, offsets = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return body + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (size, table, size, len(body))
    )


def _figures() -> bytes:
    rows = (f"{number};to dan pho so {number % 40 + 1};{number * 7 % 311}" for number in range(1, _ROWS + 1))
    return "\n".join(("stt;don vi;so ho", *rows)).encode()
