"""Verify what was read: who signed it, and whether it is what was signed.

The same steps, in the same order, for the router, for a recipient's node and for an auditor:

    1  decode the record (Avro single-object, to the last byte)
    2  verify the CMS signature over the manifest, or over a receipt's statement
    3  validate the signer's certificate at the time the broker took the record, and at the claimed signing time
    4  find the organisation that the certificate is enrolled for: now the sender is established
    5  match header and parts against the manifest
    6  read the header

A fault in 1-4 raises `Refused`: nobody is established. From step 5 on a fault is carried in the result, because there
is somebody who must be told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from axis.core.addressing import Level, OrganisationCode
from axis.core.admission import part_faults
from axis.core.digest import Digest, digests_equal, sha256
from axis.core.directory import Directory
from axis.core.disposition import Reason
from axis.core.envelope import Envelope, Header
from axis.core.policy import AcceptancePolicy
from axis.core.receipt import Receipt, SignatureRecord, SignedReceipt
from axis.crypto.certificates import CertificateFacts
from axis.crypto.signing import verify_detached
from axis.errors import Refused
from axis.schemas import avro, manifest


class CertificateChecker(Protocol):
    """Validates a signer's certificate at a moment; `axis.crypto.certificates.CertificateValidator` does it."""

    def validate(self, leaf: bytes, chain: Sequence[bytes], at: datetime) -> CertificateFacts:
        """Return the facts, or raise `Refused`."""


@dataclass(frozen=True, slots=True)
class VerifiedEnvelope:
    """An envelope whose signer is established.

    Attributes:
        signer: the organisation that the certificate is enrolled for.
        digest: the envelope's identity.
        header: the header when it is the signed one and can be read, even where `fault` is set.
        fault: what is wrong with header, manifest or parts; None when all of it is what was signed.
    """

    signer: OrganisationCode
    digest: Digest
    signature: SignatureRecord
    envelope: Envelope
    header: Header | None
    fault: Refused | None


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """A receipt that its issuer signed.

    Attributes:
        issuer: the organisation that the certificate is enrolled for.
        signed: the exact bytes.
    """

    issuer: OrganisationCode
    signature: SignatureRecord
    receipt: Receipt
    signed: SignedReceipt

    @property
    def digest(self) -> Digest:
        """The receipt's identity."""
        return self.signed.digest


