"""Chooses the adapters: the one place where settings become objects."""

from functools import cache
from pathlib import Path
from typing import Final

import structlog

from axis import __version__
from axis.admin.kafka import TopicAdmin
from axis.admin.positions import GroupPositions
from axis.clock import SystemClock
from axis.connection import librdkafka_options
from axis.consumers.verify import Verifier
from axis.core.addressing import OrganisationCode
from axis.core.digest import sha256
from axis.core.policy import AcceptancePolicy
from axis.crypto.certificates import CertificateValidator, RevocationNotChecked
from axis.crypto.keys import load_identity
from axis.crypto.signing import ValidSigner
from axis.errors import Bilingual, ConfigurationError
from axis.settings import Settings
from axis.storage.blobs import BlobStore, open_store
from axis.storage.directory_files import DirectoryFiles

_READABLE_BY_OTHERS: Final = 0o077

_logger = structlog.get_logger(__name__)


def clock() -> SystemClock:
    """Return the clock."""
    return SystemClock()


def directory(settings: Settings) -> DirectoryFiles:
    """Return the directory in force, from its files."""
    return DirectoryFiles(settings.directory.folder, clock(), settings.directory.enrolment)


def verifier(settings: Settings, policy: AcceptancePolicy) -> Verifier:
    """Return what verifies signatures against the configured anchors.

    Raises:
        ConfigurationError: the anchors cannot be read.
    """
    anchors = [_read(settings.signatures.anchors)]
    return Verifier(CertificateValidator(anchors, revocation=RevocationNotChecked()), policy)


def rules(settings: Settings) -> str:
    """Return what a node judges its inbox by besides the directory, as a text that differs when it does; raises as `verifier`."""
    anchors = sha256(_read(settings.signatures.anchors)).hex()[:16]
    return f"{settings.environment} {settings.node} sha256:{anchors} {__version__}"


def signer(settings: Settings, code: OrganisationCode) -> ValidSigner:
    """Return the signing key of an organisation; warn where others can read it, or the key of its TLS client.

    Raises:
        ConfigurationError: there is no usable key for it here, or its certificate is not enrolled for it now.
    """
    path = settings.signatures.key(code)
    signing = ValidSigner(load_identity(_read(path)))
    for key in (path, settings.broker.credential(code)):
        _warn_if_exposed(key)
    enrolled = directory(settings).current()
    holder = enrolled.organisation_of_certificate(signing.certificate_digest, clock().now())
    if holder != code:
        raise ConfigurationError(
            Bilingual(
                f"{path}: chứng thư này được đăng ký cho {holder or 'không ai'}, cần là {code}; mọi chữ ký bằng nó sẽ bị"
                " từ chối: hãy đăng ký chứng thư trong danh bạ",
                f"{path}: the certificate is enrolled for {holder or 'nobody'}, expected {code}; every signature of it"
                " would be refused: enrol it in the directory",
            )
        )
    return signing


def blobs(settings: Settings) -> BlobStore:
    """Return the store of large parts."""
    return open_store(settings.blobs, base=settings.folder)


def topic_admin(settings: Settings, code: str) -> TopicAdmin:
    """Return the administration of topics, as one client identity."""
    broker = settings.broker
    return TopicAdmin(broker.bootstrap_servers, broker.authority, broker.credential(code))


def group_positions(settings: Settings, code: str, group: str) -> GroupPositions:
    """Return who asks for the positions of a consumer group, as one client identity."""
    options = librdkafka_options(code, settings.broker) | {"client.id": f"axis-positions-{code}"}
    return GroupPositions(options, group, settings.broker.request_timeout_seconds * 3)


@cache
def _warn_if_exposed(path: Path) -> None:
    """Warn, once in a process, of a key file that other users of the machine may read."""
    if path.exists() and path.stat().st_mode & _READABLE_BY_OTHERS:
        _logger.warning("key_file.exposed", path=path, mend=f"chmod 600 {path}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            Bilingual(
                f"không đọc được {path}: {error.strerror}; cấp khóa bằng `axis pki init`, hoặc sửa [signatures] trong"
                " axis.toml",
                f"{path}: {error.strerror}; issue keys with `axis pki init`, or correct [signatures] in axis.toml",
            )
        ) from error
