"""A development certificate authority: keys and certificates out of names and times.

Pure but for the randomness of keys and serial numbers: no files, no clock; every time is an argument. The
certificates are shaped as the axis expects them from a real authority (RFC 5280), so whatever passes here
passes with certificates of the Government CA as far as the profile goes. It is not a CA for production: it
has no revocation and keeps its key in memory.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from axis.crypto.algorithms import PrivateKey
from axis.crypto.certificates import DOCUMENT_SIGNING

AUTHORITY_NAME = "Axis development CA"
LEAF_DAYS = 825
AUTHORITY_DAYS = 3650
BACKDATE = timedelta(hours=1)
"""Certificates start this much before they are made, so that a peer whose clock is behind accepts them."""

ORGANISATION_NAME_CHARACTERS = 64
"""ub-organization-name, RFC 5280 appendix A.1."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A private key and the certificate of its public half."""

    key: PrivateKey
    certificate: x509.Certificate

    def key_pem(self) -> bytes:
        """The private key as unencrypted PKCS#8 (`BEGIN PRIVATE KEY`), the form Kafka and OpenSSL both read."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def new_key(kind: ec.EllipticCurve | int | None = None) -> PrivateKey:
    """Make a private key.

    Args:
        kind: a curve, or the length of an RSA modulus in bits (>= 1024); ECDSA P-256 when not given.
    """
    if isinstance(kind, int):
        return rsa.generate_private_key(public_exponent=65537, key_size=kind)
    return ec.generate_private_key(kind or ec.SECP256R1())


def create_authority(now: datetime, *, name: str = AUTHORITY_NAME, days: int = AUTHORITY_DAYS) -> Credential:
    """Make a self-signed CA (ECDSA P-256, path length 0) that is valid for `days` from `now`.

    Args:
        now: aware time of making.
        name: common name of the CA.
        days: length of its validity.
    """
    key = new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        _builder(subject, subject, key, now, now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
    )
    return Credential(key, builder.sign(key, hashes.SHA256()))


def issue_signing(
    authority: Credential,
    code: str,
    name: str,
    now: datetime,
    *,
    key: PrivateKey | None = None,
    days: int = LEAF_DAYS,
) -> Credential:
    """Issue a certificate that signs documents for an organisation.

    Args:
        authority: the issuing CA.
        code: organisation code; becomes the common name.
        name: the organisation's name; becomes O, cut to the 64 characters RFC 5280 allows.
        now: aware time of issue.
        key: the organisation's key; a new P-256 key when not given.
        days: length of the validity, never beyond the CA's own.
    """
    organisation = unicodedata.normalize("NFC", name)[:ORGANISATION_NAME_CHARACTERS].rstrip()
    return issue(
        authority,
        x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
                x509.NameAttribute(NameOID.COMMON_NAME, code),
            ]
        ),
        now,
        key=key,
        days=days,
        extensions=[
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (key_usage(digital_signature=True, content_commitment=True), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION, DOCUMENT_SIGNING]), False),
        ],
    )


def issue_client(authority: Credential, code: str, now: datetime, *, days: int = LEAF_DAYS) -> Credential:
    """Issue a TLS client certificate; its subject is `CN=<code>` alone, which is the Kafka principal."""
    return issue(
        authority,
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, code)]),
        now,
        days=days,
        extensions=[
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (key_usage(digital_signature=True), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
        ],
    )


def issue_server(
    authority: Credential, name: str, hosts: Sequence[str], now: datetime, *, days: int = LEAF_DAYS
) -> Credential:
    """Issue a TLS server certificate that may also act as a client, as brokers do among themselves.

    Args:
        authority: the issuing CA.
        name: common name, for instance `broker`.
        hosts: DNS names and IP addresses that clients will dial; at least one.
        now: aware time of issue.
        days: length of the validity.
    """
    return issue(
        authority,
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        now,
        days=days,
        extensions=[
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (key_usage(digital_signature=True), True),
            (
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                False,
            ),
            (x509.SubjectAlternativeName([_general_name(host) for host in hosts]), False),
        ],
    )


def issue(
    authority: Credential,
    subject: x509.Name,
    now: datetime,
    *,
    key: PrivateKey | None = None,
    days: int = LEAF_DAYS,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Credential:
    """Issue a certificate with exactly these extensions, besides the subject and authority key identifiers.

    Args:
        authority: the issuing CA.
        subject: distinguished name of the holder.
        now: aware time of issue; the validity starts one hour earlier.
        key: the holder's key; a new P-256 key when not given.
        days: length of the validity, cut where the CA's own ends.
        extensions: pairs of (extension, critical).
    """
    key = key or new_key()
    until = min(now + timedelta(days=days), authority.certificate.not_valid_after_utc)
    identifier = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        _builder(subject, authority.certificate.subject, key, now, until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return Credential(key, builder.sign(authority.key, hashes.SHA256()))


def key_usage(
    *,
    digital_signature: bool = False,
    content_commitment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    """A keyUsage extension with the named bits set (RFC 5280 4.2.1.3); encryption bits are never set."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(until)
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
