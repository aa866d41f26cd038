"""Detached CAdES-B signatures (ETSI EN 319 122-1): CMS SignedData (RFC 5652) over bytes kept elsewhere.

Signing:

1.  signed attributes: content type, message digest, signing time, signing certificate
2.  signature over their DER, by the key of the identity
3.  SignedData with one SignerInfo and the certificates below the root

Verification, each step numbered again where it is done:

0.  caps: neither empty nor longer than `MAX_SIGNATURE_BYTES`
1.  strict DER of ContentInfo and SignedData: the type is signed-data, nothing is left over
2.  detached: the content type is id-data and there is no content inside
3.  exactly one SignerInfo, and versions that fit (RFC 5652 5.1, 5.3)
4.  the digest algorithm is SHA-256, in the SignedData and in the SignerInfo
5.  the signer's certificate: exactly one embedded certificate is the one that the SignerInfo names, and
    its key may sign documents
6.  signed attributes are there and are unique, with one value each; the content type is id-data
7.  the message digest is the SHA-256 of the content
8.  the signing certificate attribute names the certificate of step 5 by its SHA-256
9.  the signing time is there, in the form that RFC 5652 11.3 asks for
10. the signature algorithm is on the allow-list and fits the key; the signature over the DER of the
    signed attributes holds

What the caller still owes: that the certificate may be relied on (`axis.crypto.certificates`), that it is
the sender's, and that the signing time, which is the signer's own claim, is plausible. Unsigned attributes
and embedded revocation lists are not looked at. A signature's bytes identify nothing: with ECDSA (r, n - s)
verifies where (r, s) does, and unsigned attributes may be added by anyone.

Verification is safe to call from several threads.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.asn1 import TLV, GeneralizedTime, SetOf, UTCTime
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from axis.crypto import algorithms, cms
from axis.crypto.cms import der
from axis.crypto.keys import SigningIdentity
from axis.crypto.refusals import SignatureRefused, malformed
from axis.crypto.signers import signer_named
from axis.errors import Bilingual, Unavailable

MAX_SIGNATURE_BYTES = 32 * 1024
MAX_CERTIFICATES = 8

_SIGNED_DATA_DER = asn1.encode_der(cms.SIGNED_DATA_OID)
_DATA_DER = asn1.encode_der(cms.DATA_OID)

_UTC_TIME_TAG = bytes((cms.UTC_TIME,))
_CONTEXT_0_TAG = bytes((cms.CONTEXT_0,))

_DIGEST_HEAD = cms.attribute(cms.MESSAGE_DIGEST_OID, der(cms.OCTET_STRING, bytes(32)))[:-32]
"""The message-digest attribute up to the 32 bytes of the digest, whose length never changes."""


@dataclass(frozen=True, slots=True)
class SignatureFacts:
    """What a verified signature says; the certificates are not judged yet.

    Attributes:
        algorithm: `ecdsa-p256-sha256`, `rsa-pss-sha256` or `rsa-pkcs1v15-sha256`.
        legacy: whether the algorithm is accepted only for the sake of tokens in use.
        signing_time: when the signer claims to have signed, aware, in UTC.
        certificate: the signer's certificate, DER.
        chain: the other certificates embedded in the signature, DER.
    """

    algorithm: str
    legacy: bool
    signing_time: datetime
    certificate: bytes
    chain: tuple[bytes, ...]


class CmsSigner:
    """Signs for one identity; what does not change between signatures is encoded once.

    Args:
        identity: key and certificates; a self-issued certificate of the chain is left out of signatures,
            as a verifier takes its anchors from elsewhere.
    """

    def __init__(self, identity: SigningIdentity) -> None:
        self._key = identity.key
        certificate = identity.certificate
        embedded = {certificate, *(other for other in identity.chain if other.subject != other.issuer)}
        elliptic = isinstance(identity.key, ec.EllipticCurvePrivateKey)
        self._head = (
            asn1.encode_der(cms.BY_ISSUER_AND_SERIAL)
            + der(cms.SET, algorithms.SHA256_DER)
            + der(cms.SEQUENCE, _DATA_DER)
            + der(cms.CONTEXT_0, *sorted(each.public_bytes(Encoding.DER) for each in embedded))
        )
        self._signer_head = (
            asn1.encode_der(cms.BY_ISSUER_AND_SERIAL)
            + cms.issuer_and_serial(certificate)
            + algorithms.SHA256_DER
        )
        self._algorithm = algorithms.ECDSA_SHA256_DER if elliptic else algorithms.RSA_PSS_DER
        identifier = der(
            cms.SEQUENCE, der(cms.OCTET_STRING, sha256(certificate.public_bytes(Encoding.DER)).digest())
        )
        self._constant_attributes = (
            cms.attribute(cms.CONTENT_TYPE_OID, _DATA_DER),
            cms.attribute(cms.SIGNING_CERTIFICATE_OID, der(cms.SEQUENCE, der(cms.SEQUENCE, identifier))),
        )
        self._attributes_of: tuple[datetime | None, tuple[bytes, bytes]] = None, (b"", b"")

    def sign(self, content: bytes, at: datetime) -> bytes:
        """Sign bytes.

        Args:
            content: what is signed; it does not become part of the signature.
            at: the signing time that is claimed, aware; kept to the second.

        Returns:
            ContentInfo, DER.
        """
        # 1. Signed attributes.
        before, after = self._attributes(at.replace(microsecond=0))
        attributes = before + sha256(content).digest() + after
        # 2. The signature is over the attributes as SET OF, not as the [0] they travel under (RFC 5652 5.4).
        signature = algorithms.sign(self._key, attributes)
        # 3. Around it.
        signer = der(
            cms.SEQUENCE,
            self._signer_head,
            _CONTEXT_0_TAG,
            attributes[1:],
            self._algorithm,
            der(cms.OCTET_STRING, signature),
        )
        signed = der(cms.SEQUENCE, self._head, der(cms.SET, signer))
        return der(cms.SEQUENCE, _SIGNED_DATA_DER, der(cms.CONTEXT_0, signed))

    def _attributes(self, second: datetime) -> tuple[bytes, bytes]:
        """Return the DER SET OF signed attributes before and after the message digest.

        A router signs thousands of receipts within one second, which differ in the digest alone.
        """
        known = self._attributes_of
        if known[0] != second:
            time = cms.attribute(cms.SIGNING_TIME_OID, cms.encoded_time(second))
            # The digest's place does not depend on its value: the attributes differ before it.
            ordered = sorted((*self._constant_attributes, time, _DIGEST_HEAD + bytes(32)))
            encoded = der(cms.SET, *ordered)
            place = encoded.index(_DIGEST_HEAD) + len(_DIGEST_HEAD)
            known = self._attributes_of = second, (encoded[:place], encoded[place + 32 :])
        return known[1]


class ValidSigner:
    """Signs within the validity of its certificate alone: outside of it, nobody would accept the signature.

    Args:
        identity: key and certificates.

    Attributes:
        certificate_digest: SHA-256 of the certificate (DER), as enrolments name it.
    """

    def __init__(self, identity: SigningIdentity) -> None:
        self._signer = CmsSigner(identity)
        self._begins = identity.certificate.not_valid_before_utc
        self._ends = identity.certificate.not_valid_after_utc
        self.certificate_digest = sha256(identity.certificate.public_bytes(Encoding.DER)).digest()

    def sign(self, content: bytes, at: datetime) -> bytes:
        """Sign bytes, as `CmsSigner.sign` does.

        Raises:
            Unavailable: the certificate is not valid at that time.
        """
        if not self._begins <= at <= self._ends:
            raise Unavailable(
                Bilingual(
                    f"chứng thư ký có hiệu lực từ {self._begins:%d/%m/%Y} đến {self._ends:%d/%m/%Y} (UTC),"
                    f" đồng hồ máy là {at:%d/%m/%Y}: hãy gia hạn chứng thư hoặc chỉnh đồng hồ",
                    f"the signing certificate is valid from {self._begins:%Y-%m-%dT%H:%M:%SZ} to"
                    f" {self._ends:%Y-%m-%dT%H:%M:%SZ}, the clock says {at:%Y-%m-%dT%H:%M:%SZ}: have the certificate"
                    " renewed, or set the clock",
                )
            )
        return self._signer.sign(content, at)


def verify_detached(content: bytes, signature: bytes) -> SignatureFacts:
    """Verify a detached signature over bytes, by the steps listed at the head of this module.

    Args:
        content: what is claimed to be signed.
        signature: ContentInfo, DER.

    Returns:
        What the signature says. The certificates in it are not judged.

    Raises:
        SignatureRefused: `signature-missing` for no bytes at all, `signature-malformed`,
            `algorithm-refused`, or `signature-invalid` when content, certificate or attributes are not
            what was signed.
    """
    # 0. Caps.
    if not signature:
        raise SignatureRefused(
            "signature-missing", "got no signature; expected detached CMS SignedData in DER"
        )
    if len(signature) > MAX_SIGNATURE_BYTES:
        raise malformed(f"got {len(signature)} bytes", f"at most {MAX_SIGNATURE_BYTES}")
    # 1. to 4. The structure.
    signed, signer = _structure(signature)
    # 5. The signer's certificate.
    certificates = () if signed.certificates is None else signed.certificates.as_list()
    if len(certificates) > MAX_CERTIFICATES:
        raise malformed(f"got {len(certificates)} certificates", f"at most {MAX_CERTIFICATES}")
    named = signer_named(asn1.encode_der(signer.signer), tuple(map(asn1.encode_der, certificates)))
    # 6. to 9. The signed attributes.
    if signer.signed_attributes is None:
        raise malformed("got no signed attributes", "those of CAdES-B")
    values = _attribute_values(signer.signed_attributes)
    _check_message_digest(values, content)
    named.check_named_by(asn1.encode_der(_value(values, cms.SIGNING_CERTIFICATE_OID)))
    signing_time = _signing_time(values)
    # 10. The signature over the DER of the attributes as SET OF (RFC 5652 5.4), which encode_der gives.
    scheme = algorithms.scheme_of(asn1.encode_der(signer.signature_algorithm))
    named.check_scheme(scheme)
    scheme.verify(named.key, signer.signature, asn1.encode_der(signer.signed_attributes))
    return SignatureFacts(scheme.name, scheme.legacy, signing_time, named.certificate, named.others)


def _structure(signature: bytes) -> tuple[cms.SignedData, cms.SignerInfo]:
    # 1. Strict DER.
    try:
        outer = asn1.decode_der(cms.ContentInfo, signature)
    except ValueError as error:
        raise malformed(
            "got bytes that are not SignedData in DER", "detached CMS SignedData in DER"
        ) from error
    signed = outer.content
    if outer.type != cms.SIGNED_DATA_OID:
        raise malformed(f"got content type {outer.type.dotted_string}", "signed-data")
    # 2. Detached.
    if signed.encapsulated.content is not None:
        raise malformed("got a signature with content inside", "a detached one")
    if signed.encapsulated.type != cms.DATA_OID:
        raise malformed(f"got signed content of type {signed.encapsulated.type.dotted_string}", "id-data")
    # 3. One signer.
    signers = signed.signers.as_list()
    if len(signers) != 1:
        raise malformed(f"got {len(signers)} signers", "exactly one")
    if signed.version != signers[0].version or signed.version != cms.version_naming(signers[0].signer):
        raise malformed(
            f"got SignedData version {signed.version} and SignerInfo version {signers[0].version}",
            "both 1 with issuer and serial number, or both 3 with a subject key identifier",
        )
    # 4. SHA-256.
    digests = [identifier.algorithm for identifier in signed.digest_algorithms.as_list()]
    if len(digests) != 1:
        raise malformed(f"got {len(digests)} digest algorithms", "exactly one")
    for digest in (*digests, signers[0].digest_algorithm.algorithm):
        if digest != algorithms.SHA256_OID:
            raise SignatureRefused(
                "algorithm-refused", f"got digest algorithm {digest.dotted_string}; expected SHA-256"
            )
    return signed, signers[0]


def _attribute_values(attributes: SetOf[cms.Attribute]) -> Mapping[x509.ObjectIdentifier, SetOf[TLV]]:
    # 6. Unique attributes; the content type is id-data.
    listed = attributes.as_list()
    values = {attribute.type: attribute.values for attribute in listed}
    if len(values) != len(listed):
        raise malformed("got a signed attribute twice", "each once")
    if asn1.encode_der(_value(values, cms.CONTENT_TYPE_OID)) != _DATA_DER:
        raise malformed("got a content-type attribute that differs from the content type", "id-data in both")
    return values


def _value(values: Mapping[x509.ObjectIdentifier, SetOf[TLV]], oid: x509.ObjectIdentifier) -> TLV:
    found = values[oid].as_list() if oid in values else []
    if len(found) != 1:
        raise malformed(f"got {len(found)} values of the signed attribute {oid.dotted_string}", "exactly one")
    return found[0]


def _check_message_digest(values: Mapping[x509.ObjectIdentifier, SetOf[TLV]], content: bytes) -> None:
    # 7. The digest of the content.
    got = asn1.encode_der(_value(values, cms.MESSAGE_DIGEST_OID))
    if not hmac.compare_digest(got, der(cms.OCTET_STRING, sha256(content).digest())):
        raise SignatureRefused(
            "signature-invalid",
            "the message digest is not the SHA-256 of the content: publish the very bytes that were signed",
        )


def _signing_time(values: Mapping[x509.ObjectIdentifier, SetOf[TLV]]) -> datetime:
    # 9. The signing time.
    encoded = _value(values, cms.SIGNING_TIME_OID)
    form = UTCTime if encoded.tag_bytes == _UTC_TIME_TAG else GeneralizedTime
    try:
        time: datetime = encoded.parse(form).as_datetime()
    except ValueError as error:
        raise malformed("got an unreadable signing time", "UTCTime or GeneralizedTime in DER") from error
    if form is GeneralizedTime and (time.year in cms.UTC_TIME_YEARS or time.microsecond):
        raise malformed(
            f"got signing time {time.isoformat()} as GeneralizedTime",
            "UTCTime up to 2049, and no fractions of a second",
        )
    return time
