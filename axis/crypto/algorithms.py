"""The allow-list of signature algorithms: exact AlgorithmIdentifiers, each bound to one type of key.

Circular 15/2025/TT-BKHCN annex I: ECDSA, and RSA with PSS padding; RSA PKCS#1 v1.5 is what tokens in use
make and is accepted as legacy. Whatever is not on the list is refused, whether or not it is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import PublicKeyAlgorithmOID, SignatureAlgorithmOID

from axis.crypto.refusals import SignatureRefused
from axis.errors import Refused

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

SHA256_OID = x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1")
MGF1_OID = x509.ObjectIdentifier("1.2.840.113549.1.1.8")
RSA_ENCRYPTION_OID = PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5

RSA_BITS = range(2048, 8192 + 1)
"""Accepted lengths of an RSA modulus; the upper end bounds the cost of one verification."""

RSA_EXPONENT_BITS = 32
"""The longest public exponent; the usual one has 17."""

PSS_SALT_BYTES = range(20, 478 + 1)
"""Accepted lengths of a PSS salt: from the default of RFC 4055 to the most that a 4096-bit key can hold."""

PSS_SALT_BYTES_MADE = 32


@asn1.sequence
class AlgorithmIdentifier:
    """AlgorithmIdentifier (RFC 5280 4.1.1.2) whose parameters are NULL or absent."""

    algorithm: x509.ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class MaskGeneration:
    """The AlgorithmIdentifier of MGF1, whose parameters name its hash (RFC 4055 2.2)."""

    algorithm: x509.ObjectIdentifier
    parameters: AlgorithmIdentifier


@asn1.sequence
class PssParameters:
    """RSASSA-PSS-params (RFC 4055 3.1); an absent hash or mask means SHA-1 there, so both are wanted here."""

    hash_algorithm: Annotated[AlgorithmIdentifier, asn1.Explicit(0)]
    mask_generation: Annotated[MaskGeneration, asn1.Explicit(1)]
    salt_length: Annotated[int, asn1.Explicit(2), asn1.Default(20)]
    trailer_field: Annotated[int, asn1.Explicit(3), asn1.Default(1)]


@asn1.sequence
class PssIdentifier:
    """The AlgorithmIdentifier of RSASSA-PSS."""

    algorithm: x509.ObjectIdentifier
    parameters: PssParameters


@dataclass(frozen=True, slots=True)
class Scheme:
    """A signature scheme that is on the allow-list.

    Attributes:
        name: how facts and receipts call it.
        legacy: accepted for the sake of tokens in use, never made.
        padding: RSA padding; None for ECDSA.
    """

    name: str
    legacy: bool
    padding: padding.AsymmetricPadding | None

    def verify(self, key: PublicKey, signature: bytes, content: bytes) -> None:
        """Verify a signature over `content`.

        An ECDSA signature (r, s) is as good as (r, n - s): the signature's bytes therefore identify nothing.

        Raises:
            SignatureRefused: `algorithm-refused` when the key is not of the scheme's type,
                `signature-invalid` when the signature does not hold.
        """
        try:
            if self.padding is None and isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(signature, content, _ECDSA)
            elif self.padding is not None and isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, content, self.padding, _SHA256)
            else:
                raise SignatureRefused(
                    "algorithm-refused",
                    f"the signature says {self.name}, which is not for the certificate's key",
                )
        except InvalidSignature as error:
            raise SignatureRefused(
                "signature-invalid",
                "the signature does not hold under the key of its certificate: "
                "sign again, and publish the bytes that were signed",
            ) from error


_SHA256 = hashes.SHA256()
_ECDSA = ec.ECDSA(_SHA256)
_PSS_MADE = padding.PSS(padding.MGF1(_SHA256), PSS_SALT_BYTES_MADE)

ECDSA_SHA256 = Scheme("ecdsa-p256-sha256", legacy=False, padding=None)
RSA_PKCS1_SHA256 = Scheme("rsa-pkcs1v15-sha256", legacy=True, padding=padding.PKCS1v15())


def rsa_pss_sha256(salt_bytes: int) -> Scheme:
    """The scheme RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of exactly `salt_bytes`."""
    return Scheme("rsa-pss-sha256", legacy=False, padding=padding.PSS(padding.MGF1(_SHA256), salt_bytes))


def _identifier(oid: x509.ObjectIdentifier, parameters: asn1.Null | None = None) -> bytes:
    return asn1.encode_der(AlgorithmIdentifier(algorithm=oid, parameters=parameters))


# RFC 5754 2: written without parameters, though read with NULL as well.
SHA256_DER = _identifier(SHA256_OID)
ECDSA_SHA256_DER = _identifier(SignatureAlgorithmOID.ECDSA_WITH_SHA256)
RSA_PSS_DER = asn1.encode_der(
    PssIdentifier(
        algorithm=SignatureAlgorithmOID.RSASSA_PSS,
        parameters=PssParameters(
            hash_algorithm=AlgorithmIdentifier(algorithm=SHA256_OID, parameters=asn1.Null()),
            mask_generation=MaskGeneration(
                algorithm=MGF1_OID,
                parameters=AlgorithmIdentifier(algorithm=SHA256_OID, parameters=asn1.Null()),
            ),
            salt_length=PSS_SALT_BYTES_MADE,
            trailer_field=1,
        ),
    )
)

_FIXED: Mapping[bytes, Scheme] = MappingProxyType(
    {
        ECDSA_SHA256_DER: ECDSA_SHA256,
        **{
            _identifier(oid, parameters): RSA_PKCS1_SHA256
            for oid in (RSA_ENCRYPTION_OID, SignatureAlgorithmOID.RSA_WITH_SHA256)
            for parameters in (None, asn1.Null())
        },
    }
)


def sign(key: PrivateKey, content: bytes) -> bytes:
    """Sign as the axis signs: ECDSA, or RSASSA-PSS with a salt as long as the digest; with SHA-256 in both."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(content, _ECDSA)
    return key.sign(content, _PSS_MADE, _SHA256)


