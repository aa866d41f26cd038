"""Attacks that establish nobody: unreadable bytes, signatures and certificates that do not hold."""

import subprocess
from dataclasses import replace
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from axis.core.digest import Digest
from axis.core.disposition import Reason
from axis.core.receipt import SignedReceipt
from axis.crypto.authority import create_authority, issue, issue_signing, key_usage, new_key
from axis.producers.identity import new_message_id
from axis.schemas import avro
from tests.attack.forge import part
from tests.attack.stage import (
    OFFICE,
    OTHER_WARD,
    WARD,
    Stage,
    authority_of,
)
from tests.attack.striking import Struck, against, raw, signed_by, submit


@against(Reason.UNDECODABLE)
def garbage(stage: Stage, _now: datetime) -> Struck:
    """Bytes that are nothing."""
    return raw(stage, bytes(range(256)))


@against(Reason.UNDECODABLE)
def truncated(stage: Stage, now: datetime) -> Struck:
    """An envelope without its last byte."""
    return raw(stage, avro.encode_envelope(stage.forger(OFFICE).letter(WARD, now))[:-1])


@against(Reason.UNDECODABLE)
def trailing(stage: Stage, now: datetime) -> Struck:
    """An envelope with a byte too many."""
    return raw(stage, avro.encode_envelope(stage.forger(OFFICE).letter(WARD, now)) + b"\0")


@against(Reason.UNDECODABLE)
def no_value(stage: Stage, _now: datetime) -> Struck:
    """A record without a value."""
    return raw(stage, None)


@against(Reason.SCHEMA_UNKNOWN)
def unknown_fingerprint(stage: Stage, _now: datetime) -> Struck:
    """Single-object encoding by a schema that nobody released."""
    return raw(stage, b"\xc3\x01" + b"\x17" * 8 + b"content")


@against(Reason.SCHEMA_UNKNOWN)
def bare_header(stage: Stage, now: datetime) -> Struck:
    """A header without an envelope around it."""
    return raw(stage, avro.encode_header(stage.forger(OFFICE).header(WARD, now)))


@against(Reason.SCHEMA_UNKNOWN)
def planted_decision(stage: Stage, _now: datetime) -> Struck:
    """A decision of the router, put where submissions go."""
    return raw(stage, avro.encode_decision(avro.Decision(Digest(bytes(32)), None)))


@against(Reason.OVERSIZED)
def inflated_garbage(stage: Stage, _now: datetime) -> Struck:
    """A compressed batch that is small for the broker and more than any topic behind the router takes."""
    value = bytes(5_000_000)
    return Struck(stage.put(value, sender=OFFICE, compression="gzip"), value, None, kept=False)


@against(Reason.UNDECODABLE)
def bomb(stage: Stage, _now: datetime) -> Struck:
    """A compressed batch of a few hundred bytes that would fill the memory of whoever decompresses it whole."""
    return Struck(stage.put(bytes(19_000_000), sender=OFFICE, compression="zstd"), b"", None, kept=False)


@against(Reason.OVERSIZED)
def inflated_envelope(stage: Stage, now: datetime) -> Struck:
    """A faultless envelope of many inline parts that passes the broker's limit compressed."""
    office = stage.forger(OFFICE)
    parts = [part(f"{number}.bin", bytes(65_536)) for number in range(60)]
    value = avro.encode_envelope(office.seal(office.header(WARD, now), parts, at=now))
    return Struck(stage.put(value, sender=OFFICE, compression="zstd"), value, None, kept=False)


@against(Reason.SIGNATURE_MISSING)
def unsigned(stage: Stage, now: datetime) -> Struck:
    """An envelope without a signature."""
    return submit(stage, replace(stage.forger(OFFICE).letter(WARD, now), signature=b""), None)


@against(Reason.SIGNATURE_MISSING)
def unsigned_receipt(stage: Stage, now: datetime) -> Struck:
    """A receipt without a signature."""
    ward = stage.forger(WARD)
    receipt = ward.handover(new_message_id(now), Digest(bytes(32)), OFFICE, now)
    return raw(stage, avro.encode_signed_receipt(SignedReceipt(avro.encode_receipt(receipt), b"")))


@against(Reason.SIGNATURE_MALFORMED)
def signature_of_junk(stage: Stage, now: datetime) -> Struck:
    """An envelope whose signature is no CMS structure."""
    return submit(stage, replace(stage.forger(OFFICE).letter(WARD, now), signature=b"0\x80 junk"), None)


