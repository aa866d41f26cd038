"""Core values to and from Avro bytes, in single-object encoding."""

from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any, Final

from fastavro import schemaless_reader, schemaless_writer

from axis.core.addressing import OrganisationCode
from axis.core.digest import Digest
from axis.core.disposition import Reason
from axis.core.envelope import Envelope, Header, MessageId, Operation, Part, Urgency
from axis.core.receipt import (
    Event,
    Outcome,
    Receipt,
    RecipientOutcome,
    SignatureRecord,
    SignedReceipt,
    Source,
)
from axis.errors import Refused
from axis.schemas import binary, registry


@dataclass(frozen=True, slots=True)
class QuarantineRecord:
    """A parked record with its original bytes, and why it was parked.

    Attributes:
        reason: a code of `axis.core.disposition.Reason` or, written by a later version, one that this one does not know.
        detail: what was got and expected, in English, without content.
        key: the record's key; None also where key and value were too large to be kept.
        value: the record's value; None as for `key`.
    """

    reason: str
    detail: str
    source: Source
    appended_at: datetime
    quarantined_at: datetime
    key: bytes | None
    value: bytes | None
    policy_version: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about a (sender, message id).

    Attributes:
        digest: identity of the envelope or receipt that was submitted.
        receipt: the encoded `SignedReceipt` that answered it; None for a recipient's receipt, which is not answered.
        urgency: of the document; None where its header cannot be read, for a receipt, or where an older version decided.
        submitted_at: when the broker took the document; None for a receipt, or where an older version decided.
    """

    digest: Digest
    receipt: bytes | None
    urgency: Urgency | None = None
    submitted_at: datetime | None = None


def encode_envelope(envelope: Envelope) -> bytes:
    """Return the record value of an envelope."""
    return _write(
        "envelope",
        {
            "manifest": envelope.manifest,
            "signature": envelope.signature,
            "header": envelope.header,
            "parts": [
                {
                    "name": part.name,
                    "media_type": part.media_type,
                    "size": part.size,
                    "sha256": part.digest,
                    "content": part.content,
                }
                for part in envelope.parts
            ],
        },
    )


def encode_header(header: Header) -> bytes:
    """Return the bytes of a header, the ones that the manifest lists as `header.avro`."""
    return _write(
        "header",
        {
            "environment": header.environment,
            "message_id": header.message_id,
            "operation": header.operation.value,
            "kind": header.kind,
            "document_id": header.document_id,
            "number": header.number,
            "notation": header.notation,
            "document_type": header.document_type,
            "subject": header.subject,
            "sender": header.sender,
            "recipients": list(header.recipients),
            "urgency": int(header.urgency),
            "created_at": header.created_at,
            "due_at": header.due_at,
            "expires_at": header.expires_at,
            "references": list(header.references),
        },
    )


def encode_receipt(receipt: Receipt) -> bytes:
    """Return the statement bytes of a receipt, the ones that its issuer signs."""
    parts = [
        _RECEIPT_PREFIX,
        _EVENTS[receipt.event],
        binary.name(receipt.environment),
        binary.optional_string(receipt.message_id),
        receipt.envelope_digest,
        binary.name(receipt.sender),
        binary.name(receipt.issuer),
        binary.timestamp(receipt.occurred_at),
    ]
    if receipt.outcomes:
        parts.append(binary.long(len(receipt.outcomes)))
        for each in receipt.outcomes:
            parts += (
                # A refused recipient is the text that the sender wrote, a served one is a code.
                binary.string(each.recipient) if each.reason else binary.name(each.recipient),
                _OUTCOMES[each.outcome],
                binary.optional_string(each.reason),
            )
    parts += (
        binary.END_OF_ARRAY,
        binary.name(receipt.directory_version),
        binary.name(receipt.policy_version),
        binary.optional_string(receipt.reason),
        binary.optional_string(receipt.detail),
        binary.optional_string(receipt.status),
    )
    if (facts := receipt.signature) is None:
        parts.append(binary.NULL)
    else:
        parts += (
            binary.NOT_NULL,
            binary.name(facts.algorithm),
            binary.TRUE if facts.legacy else binary.FALSE,
            facts.certificate_digest,
            binary.timestamp(facts.signed_at),
            binary.name(facts.revocation),
        )
    if (source := receipt.source) is None:
        parts.append(binary.NULL)
    else:
        parts += (
            binary.NOT_NULL,
            binary.name(source.topic),
            binary.long(source.partition),
            binary.long(source.offset),
        )
    return b"".join(parts)


def encode_signed_receipt(receipt: SignedReceipt) -> bytes:
    """Return the record value of a signed receipt."""
    statement, signature = binary.content(receipt.statement), binary.content(receipt.signature)
    return b"".join((_SIGNED_RECEIPT_PREFIX, statement, signature))


def encode_quarantine(record: QuarantineRecord) -> bytes:
    """Return the record value of a quarantined record."""
    return _write(
        "quarantine",
        {
            "reason": str(record.reason),
            "detail": record.detail,
            "topic": record.source.topic,
            "partition": record.source.partition,
            "offset": record.source.offset,
            "appended_at": record.appended_at,
            "quarantined_at": record.quarantined_at,
            "key": record.key,
            "value": record.value,
            "policy_version": record.policy_version,
        },
    )


def encode_decision(decision: Decision) -> bytes:
    """Return the changelog value of a decision."""
    receipt = binary.NULL if decision.receipt is None else binary.NOT_NULL + binary.content(decision.receipt)
    urgency = binary.NULL if decision.urgency is None else binary.NOT_NULL + binary.long(decision.urgency)
    at = (
        binary.NULL
        if decision.submitted_at is None
        else binary.NOT_NULL + binary.timestamp(decision.submitted_at)
    )
    return b"".join((_DECISION_PREFIX, decision.digest, receipt, urgency, at))


def decode(value: bytes) -> Envelope | SignedReceipt | QuarantineRecord | Decision:
    """Read a record value by the fingerprint that it begins with.

    Raises:
        Refused: `schema-unknown` when no schema of ours has that fingerprint; `undecodable` when the bytes do not
            follow their schema to the last byte.
    """
    name, fields = _read(value)
    match name:
        case "envelope":
            return _envelope(fields)
        case "signed-receipt":
            return SignedReceipt(fields["statement"], fields["signature"])
        case "quarantine":
            return _quarantine(fields)
        case "decision":
            urgency = next((each for each in Urgency if each == fields["urgency"]), None)
            return Decision(Digest(fields["digest"]), fields["receipt"], urgency, fields["submitted_at"])
        case _:
            raise Refused(
                Reason.SCHEMA_UNKNOWN, f"got a bare {name}, expected an envelope or a signed receipt"
            )


def decode_header(value: bytes) -> Header:
    """Read the bytes of a header.

    Raises:
        Refused: `header-malformed`; `version-unknown` where only a later version knows its schema.
    """
    fields = _read_signed(value, "header", Reason.HEADER_MALFORMED, Reason.VERSION_UNKNOWN)
    try:
        return Header(
            environment=fields["environment"],
            message_id=MessageId(fields["message_id"]),
            operation=Operation(fields["operation"]),
            kind=fields["kind"],
            document_id=fields["document_id"],
            number=fields["number"],
            notation=fields["notation"],
            document_type=fields["document_type"],
            subject=fields["subject"],
            sender=OrganisationCode(fields["sender"]),
            recipients=tuple(fields["recipients"]),
            urgency=Urgency(fields["urgency"]),
            created_at=fields["created_at"],
            due_at=fields["due_at"],
            expires_at=fields["expires_at"],
            references=tuple(MessageId(reference) for reference in fields["references"]),
        )
    except ValueError as error:
        raise Refused(Reason.HEADER_MALFORMED, f"urgency {fields['urgency']}, expected 0 to 4") from error


def decode_receipt(statement: bytes) -> Receipt:
    """Read the statement of a signed receipt.

    Raises:
        Refused: `undecodable`.
    """
    fields = _read_signed(statement, "receipt", Reason.UNDECODABLE, Reason.UNDECODABLE)
    facts, source = fields["signature"], fields["source"]
    try:
        return Receipt(
            event=Event(fields["event"]),
            environment=fields["environment"],
            message_id=fields["message_id"] and MessageId(fields["message_id"]),
            envelope_digest=Digest(fields["envelope_digest"]),
            sender=OrganisationCode(fields["sender"]),
            issuer=OrganisationCode(fields["issuer"]),
            occurred_at=fields["occurred_at"],
            outcomes=tuple(
                RecipientOutcome(o["recipient"], Outcome(o["outcome"]), o["reason"])
                for o in fields["outcomes"]
            ),
            directory_version=fields["directory_version"],
            policy_version=fields["policy_version"],
            reason=fields["reason"],
            detail=fields["detail"],
            status=fields["status"],
            signature=facts
            and SignatureRecord(
                algorithm=facts["algorithm"],
                legacy=facts["legacy"],
                certificate_digest=Digest(facts["certificate_sha256"]),
                signed_at=facts["signed_at"],
                revocation=facts["revocation"],
            ),
            source=source and Source(source["topic"], source["partition"], source["offset"]),
        )
    except ValueError as error:
        raise Refused(Reason.UNDECODABLE, f"a value of the receipt is not in its list: {error}") from error


def _envelope(fields: dict[str, Any]) -> Envelope:
    return Envelope(
        manifest=fields["manifest"],
        signature=fields["signature"],
        header=fields["header"],
        parts=tuple(
            Part(part["name"], part["media_type"], part["size"], Digest(part["sha256"]), part["content"])
            for part in fields["parts"]
        ),
    )


def _quarantine(fields: dict[str, Any]) -> QuarantineRecord:
    return QuarantineRecord(
        reason=fields["reason"],
        detail=fields["detail"],
        source=Source(fields["topic"], fields["partition"], fields["offset"]),
        appended_at=fields["appended_at"],
        quarantined_at=fields["quarantined_at"],
        key=fields["key"],
        value=fields["value"],
        policy_version=fields["policy_version"],
    )


_RECEIPT_PREFIX: Final = registry.current("receipt").prefix
_SIGNED_RECEIPT_PREFIX: Final = registry.current("signed-receipt").prefix
_DECISION_PREFIX: Final = registry.current("decision").prefix


_RECEIPT_TYPES: Final = {each["name"]: each["type"] for each in registry.current("receipt").parsed["fields"]}


def _numbered(enum: dict[str, Any]) -> dict[str, bytes]:
    """Return an enum's symbols as they are written."""
    return {symbol: binary.long(number) for number, symbol in enumerate(enum["symbols"])}