class Verifier:
    """Verifies record values; holds no state but caches, and may be used from several threads.

    Args:
        certificates: validates signing certificates against the trust anchors.
        policy: the limits.
    """

    def __init__(self, certificates: CertificateChecker, policy: AcceptancePolicy) -> None:
        self._certificates = certificates
        self.policy = policy

    def verify(
        self, value: bytes | None, directory: Directory, at: datetime, *, as_signed: bool = False
    ) -> VerifiedEnvelope | VerifiedReceipt:
        """Verify a record value.

        Args:
            value: the record's value.
            directory: who exists and whose certificates are enrolled.
            at: when the broker took the record.
            as_signed: judge the certificate at the claimed signing time alone. For a recipient: the axis judged it when
                it was submitted, and a certificate that ran out between submission and delivery takes nothing away.

        Raises:
            Refused: with a reason of `axis.core.disposition.UNESTABLISHED`.
        """
        if value is None:
            raise Refused(Reason.UNDECODABLE, "the record has no value, expected an envelope or a receipt")
        if len(value) > self.policy.max_record_bytes:
            raise Refused(
                Reason.OVERSIZED,
                f"got {len(value)} bytes with SHA-256 {sha256(value).hex()}, expected at most"
                f" {self.policy.max_record_bytes}; store large parts as blobs",
            )
        decoded = avro.decode(value)
        match decoded:
            case Envelope():
                return self._envelope(decoded, directory, at, as_signed)
            case SignedReceipt():
                return self._receipt(decoded, directory, at, as_signed)
            case _:
                raise Refused(Reason.SCHEMA_UNKNOWN, "neither an envelope nor a signed receipt")

    def _envelope(
        self, envelope: Envelope, directory: Directory, at: datetime, as_signed: bool
    ) -> VerifiedEnvelope:
        signer, signature = self._signer(envelope.manifest, envelope.signature, directory, at, as_signed)
        header: Header | None = None
        fault: Refused | None = None
        try:
            expected = manifest.expected_entries(self._header_digest(envelope), envelope)
            listed = manifest.read(envelope.manifest, expected)
            # The header alone comes first: when a part was damaged on the way, the sender is still told which document.
            manifest.compare(listed[:1], expected[:1])
            header = avro.decode_header(envelope.header)
            manifest.compare(listed, expected)
            _check_parts(envelope, self.policy)
        except Refused as refusal:
            fault = refusal
        return VerifiedEnvelope(signer, envelope.digest, signature, envelope, header, fault)

    def _header_digest(self, envelope: Envelope) -> Digest:
        if len(envelope.header) > self.policy.max_header_bytes:
            raise Refused(
                Reason.HEADER_TOO_LARGE,
                f"got {len(envelope.header)} bytes, expected at most {self.policy.max_header_bytes}",
            )
        return sha256(envelope.header)

    def _receipt(
        self, signed: SignedReceipt, directory: Directory, at: datetime, as_signed: bool
    ) -> VerifiedReceipt:
        issuer, signature = self._signer(signed.statement, signed.signature, directory, at, as_signed)
        # Small before it is read: each outcome costs its readers, and may be a byte or two.
        by_axis = issuer in directory and directory.get(issuer).level is Level.AXIS
        limit = self.policy.max_statement_bytes if by_axis else self.policy.max_handover_bytes
        if len(signed.statement) > limit:
            raise Refused(
                Reason.OVERSIZED,
                f"got a statement of {len(signed.statement)} bytes from {issuer}, expected at most {limit}",
            )
        receipt = avro.decode_receipt(signed.statement)
        if receipt.issuer != issuer:
            raise Refused(
                Reason.CERTIFICATE_NOT_ENROLLED,
                f"the receipt says it is issued by {receipt.issuer!a:.40}, the certificate is enrolled for {issuer}",
            )
        return VerifiedReceipt(issuer, signature, receipt, signed)

    def _signer(
        self, content: bytes, signature: bytes, directory: Directory, at: datetime, as_signed: bool
    ) -> tuple[OrganisationCode, SignatureRecord]:
        facts = verify_detached(content, signature)
        certificate = self._certificates.validate(facts.certificate, facts.chain, facts.signing_time)
        judged_at = facts.signing_time
        if not as_signed:
            certificate = self._certificates.validate(facts.certificate, facts.chain, at)
            judged_at = at
        organisation = directory.organisation_of_certificate(certificate.sha256, judged_at)
        if organisation is None:
            raise Refused(
                Reason.CERTIFICATE_NOT_ENROLLED,
                f"certificate {certificate.sha256.hex()} is in no enrolment of directory {directory.version}",
            )
        record = SignatureRecord(
            algorithm=facts.algorithm,
            legacy=facts.legacy,
            certificate_digest=Digest(certificate.sha256),
            signed_at=facts.signing_time,
            revocation=certificate.revocation,
        )
        return organisation, record


def _check_parts(envelope: Envelope, policy: AcceptancePolicy) -> None:
    """Check names, counts and inline content against what the manifest was found to list."""
    for fault in part_faults([part.name for part in envelope.parts], policy):
        raise fault
    if (total := sum(part.size for part in envelope.parts)) > policy.max_total_bytes:
        raise Refused(
            Reason.PART_TOO_LARGE,
            f"the parts have {total} bytes together, expected at most {policy.max_total_bytes}; send several documents",
        )
    for position, part in enumerate(envelope.parts, 1):
        if part.content is None:
            if not 0 <= part.size <= policy.max_part_bytes:
                raise Refused(
                    Reason.PART_TOO_LARGE,
                    f"part {position} has {part.size} bytes, expected 0 to {policy.max_part_bytes}; split it",
                )
            continue
        if len(part.content) > policy.max_inline_bytes:
            raise Refused(
                Reason.PART_TOO_LARGE,
                f"part {position} has {len(part.content)} bytes inline, expected at most {policy.max_inline_bytes};"
                " store it as a blob",
            )
        if part.size != len(part.content) or not digests_equal(sha256(part.content), part.digest):
            raise Refused(
                Reason.PART_ALTERED,
                f"part {position} has {len(part.content)} bytes with SHA-256 {sha256(part.content).hex()}, the manifest"
                f" lists {part.digest.hex()} and the record {part.size} bytes",
            )
