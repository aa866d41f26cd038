"""Chooses the adapters: the one place where settings become objects."""

from pathlib import Path

from axis.admin.kafka import TopicAdmin
from axis.clock import SystemClock
from axis.consumers.verify import Verifier
from axis.core.addressing import OrganisationCode
from axis.core.policy import AcceptancePolicy
from axis.crypto.certificates import CertificateValidator, RevocationNotChecked
from axis.crypto.keys import load_identity
from axis.crypto.signing import CmsSigner
from axis.errors import ConfigurationError
from axis.settings import Settings
from axis.storage.blobs import BlobStore, open_store
from axis.storage.directory_files import DirectoryFiles


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


def signer(settings: Settings, code: OrganisationCode) -> CmsSigner:
    """Return the signing key of an organisation.

    Raises:
        ConfigurationError: there is no usable key for it here.
    """
    return CmsSigner(load_identity(_read(settings.signatures.key(code))))


def blobs(settings: Settings) -> BlobStore:
    """Return the store of large parts."""
    return open_store(settings.blobs, base=settings.folder)


def topic_admin(settings: Settings, code: str) -> TopicAdmin:
    """Return the administration of topics, as one client identity."""
    broker = settings.broker
    return TopicAdmin(broker.bootstrap_servers, broker.authority, broker.credential(code))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{path}: {error.strerror}; issue keys with `axis pki init`, or correct [signatures] in axis.toml"
        ) from error
