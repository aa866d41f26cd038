"""The signer of a CMS signature: which embedded certificate it is, read once and kept.

An organisation signs with the same certificate for years, so parsing it again for each message would be
the larger part of a verification. The caches hold pure results by the exact bytes that they follow from.
"""

import hmac
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.x509.oid import SignatureAlgorithmOID

from axis.crypto import algorithms, cms
from axis.crypto.algorithms import PublicKey, Scheme, usable_key
from axis.crypto.keys import UNREADABLE
from axis.crypto.refusals import SignatureRefused, malformed

_KEPT = 1024
"""Signers and attributes that stay read: several times the organisations of a province. What is kept is bounded in
bytes by the cap on a signature, because anyone may submit."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A signer's certificate with what verification needs of it.

    Attributes:
        certificate: DER.
        others: the other embedded certificates, DER, in their order.
        key: the certificate's public key, of a type and length that may sign.
        sha256: digest of `certificate`.
        issuer_serial: the IssuerSerial (RFC 5035 5) that names it, DER.
        pss_only: whether the certificate restricts the key to RSASSA-PSS (RFC 4055 1.2).
    """

    certificate: bytes
    others: tuple[bytes, ...]
    key: PublicKey
    sha256: bytes
    issuer_serial: bytes
    pss_only: bool

    def check_named_by(self, attribute_value: bytes) -> None:
        """Check that a SigningCertificateV2 (DER) names this certificate.

        Raises:
            SignatureRefused: `signature-malformed`; `algorithm-refused` for a digest other than SHA-256;
                `signature-invalid` when another certificate is named.
        """
        digest, issuer_serial = _first_identifier(attribute_value)
        if not hmac.compare_digest(digest, self.sha256) or issuer_serial not in {b"", self.issuer_serial}:
            raise SignatureRefused(
                "signature-invalid",
                "the signing certificate attribute names another certificate than the signature carries: "
                "embed the certificate that was signed with",
            )

    def check_scheme(self, scheme: Scheme) -> None:
        """Check that the certificate lets its key be used with a scheme.

        Raises:
            SignatureRefused: `algorithm-refused`.
        """
        if self.pss_only and scheme is algorithms.RSA_PKCS1_SHA256:
            raise SignatureRefused(
                "algorithm-refused",
                "got RSA PKCS#1 v1.5; expected RSASSA-PSS, as the certificate restricts its key",
            )


@lru_cache(maxsize=_KEPT)
def signer_named(name: bytes, certificates: tuple[bytes, ...]) -> Signer:
    """Find the signer's certificate among the embedded ones.

    Args:
        name: SignerIdentifier (RFC 5652 5.3), DER: issuer and serial number, or a subject key identifier.
        certificates: the embedded certificates, DER.

    Raises:
        SignatureRefused: `signature-malformed` unless exactly one certificate has that name;
            `algorithm-refused` when its key may not sign documents.
    """
    try:
        parsed = {encoded: x509.load_der_x509_certificate(encoded) for encoded in certificates}
        named = [encoded for encoded, certificate in parsed.items() if name in _names(certificate)]
    except UNREADABLE as error:
        raise malformed("got an unreadable embedded certificate", "X.509 certificates only") from error
    if len(named) != 1 or len(parsed) != len(certificates):
        raise malformed(
            f"got {len(named)} certificates of the signer among {len(certificates)} embedded",
            "exactly one, and none twice",
        )
    certificate = parsed[named[0]]
    try:
        key = usable_key(certificate.public_key(), SignatureRefused)
    except (UnsupportedAlgorithm, ValueError) as error:
        raise SignatureRefused(
            "algorithm-refused", "got a certificate with an unknown type of key; expected EC P-256 or RSA"
        ) from error
    return Signer(
        certificate=named[0],
        others=tuple(encoded for encoded in certificates if encoded != named[0]),
        key=key,
        sha256=sha256(named[0]).digest(),
        issuer_serial=cms.issuer_serial(certificate),
        pss_only=certificate.public_key_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS,
    )


def _names(certificate: x509.Certificate) -> set[bytes]:
    names = {cms.issuer_and_serial(certificate)}
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.SubjectKeyIdentifier):
            names.add(cms.der(cms.CONTEXT_0_PRIMITIVE, extension.value.digest))
    return names


@lru_cache(maxsize=_KEPT)
def _first_identifier(attribute_value: bytes) -> tuple[bytes, bytes]:
    """The digest and the IssuerSerial (DER, empty when absent) of the first ESSCertIDv2 (RFC 5035 3)."""
    try:
        identifiers = asn1.decode_der(cms.SigningCertificate, attribute_value).certificates
    except ValueError as error:
        raise malformed("got an unreadable signing certificate attribute", "SigningCertificateV2") from error
    if not identifiers:
        raise malformed("got an empty signing certificate attribute", "SigningCertificateV2")
    first = identifiers[0]
    if first.hash_algorithm is not None and first.hash_algorithm.algorithm != algorithms.SHA256_OID:
        raise SignatureRefused(
            "algorithm-refused",
            f"got a signing certificate attribute with digest {first.hash_algorithm.algorithm.dotted_string}; "
            "expected SHA-256",
        )
    return first.certificate_hash, b"" if first.issuer_serial is None else asn1.encode_der(
        first.issuer_serial
    )
