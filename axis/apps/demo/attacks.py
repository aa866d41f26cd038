"""Submissions as an attacker or a faulty program would make them; each breaks exactly one rule."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from axis.apps import wiring
from axis.apps.demo import documents
from axis.apps.demo.claims import Phrase
from axis.apps.demo.stage import Stage
from axis.apps.node import Node
from axis.consumers.take import opened
from axis.core.addressing import OrganisationCode
from axis.core.digest import sha256
from axis.core.disposition import Reason
from axis.core.envelope import Envelope, Header, Operation, Part, Urgency
from axis.crypto.algorithms import PrivateKey
from axis.crypto.authority import Credential, issue_signing, new_key
from axis.crypto.keys import SigningIdentity
from axis.crypto.signing import CmsSigner
from axis.errors import ConfigurationError
from axis.producers.identity import new_message_id
from axis.schemas import avro
from axis.storage.journal import StoredSubmission

RECIPIENT: Final = OrganisationCode("H56.14923")
"""Who would receive the forgeries."""
_SENDER: Final = OrganisationCode("H56.08")
_OTHER: Final = OrganisationCode("H56.09")
_NOBODY: Final = "H56.99999"
_WEAK_RSA_BITS: Final = 1024


@dataclass(frozen=True, slots=True)
class Attack:
    """A submission that must not be delivered.

    Attributes:
        words: what is wrong with it.
        expected: the reason that must be given.
        node: whose connection it comes through.
        submission: the record; only a mistaken recipient gets past a node's own checks and stands in its journal.
    """

    words: Phrase
    expected: Reason
    node: Node
    submission: StoredSubmission


async def prepare(stage: Stage) -> list[Attack]:
    """Make every attack; nothing is sent yet."""
    sender, other = await stage.node(_SENDER), await stage.node(_OTHER)
    now = wiring.clock().now()

    def sealed(by: Node) -> StoredSubmission:
        return by.publisher.seal(_header(stage, now), _parts(), now)

    return [
        Attack(_ALTERED_PART, Reason.PART_ALTERED, sender, _with_other_part(sealed(sender))),
        Attack(_ALTERED_LIST, Reason.SIGNATURE_INVALID, sender, _with_other_manifest(sealed(sender))),
        Attack(_OTHER_KEY, Reason.SENDER_MISMATCH, other, sealed(other)),
        Attack(
            _NO_SUCH_RECIPIENT,
            Reason.RECIPIENT_UNKNOWN,
            sender,
            await sender.publisher.prepare(documents.notice(_NOBODY, 1)),
        ),
        Attack(_WEAK, Reason.ALGORITHM_REFUSED, sender, _signed_weakly(stage, sealed(sender), now)),
    ]


_ALTERED_PART: Final = Phrase(
    "một byte của tệp bị đổi sau khi ký", "one byte of a file changed after signing"
)
_ALTERED_LIST: Final = Phrase(
    "một byte của danh mục tệp bị đổi sau khi ký", "one byte of the signed list of files changed"
)
_OTHER_KEY: Final = Phrase(
    f"ghi nơi gửi là {_SENDER} nhưng ký bằng khóa của {_OTHER}",
    f"says it is from {_SENDER}, signed with the key of {_OTHER}",
)
_NO_SUCH_RECIPIENT: Final = Phrase(
    f"nơi nhận {_NOBODY} không có trong danh bạ", f"recipient {_NOBODY} is not in the directory"
)
_WEAK: Final = Phrase(
    f"ký bằng khóa RSA {_WEAK_RSA_BITS} bit, chứng thư thật",
    f"signed with RSA-{_WEAK_RSA_BITS}, genuine certificate",
)


def _header(stage: Stage, now: datetime) -> Header:
    message_id = new_message_id(now)
    return Header(
        environment=stage.settings.environment,
        message_id=message_id,
        operation=Operation.NEW,
        document_id=message_id,
        number="1",
        notation="TB",
        document_type="thong-bao",
        subject="Văn bản trình diễn",
        sender=_SENDER,
        recipients=(RECIPIENT,),
        urgency=Urgency.NORMAL,
        created_at=now,
    )


def _parts() -> tuple[Part, ...]:
    content = documents.pdf("VAN BAN TRINH DIEN")
    return (Part("thong-bao.pdf", "application/pdf", len(content), sha256(content), content),)


def _with_other_part(submission: StoredSubmission) -> StoredSubmission:
    envelope, _ = opened(submission.value)
    part = envelope.parts[0]
    return _with(submission, replace(envelope, parts=(replace(part, content=_changed(part.content or b"")),)))


def _with_other_manifest(submission: StoredSubmission) -> StoredSubmission:
    envelope, _ = opened(submission.value)
    return _with(submission, replace(envelope, manifest=_changed(envelope.manifest)))


def _signed_weakly(stage: Stage, submission: StoredSubmission, now: datetime) -> StoredSubmission:
    """Sign with a key that is too short but that the trusted authority has certified."""
    anchor = stage.settings.signatures.anchors
    authority = _credential(anchor, anchor.with_name("ca.key.pem"))
    weak = issue_signing(
        authority, _SENDER, stage.directory.get(_SENDER).name, now, key=new_key(_WEAK_RSA_BITS)
    )
    envelope, _ = opened(submission.value)
    signature = CmsSigner(SigningIdentity(weak.key, weak.certificate)).sign(envelope.manifest, now)
    return _with(submission, replace(envelope, signature=signature))


def _credential(certificate: Path, key: Path) -> Credential:
    private = load_pem_private_key(key.read_bytes(), password=None)
    if not isinstance(private, PrivateKey):
        raise ConfigurationError(f"{key} holds a {type(private).__name__}; expected an EC or RSA private key")
    return Credential(private, x509.load_pem_x509_certificate(certificate.read_bytes()))


def _changed(content: bytes) -> bytes:
    """Return bytes of the same length whose last one is another."""
    return content[:-1] + bytes([content[-1] ^ 1])


def _with(submission: StoredSubmission, envelope: Envelope) -> StoredSubmission:
    return replace(submission, digest=envelope.digest, value=avro.encode_envelope(envelope))
