"""The parts of Cryptographic Message Syntax (RFC 5652) and ESS (RFC 5035) that signatures of the axis use.

Reading is declared and strict DER: indefinite lengths, unsorted sets, trailing bytes and unknown fields are
all `ValueError`. The declarations are private to `axis.crypto`, because the library marks the interface
they rest on as unstable.
"""

from datetime import UTC, datetime
from typing import Annotated

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.asn1 import TLV, SetOf

from axis.crypto.algorithms import AlgorithmIdentifier

DATA_OID = x509.ObjectIdentifier("1.2.840.113549.1.7.1")
SIGNED_DATA_OID = x509.ObjectIdentifier("1.2.840.113549.1.7.2")
CONTENT_TYPE_OID = x509.ObjectIdentifier("1.2.840.113549.1.9.3")
MESSAGE_DIGEST_OID = x509.ObjectIdentifier("1.2.840.113549.1.9.4")
SIGNING_TIME_OID = x509.ObjectIdentifier("1.2.840.113549.1.9.5")
SIGNING_CERTIFICATE_OID = x509.ObjectIdentifier("1.2.840.113549.1.9.16.2.47")
"""id-aa-signingCertificateV2, RFC 5035 3."""

SEQUENCE = 0x30
SET = 0x31
INTEGER = 0x02
OCTET_STRING = 0x04
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
CONTEXT_0_PRIMITIVE = 0x80
CONTEXT_0 = 0xA0
CONTEXT_4 = 0xA4

BY_ISSUER_AND_SERIAL = 1
BY_KEY_IDENTIFIER = 3
"""Version of a SignerInfo by how it names its signer (RFC 5652 5.3); SignedData follows it (5.1)."""

UTC_TIME_YEARS = range(1950, 2050)

_SHORT_LENGTH = 0x80
_VERSIONS = {bytes((SEQUENCE,)): BY_ISSUER_AND_SERIAL, bytes((CONTEXT_0_PRIMITIVE,)): BY_KEY_IDENTIFIER}


@asn1.sequence
class Attribute:
    """Attribute (RFC 5652 5.3)."""

    type: x509.ObjectIdentifier
    values: SetOf[TLV]


@asn1.sequence
class SignerInfo:
    """SignerInfo (RFC 5652 5.3); what is only compared stays undecoded."""

    version: int
    signer: TLV
    digest_algorithm: AlgorithmIdentifier
    signed_attributes: Annotated[SetOf[Attribute] | None, asn1.Implicit(0)]
    signature_algorithm: TLV
    signature: bytes
    unsigned_attributes: Annotated[SetOf[TLV] | None, asn1.Implicit(1)]


@asn1.sequence
class EncapsulatedContent:
    """EncapsulatedContentInfo (RFC 5652 5.2); `content` is None in a detached signature."""

    type: x509.ObjectIdentifier
    content: Annotated[bytes | None, asn1.Explicit(0)]


@asn1.sequence
class SignedData:
    """SignedData (RFC 5652 5.1)."""

    version: int
    digest_algorithms: SetOf[AlgorithmIdentifier]
    encapsulated: EncapsulatedContent
    certificates: Annotated[SetOf[TLV] | None, asn1.Implicit(0)]
    revocation_lists: Annotated[SetOf[TLV] | None, asn1.Implicit(1)]
    signers: SetOf[SignerInfo]


@asn1.sequence
class ContentInfo:
    """ContentInfo (RFC 5652 3) around SignedData."""

    type: x509.ObjectIdentifier
    content: Annotated[SignedData, asn1.Explicit(0)]


@asn1.sequence
class IssuerSerial:
    """IssuerSerial (RFC 5035 5): GeneralNames, which hold one directoryName, and a serial number."""

    issuer: list[TLV]
    serial_number: int


@asn1.sequence
class CertificateIdentifier:
    """ESSCertIDv2 (RFC 5035 4); an absent hash algorithm means SHA-256."""

    hash_algorithm: AlgorithmIdentifier | None
    certificate_hash: bytes
    issuer_serial: IssuerSerial | None


@asn1.sequence
class SigningCertificate:
    """SigningCertificateV2 (RFC 5035 3); the first identifier is that of the signer's certificate."""

    certificates: list[CertificateIdentifier]
    policies: list[TLV] | None


def der(tag: int, *content: bytes) -> bytes:
    """Encode a tag, the definite length and the content, in DER."""
    length = sum(map(len, content))
    if length < _SHORT_LENGTH:
        return b"".join((bytes((tag, length)), *content))
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return b"".join((bytes((tag, _SHORT_LENGTH | len(octets))), octets, *content))


def attribute(oid: x509.ObjectIdentifier, value: bytes) -> bytes:
    """Encode an Attribute (RFC 5652 5.3) with one value, given as DER."""
    return der(SEQUENCE, asn1.encode_der(oid), der(SET, value))


def encoded_time(at: datetime) -> bytes:
    """Encode an aware time to the second, as UTCTime up to 2049 and GeneralizedTime from 2050 (RFC 5652 11.3)."""
    if at.tzinfo is None:
        raise ValueError(f"got {at.isoformat()} without a time zone; expected an aware time")
    utc = at.astimezone(UTC)
    if utc.year in UTC_TIME_YEARS:
        return der(UTC_TIME, utc.strftime("%y%m%d%H%M%SZ").encode())
    return der(GENERALIZED_TIME, utc.strftime("%Y%m%d%H%M%SZ").encode())


def issuer_and_serial(certificate: x509.Certificate) -> bytes:
    """Encode the IssuerAndSerialNumber (RFC 5652 10.2.4) of a certificate."""
    return der(SEQUENCE, certificate.issuer.public_bytes(), asn1.encode_der(certificate.serial_number))


def version_naming(signer: TLV) -> int:
    """The version of a SignerInfo that names its signer like this; 0, which no version is, for any other form."""
    return _VERSIONS.get(signer.tag_bytes, 0)


def issuer_serial(certificate: x509.Certificate) -> bytes:
    """Encode the IssuerSerial (RFC 5035 5) of a certificate: its issuer as a GeneralName, and its serial number."""
    issuer = der(CONTEXT_4, certificate.issuer.public_bytes())
    return der(SEQUENCE, der(SEQUENCE, issuer), asn1.encode_der(certificate.serial_number))