@lru_cache(maxsize=64)
def scheme_of(identifier: bytes) -> Scheme:
    """Look up the DER of a signatureAlgorithm in the allow-list.

    Raises:
        SignatureRefused: `algorithm-refused`.
    """
    if identifier in _FIXED:
        return _FIXED[identifier]
    try:
        pss = asn1.decode_der(PssIdentifier, identifier)
    except ValueError as error:
        raise SignatureRefused("algorithm-refused", _expected("an algorithm off the list")) from error
    parameters = pss.parameters
    mask = parameters.mask_generation
    if (
        pss.algorithm != SignatureAlgorithmOID.RSASSA_PSS
        or parameters.hash_algorithm.algorithm != SHA256_OID
        or mask.algorithm != MGF1_OID
        or mask.parameters.algorithm != SHA256_OID
        or parameters.salt_length not in PSS_SALT_BYTES
        or parameters.trailer_field != 1
    ):
        raise SignatureRefused("algorithm-refused", _expected("RSASSA-PSS with other parameters"))
    return rsa_pss_sha256(parameters.salt_length)


def _expected(got: str) -> str:
    return (
        f"got a signature by {got}; expected ECDSA P-256 with SHA-256, or RSA with PSS "
        f"(SHA-256, MGF1 with SHA-256, salt of at least {PSS_SALT_BYTES.start} bytes) or PKCS#1 v1.5 with SHA-256"
    )


def usable_key(key: object, refusal: type[Refused]) -> PublicKey:
    """Return a public key that may sign documents: EC P-256, or RSA within `RSA_BITS`.

    Raises:
        Refused: of the class `refusal`, with reason `algorithm-refused`, for any other key.
    """
    match key:
        case ec.EllipticCurvePublicKey():
            if isinstance(key.curve, ec.SECP256R1):
                return key
            got = f"an EC key on {key.curve.name}"
        case rsa.RSAPublicKey():
            if key.key_size not in RSA_BITS:
                got = f"an RSA key of {key.key_size} bits"
            elif key.public_numbers().e.bit_length() > RSA_EXPONENT_BITS:
                # Verifying costs as much as the exponent is long, and anyone may make a certificate.
                got = f"an RSA key with an exponent of {key.public_numbers().e.bit_length()} bits"
            else:
                return key
        case _:
            got = f"a key of type {type(key).__name__}"
    raise refusal(
        "algorithm-refused",
        f"got {got}; expected EC P-256, or RSA of {RSA_BITS.start} to {RSA_BITS.stop - 1} bits: "
        "have a new key certified",
    )
