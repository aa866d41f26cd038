"""Reading a signing identity, and what an operator is told when it cannot be read."""

from datetime import datetime

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from axis.crypto.authority import Credential, issue_signing, new_key
from axis.crypto.keys import load_certificates, load_identity
from axis.errors import ConfigurationError

PASSPHRASE = b"mat-khau-cua-khoa"


@pytest.fixture
def credential(authority: Credential, now: datetime) -> Credential:
    """A signing certificate with its key."""
    return issue_signing(authority, "H56.10", "Sở Văn hóa, Thể thao và Du lịch", now)


def encrypted(credential: Credential) -> bytes:
    """The key as PKCS#8 under `PASSPHRASE`."""
    return credential.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(PASSPHRASE),
    )


def fault(pem: bytes, passphrase: bytes | None = None) -> str:
    """What a configuration error says."""
    with pytest.raises(ConfigurationError) as caught:
        load_identity(pem, passphrase=passphrase)
    return str(caught.value)


def test_the_order_of_the_blocks_does_not_matter(credential: Credential, authority: Credential) -> None:
    """Key, certificate and chain must be told apart by what they are, not by where they stand."""
    blocks = [credential.key_pem(), credential.certificate_pem(), authority.certificate_pem()]
    for pem in (b"".join(blocks), b"".join(reversed(blocks))):
        identity = load_identity(pem)
        assert identity.certificate == credential.certificate
        assert identity.chain == (authority.certificate,)
        assert identity.key.public_key() == credential.key.public_key()


def test_an_encrypted_key_opens_with_its_passphrase(credential: Credential) -> None:
    """The passphrase must open the key."""
    identity = load_identity(encrypted(credential) + credential.certificate_pem(), passphrase=PASSPHRASE)
    assert identity.key.public_key() == credential.key.public_key()


def test_passphrases_that_do_not_fit(credential: Credential) -> None:
    """A missing, wrong or needless passphrase must be named as the fault, and never be shown."""
    sealed = encrypted(credential) + credential.certificate_pem()
    assert "no passphrase was given" in fault(sealed)
    assert "that the passphrase is right" in fault(sealed, b"sai-" + PASSPHRASE)
    needless = fault(credential.key_pem() + credential.certificate_pem(), PASSPHRASE)
    assert "is not encrypted although a passphrase was given" in needless
    assert PASSPHRASE.decode() not in fault(sealed, b"sai-" + PASSPHRASE) + needless


def test_a_certificate_of_another_key(credential: Credential, authority: Credential) -> None:
    """A key beside somebody else's certificate must be named."""
    found = fault(credential.key_pem() + authority.certificate_pem())
    assert "0 of the 1 certificates given belong to the key" in found


def test_parts_that_are_missing(credential: Credential) -> None:
    """A missing key, a second key and a missing certificate must each be named."""
    assert "got 0 private keys" in fault(credential.certificate_pem())
    assert "got 2 private keys" in fault(credential.key_pem() * 2 + credential.certificate_pem())
    assert "without a readable certificate" in fault(credential.key_pem())


def test_a_damaged_key(credential: Credential) -> None:
    """A key block that lost a line must be named as unreadable."""
    lines = credential.key_pem().splitlines(keepends=True)
    damaged = b"".join(lines[:1] + lines[2:])
    assert "cannot be read" in fault(damaged + credential.certificate_pem())


@pytest.mark.parametrize("kind", [1024, ec.SECP384R1()], ids=["rsa-1024", "p-384"])
def test_a_key_that_may_not_sign(authority: Credential, now: datetime, kind: ec.EllipticCurve | int) -> None:
    """A key that every recipient would refuse must be refused where it is configured."""
    weak = issue_signing(authority, "H56.10", "Sở Văn hóa", now, key=new_key(kind))
    assert "expected EC P-256, or RSA" in fault(weak.key_pem() + weak.certificate_pem())


def test_certificates_in_either_encoding(credential: Credential) -> None:
    """PEM and DER must give the same certificate."""
    encoded = credential.certificate.public_bytes(serialization.Encoding.DER)
    assert list(load_certificates(encoded)) == list(load_certificates(credential.certificate_pem()))
