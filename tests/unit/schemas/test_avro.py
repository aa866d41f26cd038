"""What is written comes back, and what was not written by a schema of ours is refused."""

from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any

import pytest
from fastavro import schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from axis.core.digest import Digest
from axis.core.disposition import Reason
from axis.core.envelope import DOCUMENT_KIND, Envelope, Header, Urgency
from axis.core.receipt import Receipt, SignedReceipt
from axis.errors import Refused
from axis.schemas import avro, registry
from axis.schemas.avro import Decision, QuarantineRecord
from tests.unit.schemas import values


@given(values.envelopes)
def test_an_envelope_comes_back(envelope: Envelope) -> None:
    """Every envelope, whatever its bytes and names."""
    assert avro.decode(avro.encode_envelope(envelope)) == envelope


@given(values.headers)
def test_a_header_comes_back(header: Header) -> None:
    """Every header, to the millisecond, with an aware time in UTC."""
    decoded = avro.decode_header(avro.encode_header(header))
    assert decoded == header
    assert decoded.created_at.tzinfo is not None


@given(values.receipts)
def test_a_receipt_comes_back(receipt: Receipt) -> None:
    """Every statement, with each fact that may be absent."""
    assert avro.decode_receipt(avro.encode_receipt(receipt)) == receipt


@given(values.signed_receipts)
def test_a_signed_receipt_comes_back(receipt: SignedReceipt) -> None:
    """Statement and signature, byte for byte."""
    assert avro.decode(avro.encode_signed_receipt(receipt)) == receipt


@given(values.quarantine_records)
def test_a_quarantine_record_comes_back(record: QuarantineRecord) -> None:
    """Every parked record, even with a reason of a later version."""
    assert avro.decode(avro.encode_quarantine(record)) == record


@given(values.decisions)
def test_a_decision_comes_back(decision: Decision) -> None:
    """With the receipt byte for byte, or none."""
    assert avro.decode(avro.encode_decision(decision)) == decision


@given(st.data())
def test_no_truncation_and_no_trailing_byte_is_accepted(data: st.DataObject) -> None:
    """A record is its schema to the last byte."""
    value = data.draw(
        values.envelopes.map(avro.encode_envelope)
        | values.signed_receipts.map(avro.encode_signed_receipt)
        | values.quarantine_records.map(avro.encode_quarantine)
        | values.decisions.map(avro.encode_decision)
    )
    cut = data.draw(st.integers(0, len(value) - 1))
    for wrong in (value[:cut], value + data.draw(st.binary(min_size=1, max_size=4))):
        with pytest.raises(Refused) as caught:
            avro.decode(wrong)
        assert caught.value.reason in {Reason.UNDECODABLE, Reason.SCHEMA_UNKNOWN}


@given(st.binary(max_size=60), st.sampled_from([b"", *sorted(registry.by_prefix())]))
def test_garbage_ends_in_a_refusal_or_a_value(garbage: bytes, prefix: bytes) -> None:
    """Whatever the bytes, reading them never raises anything else."""
    for read in (avro.decode, avro.decode_header, avro.decode_receipt):
        with suppress(Refused):
            assert read(prefix + garbage) is not None


def test_an_unknown_fingerprint_is_named() -> None:
    """What begins like a record of ours but has no schema of ours is another matter than garbage."""
    with pytest.raises(Refused, match="c3010000000000000000") as caught:
        avro.decode(b"\xc3\x01" + bytes(8) + b"rest")
    assert caught.value.reason == Reason.SCHEMA_UNKNOWN
    with pytest.raises(Refused) as caught:
        avro.decode(b"{}")
    assert caught.value.reason == Reason.UNDECODABLE


@pytest.mark.parametrize("urgency", [-1, 5, 2**31 - 1])
def test_an_urgency_off_the_list_is_refused(urgency: int) -> None:
    """The schema says int; the header says 0 to 4."""
    fields = dict.fromkeys(("environment", "message_id", "kind", "document_id", "number", "notation"), "")
    rest = {"document_type": "", "subject": "", "sender": "", "recipients": [], "operation": "NEW"}
    value = avro._write("header", {**fields, **rest, "urgency": urgency, "created_at": values.EPOCH})
    with pytest.raises(Refused, match="expected 0 to 4") as caught:
        avro.decode_header(value)
    assert caught.value.reason == Reason.HEADER_MALFORMED


@pytest.mark.parametrize(
    "value",
    [
        avro.encode_decision(Decision(Digest(bytes(32)), None)),
        avro.encode_signed_receipt(SignedReceipt(b"", b"")),
    ],
)
def test_a_signed_place_takes_its_own_schema_alone(value: bytes) -> None:
    """A record of another kind is neither a header nor a statement."""
    with pytest.raises(Refused, match="expected a header") as caught:
        avro.decode_header(value)
    assert caught.value.reason == Reason.HEADER_MALFORMED
    with pytest.raises(Refused, match="expected a receipt") as caught:
        avro.decode_receipt(value)
    assert caught.value.reason == Reason.UNDECODABLE


def as_released(name: str, fields: Mapping[str, Any], version: str = "0.1.0") -> bytes:
    """A record as software of that version wrote it."""
    [text] = [text for each, other, text in registry.released() if (each, other) == (version, name)]
    schema, buffer = registry.parse(name, text), BytesIO()
    schemaless_writer(buffer, schema.parsed, fields)
    return schema.prefix + buffer.getvalue()


def test_what_an_earlier_version_wrote_is_read() -> None:
    """Headers are of documents, and of decisions nothing is known that was not noted then."""
    texts = dict.fromkeys(("environment", "message_id", "document_id", "number", "notation", "sender"), "x")
    rest = {"document_type": "cong-van", "subject": "", "recipients": ["H56"], "operation": "NEW"}
    header = avro.decode_header(
        as_released("header", {**texts, **rest, "urgency": 3, "created_at": values.EPOCH})
    )
    assert (header.kind, header.urgency, header.recipients) == (DOCUMENT_KIND, Urgency.FLASH, ("H56",))
    digest = Digest(bytes(32))
    decision = avro.decode(as_released("decision", {"digest": digest, "receipt": b"signed"}))
    assert decision == Decision(digest, b"signed", None, None)


def test_a_header_that_only_a_later_version_knows_is_told_apart() -> None:
    """It is not malformed, and may be read tomorrow."""
    with pytest.raises(Refused) as caught:
        avro.decode_header(registry.MARKER + b"tomorrow")
    assert caught.value.reason == Reason.VERSION_UNKNOWN


def test_an_event_of_a_later_version_is_refused() -> None:
    """What an older reader cannot name it must not treat as anything else."""
    receipt = {
        "event": "UNKNOWN",
        "environment": "",
        "envelope_digest": bytes(32),
        "sender": "",
        "issuer": "",
        "occurred_at": values.EPOCH,
        "outcomes": [],
        "directory_version": "",
        "policy_version": "",
    }
    with pytest.raises(Refused) as caught:
        avro.decode_receipt(avro._write("receipt", receipt))
    assert caught.value.reason == Reason.UNDECODABLE
