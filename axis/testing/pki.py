"""A development PKI in a folder: one CA, TLS and signing certificates, and the table that enrols them.

    <folder>/ca.pem             certificate of the CA: the trust anchor of TLS and of signatures
             ca.key.pem         its key
             tls/<name>.pem     key and chain of a broker, gateway or node
             signing/<code>.pem key and certificate that sign for an organisation
             enrolment.json     SHA-256 of every signing certificate -> organisation, valid from, valid to

Everything is readable by its owner alone. For trials and tests: a real site brings certificates of its own
authority, and nothing outside this module knows the difference.
"""

import json
import os
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from axis.crypto.algorithms import PrivateKey
from axis.crypto.authority import (
    Credential,
    create_authority,
    issue_client,
    issue_server,
    issue_signing,
)
from axis.errors import Bilingual, ConfigurationError

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class DevelopmentPki:
    """Issues certificates into a folder; asking again for what exists returns it untouched.

    Built by `create_or_open`. A certificate is issued anew only when the stored one is not valid at the
    time the PKI was opened, or, for a server, when it lacks one of the hosts asked for.
    """

    def __init__(self, folder: Path, authority: Credential, now: datetime) -> None:
        self._folder = folder
        self._authority = authority
        self._now = now

    @classmethod
    def create_or_open(cls, path: Path, *, now: datetime) -> "DevelopmentPki":
        """Open the PKI in a folder, making folder and CA where there is none yet.

        Args:
            path: the folder.
            now: aware time at which certificates are issued and judged.

        Raises:
            ConfigurationError: the folder holds a CA that is incomplete, unreadable or not valid at `now`.
        """
        for folder in (path, path / "tls", path / "signing"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        certificate_file, key_file = path / "ca.pem", path / "ca.key.pem"
        if not certificate_file.exists():
            # The key goes first: a CA without its certificate has issued nothing and may be replaced.
            authority = create_authority(now)
            _replace(key_file, authority.key_pem())
            _replace(certificate_file, authority.certificate_pem())
        elif not key_file.exists():
            raise ConfigurationError(
                Bilingual(
                    f"có {certificate_file} mà không có {key_file}: khôi phục khóa, hoặc xóa {path} để tạo lại CA thử nghiệm"
                    " và mọi khóa",
                    f"{certificate_file} exists without {key_file}: restore the key, "
                    f"or remove {path} to start a new development PKI",
                )
            )
        authority = _read(key_file, certificate_file)
        if not _valid(authority.certificate, now):
            begins = authority.certificate.not_valid_before_utc
            ends = authority.certificate.not_valid_after_utc
            raise ConfigurationError(
                Bilingual(
                    f"CA thử nghiệm trong {certificate_file} có hiệu lực từ {begins:%d/%m/%Y %H:%M} đến"
                    f" {ends:%d/%m/%Y %H:%M} (UTC), đồng hồ máy là {now.astimezone(UTC):%d/%m/%Y %H:%M}: chỉnh đồng hồ,"
                    f" hoặc xóa {path} để tạo lại CA thử nghiệm và mọi khóa",
                    f"the development CA in {certificate_file} is valid from {begins.isoformat()} to {ends.isoformat()},"
                    f" not at {now.isoformat()}: correct the clock, or remove {path} to start a new development PKI",
                )
            )
        return cls(path, authority, now)

    @property
    def ca_path(self) -> Path:
        """PEM certificate of the CA: the trust anchor."""
        return self._folder / "ca.pem"

    @property
    def enrolment_path(self) -> Path:
        """JSON: SHA-256 (hex) of each signing certificate -> `organisation`, `valid_from`, `valid_to` (ISO 8601, UTC)."""
        path = self._folder / "enrolment.json"
        if not path.exists():
            _replace(path, b"{}\n")
        return path

    def server(self, name: str, hosts: Sequence[str]) -> Path:
        """PEM file (key, certificate, CA) of a TLS server that may also act as a client.

        Args:
            name: common name and file name, for instance `broker`.
            hosts: DNS names and IP addresses that clients will dial.
        """
        return self._stored(
            f"tls/{_checked(name)}.pem",
            lambda: issue_server(self._authority, name, hosts, self._now),
            lambda certificate: set(hosts) <= _hosts(certificate),
        )

    def client(self, code: str) -> Path:
        """PEM file (key, certificate, CA) of a TLS client whose common name is the organisation code."""
        return self._stored(
            f"tls/{_checked(code)}.pem", lambda: issue_client(self._authority, code, self._now)
        )

    def signing(self, code: str, name: str, *, key: PrivateKey | None = None) -> Path:
        """PEM file (key, certificate) that signs documents for an organisation; its certificate is enrolled.

        Args:
            code: organisation code: common name and file name.
            name: the organisation's name.
            key: the key to certify where none is stored; a new P-256 key when not given.
        """
        path = self._stored(
            f"signing/{_checked(code)}.pem",
            lambda: issue_signing(self._authority, code, name, self._now, key=key),
            chain=(),
        )
        self._enrol(code, _read(path).certificate)
        return path

    def _stored(
        self,
        relative: str,
        issue: Callable[[], Credential],
        fits: Callable[[x509.Certificate], bool] = lambda _certificate: True,
        chain: Sequence[x509.Certificate] | None = None,
    ) -> Path:
        path = self._folder / relative
        if path.exists():
            certificate = _read(path).certificate
            if _valid(certificate, self._now) and fits(certificate):
                return path
        credential = issue()
        above = (self._authority.certificate,) if chain is None else chain
        pems = [credential.key_pem(), credential.certificate_pem()]
        pems += [certificate.public_bytes(serialization.Encoding.PEM) for certificate in above]
        _replace(path, b"".join(pems))
        return path

    def _enrol(self, code: str, certificate: x509.Certificate) -> None:
        path = self.enrolment_path
        enrolment = json.loads(path.read_bytes())
        fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
        if fingerprint in enrolment:
            return
        enrolment[fingerprint] = {
            "organisation": code,
            "valid_from": certificate.not_valid_before_utc.isoformat(),
            "valid_to": certificate.not_valid_after_utc.isoformat(),
        }
        _replace(path, json.dumps(enrolment, indent=1).encode() + b"\n")


def _checked(name: str) -> str:
    if not _FILE_NAME.fullmatch(name):
        raise ConfigurationError(
            Bilingual(
                f"tên chứng thư là {name!r}, phải gồm 1 đến 64 chữ cái không dấu, chữ số, '.', '_' hoặc '-', bắt đầu bằng"
                " chữ cái hoặc chữ số",
                f"got {name!r} as a certificate name; expected 1 to 64 letters, digits, '.', '_' or '-', "
                f"beginning with a letter or digit",
            )
        )
    return name


def _hosts(certificate: x509.Certificate) -> set[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {str(name.value) for name in names}


def _valid(certificate: x509.Certificate, at: datetime) -> bool:
    return certificate.not_valid_before_utc <= at.astimezone(UTC) < certificate.not_valid_after_utc


def _read(key_file: Path, certificate_file: Path | None = None) -> Credential:
    try:
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificates((certificate_file or key_file).read_bytes())[0]
    except ValueError as error:
        raise ConfigurationError(
            Bilingual(
                f"{key_file} không chứa khóa bí mật không mã hóa kèm chứng thư của nó ({error}): xóa tệp này để được cấp lại",
                f"{key_file} does not hold an unencrypted private key with its certificate ({error}): "
                f"remove the file to have it issued again",
            )
        ) from error
    if not isinstance(key, PrivateKey):
        raise ConfigurationError(
            Bilingual(
                f"khóa bí mật trong {key_file} là {type(key).__name__}, phải là khóa EC hoặc RSA",
                f"{key_file} holds a {type(key).__name__}; expected an EC or RSA private key",
            )
        )
    return Credential(key, certificate)


def _replace(path: Path, content: bytes) -> None:
    """Write a file for its owner's eyes alone, so that a reader finds the old content or the new, never a part."""
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as temporary:
        temporary.write(content)
        temporary.flush()
        os.fsync(temporary.fileno())
    Path(temporary.name).replace(path)
