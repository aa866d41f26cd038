"""What tests hand to a validator of certificates, and what comes of it."""

from collections.abc import Sequence
from datetime import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from axis.crypto.authority import Credential, key_usage
from axis.crypto.certificates import CertificateValidator
from axis.crypto.refusals import CertificateRefused

END_ENTITY = (x509.BasicConstraints(ca=False, path_length=None), True)
SIGNS = (key_usage(digital_signature=True), True)

Extensions = Sequence[tuple[x509.ExtensionType, bool]]


class RecordingSource:
    """A revocation source that counts what it is asked and knows revoked certificates by serial number."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.revoked: set[int] = set()

    def status(self, path: Sequence[x509.Certificate], at: datetime) -> str:
        """Answer `good`, or refuse a path with a revoked member."""
        self.asked.append([member.subject.rfc4514_string() for member in path])
        if self.revoked & {member.serial_number for member in path}:
            raise CertificateRefused("certificate-revoked", f"revoked before {at.isoformat()}")
        return "good"


def der(credential: Credential) -> bytes:
    """The certificate as DER."""
    return credential.certificate.public_bytes(Encoding.DER)


def named(name: str) -> x509.Name:
    """A distinguished name of a common name only."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def refusal(
    validator: CertificateValidator, leaf: bytes, at: datetime, chain: Sequence[bytes] = ()
) -> CertificateRefused:
    """The refusal that validation ends in."""
    with pytest.raises(CertificateRefused) as caught:
        validator.validate(leaf, chain, at)
    return caught.value
