"""May this certificate sign documents, at that moment?

Steps, each numbered again where it is done:

1.  caps and form: sizes, number of certificates and extensions, a positive serial number, a key that may sign
2.  time: the certificate is valid at the moment
3.  use: not a CA; keyUsage digitalSignature or contentCommitment, never keyCertSign; extKeyUsage, when
    there is one, with a purpose that covers documents
4.  path (RFC 5280 6.1): to a configured anchor, every member valid at the moment; anchors are never taken
    from a message
5.  revocation, by the source that was given

What the caller still owes: that the certificate is enrolled for the sender. Names are not compared.

A verdict is kept and reused while the moment stays within the validity of every certificate of the path and
within `cache_seconds` of the moment it was reached for. Validation is safe to call from several threads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from threading import Lock
from typing import Final, Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from axis.crypto.algorithms import RSA_BITS, RSA_EXPONENT_BITS, usable_key
from axis.crypto.keys import UNREADABLE, load_certificates
from axis.crypto.refusals import CertificateRefused
from axis.errors import Bilingual, ConfigurationError

MAX_CERTIFICATE_BYTES = 16 * 1024
MAX_CHAIN_CERTIFICATES = 4
"""Besides the signer's: anyone may embed them, and a path is looked for among all of them."""
MAX_EXTENSIONS = 32
MAX_DEPTH = 2
"""CA certificates between the signer's certificate and the anchor; the Government CA needs one."""

DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
"""id-kp-documentSigning, RFC 9336."""

DOCUMENT_PURPOSES = frozenset(
    {
        ExtendedKeyUsageOID.EMAIL_PROTECTION,
        DOCUMENT_SIGNING,
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.SMARTCARD_LOGON,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    }
)
"""Purposes that cover signing documents: the certificates of Government CA tokens name the 1st, 3rd and 4th."""

_KEPT_VERDICTS = 4096


class RevocationSource(Protocol):
    """Answers whether a path was revoked at a moment."""

    def status(self, path: Sequence[x509.Certificate], at: datetime) -> str:
        """Return what is known about the certificates of a path, as a text that receipts record.

        Args:
            path: a verified path, the signer's certificate first, the anchor last.
            at: the moment asked about, aware.

        Raises:
            CertificateRefused: a certificate of the path was revoked at that moment.
        """


