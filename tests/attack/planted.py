"""Certificates that are enrolled and valid, and the checker that a revoked one and a defect are planted in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from cryptography.hazmat.primitives import hashes

from axis.consumers.verify import CertificateChecker
from axis.crypto.authority import Credential
from axis.crypto.certificates import CertificateFacts
from axis.crypto.refusals import CertificateRefused


@dataclass(frozen=True, slots=True)
class Planted:
    """Certificates of the ward: one counts as revoked, a defect trips over the next, the last is only old."""

    revoked: Credential
    explosive: Credential
    old: Credential

    @property
    def traps(self) -> tuple[str, str]:
        """SHA-256 of the revoked and of the explosive certificate, in hexadecimal digits."""
        return fingerprint(self.revoked), fingerprint(self.explosive)


class PlantedChecker:
    """A certificate checker that knows the planted certificates.

    Args:
        genuine: judges all others.
        revoked: SHA-256 of the certificate that counts as revoked, in hexadecimal digits.
        explosive: SHA-256 of the one that raises what no checker should.
    """

    def __init__(self, genuine: CertificateChecker, revoked: str, explosive: str) -> None:
        self._genuine = genuine
        self._revoked = revoked
        self._explosive = explosive

    def validate(self, leaf: bytes, chain: Sequence[bytes], at: datetime) -> CertificateFacts:
        """Judge as the genuine checker does, but for the planted ones."""
        digest = sha256(leaf).hexdigest()
        if digest == self._revoked:
            raise CertificateRefused("certificate-revoked", "revoked for the sake of a test")
        if digest == self._explosive:
            raise ZeroDivisionError
        return self._genuine.validate(leaf, chain, at)


def fingerprint(credential: Credential) -> str:
    """SHA-256 of a certificate, in hexadecimal digits."""
    return credential.certificate.fingerprint(hashes.SHA256()).hex()
