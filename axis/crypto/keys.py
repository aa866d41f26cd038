"""Keys with the certificates that vouch for them, out of PEM text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from axis.crypto.algorithms import RSA_BITS, PrivateKey, usable_key
from axis.errors import Bilingual, ConfigurationError, Refused

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
            Bilingual(
                f"khóa ký: {len(own)} trong {len(certificates)} chứng thư đã cho là của khóa này; cần đúng một: hãy để"
                " khóa cùng chứng thư được cấp cho nó",
                f"signing key: {len(own)} of the {len(certificates)} certificates given belong to the key; "
                "expected exactly one: put the key beside the certificate that was issued for it",
            )
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
            Bilingual(
                f"{len(encoded)} byte không có chứng thư đọc được ({error}); cần dạng PEM hoặc DER: kiểm tra tệp có"
                " nguyên vẹn và đúng là chứng thư không",
                f"got {len(encoded)} bytes without a readable certificate ({error}); expected PEM or DER: "
                "check that the file is whole and is the certificate",
            )
        ) from error


def _load_key(pem: bytes, passphrase: bytes | None) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(_key_block(pem), password=passphrase)
        usable_key(key.public_key(), Refused)
    except TypeError as error:
        raise ConfigurationError(
            Bilingual(
                "khóa ký: khóa bí mật đã mã hóa mà chưa có mật khẩu: hãy khai báo mật khẩu",
                "signing key: the private key is encrypted and no passphrase was given: configure the passphrase",
            )
            if passphrase is None
            else Bilingual(
                "khóa ký: khóa bí mật không mã hóa mà lại có mật khẩu: hãy mã hóa khóa, hoặc bỏ mật khẩu",
                "signing key: the private key is not encrypted although a passphrase was given: encrypt the key, or"
                " remove the passphrase",
            )
        ) from error
    except ValueError as error:
        also, advice = (
            ("", "")
            if passphrase is None
            else (", và mật khẩu có đúng không", ", and that the passphrase is right")
        )
        raise ConfigurationError(
            Bilingual(
                f"khóa ký: không đọc được khóa bí mật: kiểm tra khối PEM của khóa có nguyên vẹn không{also}",
                f"signing key: the private key cannot be read: check that its PEM block is whole{advice}",
            )
        ) from error
    except UnsupportedAlgorithm as error:
        raise ConfigurationError(
            Bilingual(
                f"khóa ký: không dùng được khóa bí mật: {error}",
                f"signing key: the private key cannot be used: {error}",
            )
        ) from error
    except Refused as error:
        raise ConfigurationError(
            Bilingual(
                f"khóa ký: khóa không được phép dùng để ký; cần EC P-256, hoặc RSA từ {RSA_BITS.start} đến"
                f" {RSA_BITS.stop - 1} bit: hãy xin cấp chứng thư cho khóa mới",
                f"signing key: {error.detail}",
            )
        ) from error
    return cast("PrivateKey", key)  # the private half of what usable_key let through


def _key_block(pem: bytes) -> bytes:
    blocks: list[re.Match[bytes]] = list(_PRIVATE_KEY.finditer(pem))
    if len(blocks) != 1:
        raise ConfigurationError(
            Bilingual(
                f"khóa ký: có {len(blocks)} khóa bí mật; cần đúng một khối PEM BEGIN PRIVATE KEY hoặc BEGIN ENCRYPTED"
                " PRIVATE KEY",
                f"signing key: got {len(blocks)} private keys; expected exactly one PEM block "
                "BEGIN PRIVATE KEY or BEGIN ENCRYPTED PRIVATE KEY",
            )
        )
    return blocks[0].group()