_EVENTS: Final = _numbered(_RECEIPT_TYPES["event"])
_OUTCOMES: Final = _numbered(_RECEIPT_TYPES["outcomes"]["items"]["fields"][1]["type"])


def _write(name: str, fields: dict[str, Any]) -> bytes:
    schema = registry.current(name)
    buffer = BytesIO()
    buffer.write(schema.prefix)
    schemaless_writer(buffer, schema.parsed, fields)
    return buffer.getvalue()


def _read_signed(value: bytes, name: str, reason: Reason, unknown: Reason) -> dict[str, Any]:
    """Read bytes whose place in a signed structure says which schema they must have.

    Raises:
        Refused: `reason`, they do not have it; `unknown`, no released schema has their fingerprint.
    """
    try:
        got, fields = _read(value)
    except Refused as error:
        raise Refused(unknown if error.reason == Reason.SCHEMA_UNKNOWN else reason, error.detail) from error
    if got != name:
        raise Refused(reason, f"got a {got}, expected a {name}")
    return fields


def _read(value: bytes) -> tuple[str, dict[str, Any]]:
    prefix = value[: len(registry.MARKER) + registry.FINGERPRINT_BYTES]
    schema = registry.by_prefix().get(prefix)
    if schema is None:
        raise Refused(
            Reason.SCHEMA_UNKNOWN if prefix.startswith(registry.MARKER) else Reason.UNDECODABLE,
            f"got first bytes {prefix.hex()}, expected c301 and the fingerprint of a released schema",
        )
    reader = registry.current(schema.name)
    buffer = BytesIO(value)
    buffer.seek(len(prefix))
    try:
        # Resolution costs half of the decoding, so it is asked for only where the writer is of another version.
        resolved = None if reader.prefix == schema.prefix else reader.parsed
        fields = schemaless_reader(buffer, schema.parsed, resolved)
    except Exception as error:
        raise Refused(Reason.UNDECODABLE, f"not a {schema.name}: {type(error).__name__}") from error
    if buffer.tell() != len(value):
        raise Refused(Reason.UNDECODABLE, f"{len(value) - buffer.tell()} bytes follow the {schema.name}")
    return schema.name, dict(fields)  # type: ignore[arg-type] # every schema of ours is a record
