"""Strategies for the values that travel."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

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
from axis.schemas.avro import Decision, QuarantineRecord

texts = st.text(max_size=20)
optional_texts = st.none() | texts
codes = texts.map(OrganisationCode)
digests = st.binary(min_size=32, max_size=32).map(Digest)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
moments = st.integers(0, 253_000_000_000_000).map(lambda ms: EPOCH + timedelta(milliseconds=ms))
longs = st.integers(-(2**63), 2**63 - 1)
sources = st.builds(Source, texts, st.integers(-(2**31), 2**31 - 1), longs)
parts = st.builds(Part, texts, texts, longs, digests, st.none() | st.binary(max_size=40))
envelopes = st.builds(
    Envelope,
    st.binary(max_size=40),
    st.binary(max_size=40),
    st.binary(max_size=40),
    st.lists(parts, max_size=3).map(tuple),
)
headers = st.builds(
    Header,
    environment=texts,
    message_id=texts.map(MessageId),
    operation=st.sampled_from(Operation),
    document_id=texts,
    number=texts,
    notation=texts,
    document_type=texts,
    subject=texts,
    sender=codes,
    recipients=st.lists(texts, max_size=4).map(tuple),
    urgency=st.sampled_from(Urgency),
    created_at=moments,
    due_at=st.none() | moments,
    expires_at=st.none() | moments,
    references=st.lists(texts.map(MessageId), max_size=3).map(tuple),
    kind=texts,
)
receipts = st.builds(
    Receipt,
    event=st.sampled_from(Event),
    environment=texts,
    message_id=st.none() | texts.map(MessageId),
    envelope_digest=digests,
    sender=codes,
    issuer=codes,
    occurred_at=moments,
    outcomes=st.lists(
        st.builds(RecipientOutcome, texts, st.sampled_from(Outcome), optional_texts), max_size=3
    ).map(tuple),
    directory_version=texts,
    policy_version=texts,
    reason=optional_texts,
    detail=optional_texts,
    status=optional_texts,
    signature=st.none() | st.builds(SignatureRecord, texts, st.booleans(), digests, moments, texts),
    source=st.none() | sources,
)
signed_receipts = st.builds(SignedReceipt, st.binary(max_size=60), st.binary(max_size=60))
quarantine_records = st.builds(
    QuarantineRecord,
    reason=st.sampled_from(Reason) | texts,
    detail=texts,
    source=sources,
    appended_at=moments,
    quarantined_at=moments,
    key=st.none() | st.binary(max_size=40),
    value=st.none() | st.binary(max_size=40),
    policy_version=texts,
)
decisions = st.builds(
    Decision,
    digests,
    st.none() | st.binary(max_size=60),
    st.none() | st.sampled_from(Urgency),
    st.none() | moments,
)
