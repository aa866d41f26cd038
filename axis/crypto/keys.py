"""Keys with the certificates that vouch for them, out of PEM text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from axis.crypto.algorithms import PrivateKey, usable_key
from axis.errors import ConfigurationError, Refused

UNREADABLE = (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""What the library raises for a certificate that it cannot read, now or when an extension is asked for."""

_PEM_MARK = b"-----BEGIN "
_PRIVATE_KEY = re.compile(
    rb"-----BEGIN (?P<label>[A-Z ]*PRIVATE KEY)-----.*?-----END (?P=label)-----\n?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class SigningIdentity:
    """What an organisation signs with.

    Attributes:
        key: private key, EC P-256 or RSA of at least 2048 bits.
        certificate: certificate of its public half.
        chain: the other certificates that came along, for instance the issuing CA; in no set order.
    """

    key: PrivateKey
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()


def load_identity(pem: bytes, *, passphrase: bytes | None = None) -> SigningIdentity:
    """Read a private key with its certificate, and a chain where there is one, from PEM text.

    Args:
        pem: one private key and one or more certificates, in any order; files kept apart are joined first.
        passphrase: opens an encrypted key; None for a key that is not encrypted.

    Raises:
        ConfigurationError: a part is missing or unreadable, the passphrase is missing, not needed or wrong,
            no certificate belongs to the key, or the key is of a type or length that may not sign.
    """
    key = _load_key(pem, passphrase)
    public = key.public_key()
    certificates = load_certificates(pem)
    own = [certificate for certificate in certificates if certificate.public_key() == public]
    if len(own) != 1:
        raise ConfigurationError(
            f"signing key: {len(own)} of the {len(certificates)} certificates given belong to the key; "
            "expected exactly one: put the key beside the certificate that was issued for it"
        )
    return SigningIdentity(key, own[0], tuple(other for other in certificates if other is not own[0]))


def load_certificates(encoded: bytes) -> Sequence[x509.Certificate]:
    """Read certificates: any number in PEM text, or a single one in DER.

    Raises:
        ConfigurationError: there is none, or one cannot be read.
    """
    try:
        if _PEM_MARK in encoded:
            return x509.load_pem_x509_certificates(encoded)
        return [x509.load_der_x509_certificate(encoded)]
    except UNREADABLE as error:
        raise ConfigurationError(
            f"got {len(encoded)} bytes without a readable certificate ({error}); expected PEM or DER: "
            "check that the file is whole and is the certificate"
        ) from error


def _load_key(pem: bytes, passphrase: bytes | None) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(_key_block(pem), password=passphrase)
        usable_key(key.public_key(), Refused)
    except TypeError as error:
        advice = (
            "is encrypted and no passphrase was given: configure the passphrase"
            if passphrase is None
            else "is not encrypted although a passphrase was given: encrypt the key, or remove the passphrase"
        )
        raise ConfigurationError(f"signing key: the private key {advice}") from error
    except ValueError as error:
        advice = "" if passphrase is None else ", and that the passphrase is right"
        raise ConfigurationError(
            f"signing key: the private key cannot be read: check that its PEM block is whole{advice}"
        ) from error
    except UnsupportedAlgorithm as error:
        raise ConfigurationError(f"signing key: the private key cannot be used: {error}") from error
    except Refused as error:
        raise ConfigurationError(f"signing key: {error.detail}") from error
    return cast("PrivateKey", key)  # the private half of what usable_key let through


def _key_block(pem: bytes) -> bytes:
    blocks: list[re.Match[bytes]] = list(_PRIVATE_KEY.finditer(pem))
    if len(blocks) != 1:
        raise ConfigurationError(
            f"signing key: got {len(blocks)} private keys; expected exactly one PEM block "
            "BEGIN PRIVATE KEY or BEGIN ENCRYPTED PRIVATE KEY"
        )
    return blocks[0].group()
