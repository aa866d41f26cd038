"""A forger who holds an organisation's key: structures at will, under signatures that are right.

Every forged structure carries a genuine signature over its attributes, so that only the check under attack
stands between it and acceptance.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from hashlib import sha256
from typing import Any

import pytest
from asn1crypto import cms as oracle
from asn1crypto import tsp
from asn1crypto import x509 as oracle_x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from axis.crypto.keys import SigningIdentity
from axis.crypto.refusals import SignatureRefused
from axis.crypto.signing import CmsSigner, verify_detached

CONTENT = "Về việc rà soát hộ nghèo".encode()

Structure = Any
"""An ASN.1 structure of asn1crypto, which has no types."""

Change = Callable[[Structure, Structure], None]


def forged(
    identity: SigningIdentity,
    at: datetime,
    change: Change,
    *,
    sign: Callable[[bytes], bytes] | None = None,
) -> bytes:
    """A genuine signature with its SignedData and SignerInfo changed, and its attributes signed again."""
    info = oracle.ContentInfo.load(CmsSigner(identity).sign(CONTENT, at))
    signed = info["content"]
    signer = signed["signer_infos"][0]
    change(signed, signer)
    if sign is None:
        key = identity.key
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        signer["signature"] = key.sign(attributes_der(signer), ec.ECDSA(hashes.SHA256()))
    else:
        signer["signature"] = sign(attributes_der(signer))
    encoded: bytes = info.dump(force=True)
    return encoded


def refusal(signature: bytes, content: bytes = CONTENT) -> SignatureRefused:
    """The refusal that verification ends in."""
    with pytest.raises(SignatureRefused) as caught:
        verify_detached(content, signature)
    return caught.value


def attributes_der(signer: Structure) -> bytes:
    """What the signature is over: the attributes as SET OF, or the content where there are none."""
    attributes = signer["signed_attrs"]
    encoded: bytes = attributes.untag().dump(force=True) if attributes else CONTENT
    return encoded


def replaced(signer: Structure, name: str, values: Iterable[Structure]) -> None:
    """Put the attribute `name` with these values in the place of the one there is; with none, only take it out."""
    kept = [attribute for attribute in signer["signed_attrs"] if attribute["type"].native != name]
    made = [oracle.CMSAttribute({"type": name, "values": [value]}) for value in values]
    signer["signed_attrs"] = oracle.CMSAttributes(kept + made)


def identifying(digest: bytes, **fields: Structure) -> tsp.SigningCertificateV2:
    """A signing certificate attribute's value with one identifier of these fields."""
    return tsp.SigningCertificateV2({"certs": [tsp.ESSCertIDv2({"cert_hash": digest, **fields})]})


def fingerprint(identity: SigningIdentity) -> bytes:
    """SHA-256 of the identity's certificate."""
    return sha256(identity.certificate.public_bytes(Encoding.DER)).digest()


def embedded(*certificates: bytes) -> list[Structure]:
    """A certificate set of these certificates, DER."""
    return [
        oracle.CertificateChoices("certificate", oracle_x509.Certificate.load(encoded))
        for encoded in certificates
    ]
