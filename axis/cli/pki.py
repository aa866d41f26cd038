"""`axis pki`: a development CA with keys for everyone in the directory, and when certificates end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from cyclopts import App, Parameter

from axis import settings
from axis.apps import site, wiring
from axis.cli.output import Column, Row, say, write_rows
from axis.cli.parameters import DEFAULT_DATA, DataFolder, Format, FormatOption
from axis.errors import Bilingual, ConfigurationError
from axis.settings import Settings
from axis.testing.broker.properties import BROKER_NAME
from axis.testing.pki import DevelopmentPki

_SOON_DAYS: Final = 30

app = App(
    name="pki",
    help_epilogue="""Ví dụ (examples):

  axis pki init --data axis-data
  axis pki init --data /srv/axis --broker-host broker-1 --broker-host broker-2
  axis pki show --data axis-data

Chỉ để thử nghiệm: khóa nằm trong tệp không mã hóa. For trials only: the keys lie in unencrypted files.""",
)


@app.command(
    help_epilogue="""Ví dụ (examples):

  axis pki init --data axis-data
  axis pki init --data /srv/axis --broker-host broker-1 --broker-host localhost"""
)
def init(
    *,
    broker_host: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="Tên máy của Kafka, để cấp chứng thư. A broker's host, to certify it.",
        ),
    ] = (),
    data: DataFolder = DEFAULT_DATA,
) -> None:
    """Tạo CA thử nghiệm và khóa cho mọi cơ quan trong danh bạ; những gì đã có được giữ nguyên.

    Make a development CA and keys for everyone in the directory; what is there already is kept.
    """
    installation = settings.load(data)
    count = site.issue_keys(data, installation)
    if broker_host:
        pki = DevelopmentPki.create_or_open(data / "pki", now=wiring.clock().now())
        pki.server(BROKER_NAME, broker_host)
    say(
        f"Khóa và chứng thư của {count} cơ quan nằm trong {data / 'pki'}.",
        f"Keys and certificates of {count} organisations are in {data / 'pki'}.",
    )


@app.command(
    help_epilogue="""Ví dụ (examples):

  axis pki show --data axis-data
  axis pki show -o json | jq '.[] | select(.days_left < 30)'"""
)
def show(*, output: FormatOption = Format.TABLE, data: DataFolder = DEFAULT_DATA) -> None:
    """Liệt kê chứng thư và ngày hết hạn, sớm nhất trước. List certificates, the first to expire on top."""
    rows = sorted(_certificates(settings.load(data)), key=lambda row: row["not_after"])
    write_rows(rows, _COLUMNS, output)


def _certificates(installation: Settings) -> Iterator[Row]:
    for use, paths in (
        ("anchor", [installation.signatures.anchors]),
        ("signing", sorted(installation.signatures.keys.glob("*.pem"))),
        ("tls", sorted(installation.broker.credentials.glob("*.pem"))),
    ):
        for path in paths:
            yield _row(use, path)


def _row(use: str, path: Path) -> Row:
    try:
        # A credential's file begins with its key, then its own certificate, then those above it.
        certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            Bilingual(
                f"{path} không có chứng thư đọc được ({error}); chạy `axis pki init`, hoặc sửa axis.toml",
                f"{path} holds no certificate that can be read ({error}); `axis pki init`, or correct axis.toml",
            )
        ) from error
    left = certificate.not_valid_after_utc - wiring.clock().now()
    return {
        "use": use,
        "name": _attribute(certificate, NameOID.COMMON_NAME),
        "organisation": _attribute(certificate, NameOID.ORGANIZATION_NAME),
        "not_before": certificate.not_valid_before_utc,
        "not_after": certificate.not_valid_after_utc,
        "days_left": left.days,
        "sha256": certificate.fingerprint(hashes.SHA256()),
        "path": str(path),
    }


def _attribute(certificate: x509.Certificate, attribute: x509.ObjectIdentifier) -> str | None:
    found = certificate.subject.get_attributes_for_oid(attribute)
    return str(found[0].value) if found else None


def _days_style(days: int) -> str:
    return "bold red" if days < 0 else "yellow" if days < _SOON_DAYS else ""


def _days_words(days: int) -> str:
    return "đã hết hạn (expired)" if days < 0 else str(days)


_COLUMNS: Final = (
    Column("use", "Dùng cho", "Use"),
    Column("name", "Mã", "Name"),
    Column("organisation", "Cơ quan", "Organisation"),
    Column("not_after", "Hết hạn (+07:00)", "Expires"),
    Column("days_left", "Còn (ngày)", "Days left", _days_words, _days_style),
    Column("path", "Tệp", "File"),
)