@against(Reason.SIGNATURE_INVALID)
def altered_manifest(stage: Stage, now: datetime) -> Struck:
    """An envelope whose manifest was changed after signing, together with the part that it lists."""
    office = stage.forger(OFFICE)
    header = office.header(WARD, now)
    genuine = office.seal(header, [part()], at=now)
    altered = office.seal(header, [part(content=b"another content")], at=now)
    return submit(stage, replace(altered, signature=genuine.signature), None)


@against(Reason.SIGNATURE_INVALID)
def foreign_signature(stage: Stage, now: datetime) -> Struck:
    """The signature of another document of the same sender."""
    office = stage.forger(OFFICE)
    other = office.letter(OTHER_WARD, now)
    return submit(stage, replace(office.letter(WARD, now), signature=other.signature), None)


@against(Reason.ALGORITHM_REFUSED)
def short_rsa_key(stage: Stage, now: datetime) -> Struck:
    """A signature by an RSA key of 1024 bits that the authority certified."""
    return signed_by(
        stage, now, issue_signing(authority_of(stage.settings), OFFICE, "yếu", now, key=new_key(1024))
    )


@against(Reason.ALGORITHM_REFUSED)
def sha1_digest(stage: Stage, now: datetime) -> Struck:
    """A signature with SHA-1, made by OpenSSL with the office's own key."""
    envelope = stage.forger(OFFICE).letter(WARD, now)
    return submit(stage, replace(envelope, signature=_sha1_signature(stage, envelope.manifest)), None)


def _sha1_signature(stage: Stage, content: bytes) -> bytes:
    pem = str(stage.settings.signatures.key(OFFICE))
    arguments = [
        "-sign",
        "-binary",
        "-md",
        "sha1",
        "-cades",
        "-outform",
        "DER",
        "-signer",
        pem,
        "-inkey",
        pem,
    ]
    return subprocess.run(
        ["openssl", "cms", *arguments], input=content, capture_output=True, check=True, timeout=30
    ).stdout


@against(Reason.CERTIFICATE_UNTRUSTED)
def own_authority(stage: Stage, now: datetime) -> Struck:
    """A certificate in the office's name by an authority that the attacker made."""
    return signed_by(stage, now, issue_signing(create_authority(now), OFFICE, "giả", now))


@against(Reason.CERTIFICATE_EXPIRED)
def ended_certificate(stage: Stage, now: datetime) -> Struck:
    """A certificate that ended yesterday."""
    authority = authority_of(stage.settings)
    return signed_by(stage, now, issue_signing(authority, OFFICE, "cũ", now - timedelta(days=11), days=10))


@against(Reason.CERTIFICATE_USAGE)
def server_certificate(stage: Stage, now: datetime) -> Struck:
    """A certificate that is for TLS servers alone."""
    extensions = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (key_usage(digital_signature=True), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
    ]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, OFFICE)])
    return signed_by(stage, now, issue(authority_of(stage.settings), subject, now, extensions=extensions))


@against(Reason.CERTIFICATE_REVOKED)
def revoked_certificate(stage: Stage, now: datetime) -> Struck:
    """An enrolled certificate that the revocation source knows."""
    return signed_by(stage, now, stage.planted.revoked, WARD)


@against(Reason.CERTIFICATE_NOT_ENROLLED)
def unenrolled_certificate(stage: Stage, now: datetime) -> Struck:
    """A certificate in the office's name, by the right authority, that nobody enrolled."""
    return signed_by(stage, now, issue_signing(authority_of(stage.settings), OFFICE, "lạ", now))


@against(Reason.CERTIFICATE_NOT_ENROLLED)
def receipt_in_another_name(stage: Stage, now: datetime) -> Struck:
    """A receipt that says it is issued by the ward, signed by another ward."""
    forger = stage.forger(WARD, signed_by=OTHER_WARD)
    return raw(
        stage, forger.signed(forger.handover(new_message_id(now), Digest(bytes(32)), OFFICE, now), now)
    )


@against(Reason.INTERNAL_ERROR)
def what_trips_a_defect(stage: Stage, now: datetime) -> Struck:
    """A record that raises in the middle of verification."""
    return signed_by(stage, now, stage.planted.explosive, WARD)
