"""Every algorithm and key off the allow-list is refused, however right its signature."""

from datetime import datetime
from hashlib import sha256

import pytest
from asn1crypto import algos
from asn1crypto import x509 as oracle_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from axis.crypto.algorithms import usable_key
from axis.crypto.authority import Credential, issue_signing, new_key
from axis.crypto.keys import SigningIdentity
from axis.crypto.refusals import SignatureRefused
from axis.crypto.signing import CmsSigner, verify_detached
from tests.unit.crypto.forge import (
    CONTENT,
    Structure,
    embedded,
    forged,
    identifying,
    refusal,
    replaced,
)

SHA1 = hashes.SHA1()  # noqa: S303 - what is attacked with


@pytest.mark.parametrize("kind", [1024, ec.SECP384R1(), ec.SECP256K1()], ids=["rsa-1024", "p-384", "k-256"])
def test_a_key_that_may_not_sign(authority: Credential, now: datetime, kind: ec.EllipticCurve | int) -> None:
    """Short RSA keys and other curves must be refused, however right the signature."""
    weak = issue_signing(authority, "H56.4", "Sở Công Thương tỉnh Thanh Hóa", now, key=new_key(kind))
    found = refusal(CmsSigner(SigningIdentity(weak.key, weak.certificate)).sign(CONTENT, now))
    assert found.reason == "algorithm-refused"


def _rsa_identity(authority: Credential, now: datetime) -> tuple[rsa.RSAPrivateKey, SigningIdentity]:
    key = new_key(2048)
    assert isinstance(key, rsa.RSAPrivateKey)
    credential = issue_signing(authority, "H56.6", "Sở Xây dựng tỉnh Thanh Hóa", now, key=key)
    return key, SigningIdentity(key, credential.certificate)


def test_pkcs1_padding_is_legacy(authority: Credential, now: datetime) -> None:
    """RSA PKCS#1 v1.5 with SHA-256 must be accepted, under either name, and flagged."""
    key, signer_identity = _rsa_identity(authority, now)
    for name in ("sha256_rsa", "rsassa_pkcs1v15"):

        def change(_signed: Structure, signer: Structure, name: str = name) -> None:
            signer["signature_algorithm"] = {"algorithm": name}

        signature = forged(
            signer_identity, now, change, sign=lambda a: key.sign(a, padding.PKCS1v15(), hashes.SHA256())
        )
        facts = verify_detached(CONTENT, signature)
        assert (facts.algorithm, facts.legacy) == ("rsa-pkcs1v15-sha256", True)


def test_pkcs1_padding_under_a_key_for_pss_alone(authority: Credential, now: datetime) -> None:
    """A certificate that restricts its key to PSS (RFC 4055 1.2) must not carry a PKCS#1 v1.5 signature."""
    key, plain = _rsa_identity(authority, now)
    certificate = oracle_x509.Certificate.load(plain.certificate.public_bytes(Encoding.DER))
    public = certificate["tbs_certificate"]["subject_public_key_info"]
    modulus = public["public_key"].parsed
    public["algorithm"] = {"algorithm": "rsassa_pss"}
    public["public_key"] = modulus
    restricted = SigningIdentity(key, x509.load_der_x509_certificate(certificate.dump(force=True)))
    assert verify_detached(CONTENT, CmsSigner(restricted).sign(CONTENT, now)).algorithm == "rsa-pss-sha256"

    def change(_signed: Structure, signer: Structure) -> None:
        signer["signature_algorithm"] = {"algorithm": "sha256_rsa"}

    signature = forged(
        restricted, now, change, sign=lambda a: key.sign(a, padding.PKCS1v15(), hashes.SHA256())
    )
    assert refusal(signature).reason == "algorithm-refused"


def test_rsa_with_sha1(authority: Credential, now: datetime) -> None:
    """RSA PKCS#1 v1.5 with SHA-1 must be refused as an algorithm."""
    key, signer_identity = _rsa_identity(authority, now)

    def change(_signed: Structure, signer: Structure) -> None:
        signer["signature_algorithm"] = {"algorithm": "sha1_rsa"}

    signature = forged(signer_identity, now, change, sign=lambda a: key.sign(a, padding.PKCS1v15(), SHA1))
    assert refusal(signature).reason == "algorithm-refused"


@pytest.mark.parametrize(
    ("outer", "mask", "salt"),
    [
        (hashes.SHA512(), hashes.SHA512(), 32),
        (hashes.SHA512(), hashes.SHA256(), 32),
        (hashes.SHA256(), hashes.SHA512(), 32),
        (hashes.SHA256(), SHA1, 32),
        (SHA1, SHA1, 20),
        (hashes.SHA256(), hashes.SHA256(), 0),
    ],
    ids=["sha512", "sha512-mgf1-sha256", "sha256-mgf1-sha512", "mgf1-sha1", "sha1", "no-salt"],
)
def test_pss_with_other_parameters(
    authority: Credential, now: datetime, outer: hashes.HashAlgorithm, mask: hashes.HashAlgorithm, salt: int
) -> None:
    """PSS with another hash, another mask hash or a short salt must be refused, however right the signature."""
    key, signer_identity = _rsa_identity(authority, now)

    def change(_signed: Structure, signer: Structure) -> None:
        parameters = algos.RSASSAPSSParams(
            {
                "hash_algorithm": {"algorithm": outer.name},
                "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": {"algorithm": mask.name}},
                "salt_length": salt,
            }
        )
        signer["signature_algorithm"] = {"algorithm": "rsassa_pss", "parameters": parameters}

    signature = forged(
        signer_identity, now, change, sign=lambda a: key.sign(a, padding.PSS(padding.MGF1(mask), salt), outer)
    )
    assert refusal(signature).reason == "algorithm-refused"


def test_a_public_exponent_that_makes_verifying_dear() -> None:
    """Anyone may make a certificate with a long exponent; a key with the longest usual one is taken."""
    modulus = rsa.generate_private_key(65537, 2048).public_key().public_numbers().n
    usable_key(rsa.RSAPublicNumbers(2**32 - 1, modulus).public_key(), SignatureRefused)
    with pytest.raises(SignatureRefused, match="an exponent of 33 bits"):
        usable_key(rsa.RSAPublicNumbers(2**32 + 1, modulus).public_key(), SignatureRefused)


def test_an_algorithm_for_another_type_of_key(identity: SigningIdentity, now: datetime) -> None:
    """An RSA algorithm over the signature of an EC key must be refused as an algorithm."""

    def change(_signed: Structure, signer: Structure) -> None:
        signer["signature_algorithm"] = {"algorithm": "sha256_rsa"}

    assert refusal(forged(identity, now, change)).reason == "algorithm-refused"


def test_ed25519(authority: Credential, identity: SigningIdentity, now: datetime) -> None:
    """A certificate with an Ed25519 key must be refused as an algorithm."""
    key = ed25519.Ed25519PrivateKey.generate()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(identity.certificate.subject)
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(identity.certificate.serial_number)
        .not_valid_before(identity.certificate.not_valid_before_utc)
        .not_valid_after(identity.certificate.not_valid_after_utc)
        .sign(authority.key, hashes.SHA256())
    ).public_bytes(Encoding.DER)

    def change(signed: Structure, signer: Structure) -> None:
        signed["certificates"] = embedded(certificate)
        replaced(signer, "signing_certificate_v2", [identifying(sha256(certificate).digest())])
        signer["signature_algorithm"] = {"algorithm": "ed25519"}

    assert refusal(forged(identity, now, change, sign=key.sign)).reason == "algorithm-refused"
