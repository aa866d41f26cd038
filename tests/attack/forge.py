"""An attacker's workshop: envelopes and receipts at will, each as wrong as asked and otherwise right.

What is signed is signed genuinely, so that only the check under attack stands between a forgery and acceptance.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from axis.core.addressing import OrganisationCode
from axis.core.digest import Digest, sha256
from axis.core.envelope import Envelope, Header, MessageId, Operation, Part, Urgency
from axis.core.receipt import Event, Outcome, Receipt, RecipientOutcome, SignedReceipt
from axis.ports import Signer
from axis.producers.identity import new_message_id
from axis.schemas import avro, manifest

ENVIRONMENT = "attack"
SECRET_SUBJECT = "V/v đề nghị xử lý đơn tố cáo\r\n\x1b[31mFAKE level=error event=forged"
SECRET_CONTENT = b"%PDF-1.7 noi-dung-mat-khong-duoc-lo"


def part(name: str = "cong-van.pdf", content: bytes = SECRET_CONTENT) -> Part:
    """A small part inside the record."""
    return Part(name, "application/pdf", len(content), sha256(content), content)


def claim(content: bytes, name: str = "phu-luc.bin") -> Part:
    """A part by claim check, whether or not anybody stored it."""
    return Part(name, "application/octet-stream", len(content), sha256(content), None)


@dataclass(frozen=True, slots=True)
class Forger:
    """Somebody who can sign for an organisation.

    Args:
        code: whom the header says that it is from.
        signer: whose key signs.
    """

    code: str
    signer: Signer

    def header(self, recipient: str, now: datetime, **changes: object) -> Header:
        """A header to one recipient, faultless but for the changes."""
        message_id = new_message_id(now)
        return replace(
            Header(
                environment=ENVIRONMENT,
                message_id=message_id,
                operation=Operation.NEW,
                document_id=message_id,
                number="17",
                notation="UBND-VP",
                document_type="cong-van",
                subject=SECRET_SUBJECT,
                sender=OrganisationCode(self.code),
                recipients=(recipient,),
                urgency=Urgency.NORMAL,
                created_at=now,
            ),
            **changes,  # type: ignore[arg-type] # the test names fields of a header
        )

    def seal(
        self,
        header: Header | bytes,
        parts: Sequence[Part] = (),
        *,
        at: datetime,
        listed: bytes | None = None,
        record_parts: Sequence[Part] | None = None,
    ) -> Envelope:
        """Sign a header with parts.

        Args:
            header: a header, or bytes in its place.
            parts: what the manifest lists.
            at: the signing time to claim.
            listed: a manifest of the test's own.
            record_parts: the parts that the record carries, when others than the listed ones.
        """
        encoded = header if isinstance(header, bytes) else avro.encode_header(header)
        unsigned = Envelope(b"", b"", encoded, tuple(parts))
        if listed is None:
            listed = manifest.render(manifest.expected_entries(sha256(encoded), unsigned))
        carried = unsigned.parts if record_parts is None else tuple(record_parts)
        return Envelope(listed, self.signer.sign(listed, at), encoded, carried)

    def letter(self, recipient: str, now: datetime, **changes: object) -> Envelope:
        """A document with one part, to one recipient."""
        return self.seal(self.header(recipient, now, **changes), [part()], at=now)

    def handover(self, message_id: MessageId, digest: Digest, sender: str, now: datetime) -> Receipt:
        """The statement that a document was handed over to this organisation."""
        return Receipt(
            event=Event.CONTENT_HANDOVER,
            environment=ENVIRONMENT,
            message_id=message_id,
            envelope_digest=digest,
            sender=OrganisationCode(sender),
            issuer=OrganisationCode(self.code),
            occurred_at=now,
            outcomes=(RecipientOutcome(self.code, Outcome.HANDED_OVER),),
            directory_version="sha256:0000000000000000",
            policy_version="2026-11",
            status="01",
        )

    def signed(self, receipt: Receipt, now: datetime) -> bytes:
        """The record value of a receipt under this forger's signature."""
        statement = avro.encode_receipt(receipt)
        return avro.encode_signed_receipt(SignedReceipt(statement, self.signer.sign(statement, now)))


def message_id_of(envelope: Envelope) -> MessageId:
    """The message id that an envelope's header states."""
    return avro.decode_header(envelope.header).message_id