class RevocationNotChecked:
    """Implements `RevocationSource` where none is configured, and says so: the status is `not-checked`."""

    def status(self, path: Sequence[x509.Certificate], at: datetime) -> str:  # noqa: ARG002 - the protocol's
        """Return `not-checked`."""
        return "not-checked"


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What is known about a certificate that was accepted.

    Attributes:
        sha256: digest of the certificate's DER, 32 bytes.
        revocation: what the revocation source said.
    """

    sha256: bytes
    revocation: str


@dataclass(frozen=True, slots=True)
class _Verdict:
    facts: CertificateFacts
    holds_from: datetime
    holds_until: datetime


class CertificateValidator:
    """Validates certificates against fixed anchors.

    Args:
        anchors: CA certificates that are trusted, each PEM text or DER.
        revocation: asked about every accepted path.
        cache_seconds: how far from the moment it was reached for a verdict is reused.

    Raises:
        ConfigurationError: there is no anchor, or one is unreadable or not a CA certificate.
    """

    def __init__(
        self, anchors: Sequence[bytes], *, revocation: RevocationSource, cache_seconds: float = 300.0
    ) -> None:
        self._anchors = [certificate for anchor in anchors for certificate in load_certificates(anchor)]
        _check_anchors(self._anchors)
        self._store: Final = Store(self._anchors)
        self._revocation = revocation
        self._reuse = timedelta(seconds=cache_seconds)
        self._verdicts: dict[tuple[bytes, tuple[bytes, ...]], _Verdict] = {}
        self._lock = Lock()

    def validate(self, leaf: bytes, chain: Sequence[bytes], at: datetime) -> CertificateFacts:
        """Judge a signer's certificate.

        Args:
            leaf: the certificate, DER.
            chain: other certificates from the message, DER; they may serve as intermediates, never as anchors.
            at: the moment asked about, aware.

        Raises:
            CertificateRefused: `algorithm-refused`, `certificate-expired` (also: not yet valid),
                `certificate-usage` or `certificate-untrusted`.
        """
        key = (leaf, tuple(chain))
        # A dictionary's lookup is atomic; the lock is for its writers.
        verdict = self._verdicts.get(key)
        if verdict is not None and verdict.holds_from <= at <= verdict.holds_until:
            return verdict.facts
        verdict = self._judge(*key, at)
        with self._lock:
            self._verdicts.pop(key, None)
            if len(self._verdicts) >= _KEPT_VERDICTS:
                del self._verdicts[next(iter(self._verdicts))]
            self._verdicts[key] = verdict
        return verdict.facts

    def _judge(self, leaf: bytes, chain: tuple[bytes, ...], at: datetime) -> _Verdict:
        if len(chain) > MAX_CHAIN_CERTIFICATES:
            raise CertificateRefused(
                "certificate-untrusted",
                f"got {len(chain)} other certificates; expected at most {MAX_CHAIN_CERTIFICATES}",
            )
        certificate, *intermediates = (_parsed(encoded) for encoded in (leaf, *chain))
        _check_form(certificate)
        for each in intermediates:
            _check_cost(each)
        _check_time(certificate, at)
        _check_use(certificate)
        path = self._path(certificate, intermediates, at)
        # 5. Revocation.
        status = self._revocation.status(path, at)
        return _Verdict(
            CertificateFacts(sha256(leaf).digest(), status),
            max(at - self._reuse, *(member.not_valid_before_utc for member in path)),
            min(at + self._reuse, *(member.not_valid_after_utc for member in path)),
        )

    def _path(
        self, certificate: x509.Certificate, intermediates: list[x509.Certificate], at: datetime
    ) -> list[x509.Certificate]:
        # 4. A path to an anchor.
        verifier = (
            PolicyBuilder()
            .store(self._store)
            .time(at.astimezone(UTC))
            .max_chain_depth(MAX_DEPTH)
            .extension_policies(ca_policy=_CA_POLICY, ee_policy=_SIGNER_POLICY)
            .build_client_verifier()
        )
        try:
            return verifier.verify(certificate, intermediates).chain
        except VerificationError as error:
            issuers = {member.issuer for member in (certificate, *intermediates)}
            above = [*intermediates, *(anchor for anchor in self._anchors if anchor.subject in issuers)]
            for member in above:
                _check_time(member, at)
            raise CertificateRefused(
                "certificate-untrusted",
                f"no path from {certificate.subject.rfc4514_string()!a:.80} to one of "
                f"{len(self._anchors)} anchors ({error}): embed the issuing CA's certificate, "
                "or have the certificate issued by an authority that the axis trusts",
            ) from error


def _parsed(encoded: bytes) -> x509.Certificate:
    # 1. Caps and form of every certificate.
    if len(encoded) > MAX_CERTIFICATE_BYTES:
        raise CertificateRefused(
            "certificate-untrusted",
            f"got a certificate of {len(encoded)} bytes; expected at most {MAX_CERTIFICATE_BYTES}",
        )
    try:
        certificate = x509.load_der_x509_certificate(encoded)
        extensions = len(certificate.extensions)
    except UNREADABLE as error:
        raise CertificateRefused(
            "certificate-untrusted", f"got an unreadable certificate ({error}); expected X.509 v3 in DER"
        ) from error
    if extensions > MAX_EXTENSIONS:
        raise CertificateRefused(
            "certificate-untrusted", f"got {extensions} extensions; expected at most {MAX_EXTENSIONS}"
        )
    return certificate


def _check_cost(certificate: x509.Certificate) -> None:
    # 1. Of a CA: a key with which verifying costs no more than with those in use.
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return  # no path leads over it
    if isinstance(key, rsa.RSAPublicKey) and (
        key.key_size not in RSA_BITS or key.public_numbers().e.bit_length() > RSA_EXPONENT_BITS
    ):
        raise CertificateRefused(
            "algorithm-refused",
            f"got a CA with an RSA key of {key.key_size} bits and an exponent of"
            f" {key.public_numbers().e.bit_length()}; expected {RSA_BITS.start} to {RSA_BITS.stop - 1}, and 65537",
        )


def _check_form(certificate: x509.Certificate) -> None:
    # 1. The signer's own: a positive serial number (RFC 5280 4.1.2.2) and a key that may sign.
    if certificate.serial_number <= 0:
        raise CertificateRefused(
            "certificate-untrusted", f"got serial number {certificate.serial_number}; expected a positive one"
        )
    try:
        usable_key(certificate.public_key(), CertificateRefused)
    except (UnsupportedAlgorithm, ValueError) as error:
        raise CertificateRefused(
            "algorithm-refused", "got a certificate with an unknown type of key; expected EC P-256 or RSA"
        ) from error


def _check_time(certificate: x509.Certificate, at: datetime) -> None:
    # 2. Valid at the moment.
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        raise CertificateRefused(
            "certificate-expired",
            f"{certificate.subject.rfc4514_string()!a:.80} is valid from "
            f"{certificate.not_valid_before_utc.isoformat()} to {certificate.not_valid_after_utc.isoformat()}, "
            f"not at {at.isoformat()}: sign with a certificate that is valid",
        )


def _check_use(certificate: x509.Certificate) -> None:
    # 3. May sign documents. Certificates of the Government CA carry contentCommitment alone, or both.
    extensions = {type(extension.value): extension.value for extension in certificate.extensions}
    constraints = extensions.get(x509.BasicConstraints)
    if isinstance(constraints, x509.BasicConstraints) and constraints.ca:
        raise CertificateRefused(
            "certificate-usage", "got a CA certificate as signer's; expected an end entity's"
        )
    usage = extensions.get(x509.KeyUsage)
    if not isinstance(usage, x509.KeyUsage) or usage.key_cert_sign:
        got = "no keyUsage" if usage is None else "keyUsage keyCertSign"
        raise CertificateRefused(
            "certificate-usage",
            f"got {got}; expected digitalSignature or contentCommitment, and not keyCertSign",
        )
    if not usage.digital_signature and not usage.content_commitment:
        raise CertificateRefused(
            "certificate-usage", "got another keyUsage; expected digitalSignature or contentCommitment"
        )
    purposes = extensions.get(x509.ExtendedKeyUsage)
    if isinstance(purposes, x509.ExtendedKeyUsage) and DOCUMENT_PURPOSES.isdisjoint(purposes):
        raise CertificateRefused(
            "certificate-usage",
            f"got extKeyUsage {', '.join(purpose.dotted_string for purpose in purposes)}; expected one of "
            f"{', '.join(sorted(purpose.dotted_string for purpose in DOCUMENT_PURPOSES))}",
        )


def _check_anchors(anchors: Sequence[x509.Certificate]) -> None:
    if not anchors:
        raise ConfigurationError(
            Bilingual(
                "CA của chứng thư ký số: chưa có; cần ít nhất một chứng thư CA",
                "trust anchors: got none; expected at least one CA certificate",
            )
        )
    faults = [
        Bilingual(
            f"CA của chứng thư ký số: {anchor.subject.rfc4514_string()!a:.80} không phải chứng thư CA; cần"
            " basicConstraints CA:TRUE: hãy khai báo chứng thư của CA đã cấp chứng thư ký số",
            f"trust anchors: {anchor.subject.rfc4514_string()!a:.80} is not a CA certificate; "
            "expected basicConstraints CA:TRUE: configure the certificate of the issuing authority",
        )
        for anchor in anchors
        if not any(
            isinstance(extension.value, x509.BasicConstraints) and extension.value.ca
            for extension in anchor.extensions
        )
    ]
    if faults:
        raise ConfigurationError(*faults)


def _require_certificate_signing(
    _policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None
) -> None:
    # The library asks a CA for basicConstraints, path length and key strength, not for this (RFC 5280 4.2.1.3).
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("a CA certificate lacks keyUsage keyCertSign")


# Criticality is left to the issuers: certificates in use differ in it. Certificate policies may be critical.
_SIGNER_POLICY = ExtensionPolicy.permit_all().may_be_present(
    x509.CertificatePolicies, Criticality.AGNOSTIC, None
)
_CA_POLICY = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _require_certificate_signing)
    .may_be_present(x509.CertificatePolicies, Criticality.AGNOSTIC, None)
)
