"""Decisions: what a plan holds for each submission, and what an answer may depend on."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from axis.consumers.decide import Batch
from axis.consumers.verify import VerifiedReceipt
from axis.core.disposition import Disposition, Reason
from axis.core.envelope import Urgency
from axis.core.receipt import Event, Outcome, Receipt, RecipientOutcome, SignedReceipt, Source
from axis.core.topics import QUARANTINE, RECEIPTS, ROUTER_STATE, inbox_topic
from axis.ports import PartitionId, Record
from axis.schemas import avro
from axis.schemas.avro import Decision, QuarantineRecord
from axis.storage.decisions import SqliteDecisions
from tests.attack.forge import message_id_of
from tests.unit.consumers.ledger import Submission
from tests.unit.consumers.script import altered, document, express, handover, rival, submitted
from tests.unit.consumers.town import (
    AXIS,
    EXPRESS,
    NOW,
    OFFICE,
    OTHER_WARD,
    STANDARD,
    STRANGER,
    WARD,
    Town,
)

NO_LIMIT = 1 << 60


@pytest.fixture
def store() -> Iterator[SqliteDecisions]:
    """An empty decision store."""
    store = SqliteDecisions(":memory:", "changelog")
    yield store
    store.close()


def decided(
    town: Town,
    store: SqliteDecisions,
    *submissions: Submission | bytes | None,
    place: PartitionId | None = None,
    answerable: bool = True,
    now: datetime = NOW,
) -> Batch:
    """Examine and decide submissions, each where it belongs or all in one place."""
    records = [
        Record(where.topic, where.partition, offset, NOW, b"sender", value)
        for offset, each in enumerate(submissions)
        for where, value in [
            (place or each.place, each.value) if isinstance(each, Submission) else (place or STANDARD, each)
        ]
    ]
    candidates = town.examiner().examine(records, town.directory)
    for candidate in candidates:
        candidate.answerable = answerable
    decider = town.decider(store, now)
    batch = Batch(town.directory)
    assert decider.extend(batch, candidates, NO_LIMIT) == len(candidates)
    return batch


def keep(store: SqliteDecisions, batch: Batch) -> None:
    """Remember a batch as after its commit."""
    store.apply(0, list(batch.plan.decisions.items()), 1)


def written(batch: Batch, topic: str) -> list[bytes]:
    """Return the values that a plan writes to a topic."""
    return [append.value for append in batch.plan.appends if append.topic == topic]


def statement(value: bytes) -> Receipt:
    """Return what a receipt says."""
    signed = avro.decode(value)
    assert isinstance(signed, SignedReceipt)
    return avro.decode_receipt(signed.statement)


def reasons(batch: Batch) -> list[Reason | None]:
    """Return the reason of each judgement."""
    return [judgement.reason for judgement in batch.plan.judgements]


def test_an_accepted_document_goes_to_each_recipient_with_one_signed_receipt(
    town: Town, store: SqliteDecisions
) -> None:
    """The same bytes in every inbox; one receipt that lists all of them, in the legal record and at the sender."""
    letter = document(town, OFFICE, WARD, OTHER_WARD)
    batch = decided(town, store, letter)
    assert written(batch, inbox_topic(WARD)) == written(batch, inbox_topic(OTHER_WARD)) == [letter.value]
    (receipt,) = written(batch, RECEIPTS)
    assert written(batch, inbox_topic(OFFICE)) == [receipt]
    decision = Decision(letter.digest, receipt, Urgency.NORMAL, NOW)
    assert batch.plan.decisions == {letter.key: decision}
    assert written(batch, ROUTER_STATE) == [avro.encode_decision(decision)]
    verified = town.verifier.verify(receipt, town.directory, NOW)
    assert isinstance(verified, VerifiedReceipt)
    assert (verified.issuer, verified.receipt.event) == (AXIS, Event.SUBMISSION_ACCEPTANCE)
    assert verified.receipt.outcomes == tuple(
        RecipientOutcome(code, Outcome.CONSIGNED) for code in (WARD, OTHER_WARD)
    )
    assert verified.receipt.source == Source(STANDARD.topic, 0, 0)
    assert batch.plan.size_bytes == sum(len(append.value) for append in batch.plan.appends)


@pytest.mark.parametrize("kept", [False, True])
def test_a_repetition_gets_the_same_receipt_and_has_no_other_effect(
    town: Town, store: SqliteDecisions, kept: bool
) -> None:
    """Whether the first one stands in the same batch or in the store."""
    letter = document(town, OFFICE, WARD)
    first = decided(town, store, letter)
    if kept:
        keep(store, first)
        batch = decided(town, store, letter, letter)
        assert (
            written(batch, RECEIPTS)
            == written(batch, inbox_topic(WARD))
            == written(batch, ROUTER_STATE)
            == []
        )
        expected = written(first, RECEIPTS) * 2
    else:
        batch = decided(town, store, letter, letter)
        assert written(batch, inbox_topic(WARD)) == [letter.value]
        expected = written(batch, RECEIPTS) * 2
    assert written(batch, inbox_topic(OFFICE)) == expected
    assert batch.plan.judgements[-1].disposition is Disposition.DUPLICATE


def test_another_document_under_a_used_message_id_is_refused_and_not_remembered(
    town: Town, store: SqliteDecisions
) -> None:
    """The first one stands: it is what the id means, now and after the batch."""
    letter = document(town, OFFICE, WARD)
    other = rival(town, letter, Urgency.NORMAL)
    batch = decided(town, store, letter, other, letter)
    assert reasons(batch) == [None, Reason.MESSAGE_ID_CONFLICT, None]
    assert batch.plan.decisions[letter.key].digest == letter.digest
    assert written(batch, inbox_topic(OTHER_WARD)) == []


@pytest.mark.parametrize("knowledge", ["nothing", "kept"])
@pytest.mark.parametrize(
    ("sender", "place", "expected"),
    [(OFFICE, EXPRESS, Reason.WRONG_LANE), (STRANGER, STANDARD, Reason.WRONG_PARTITION)],
)
def test_a_misplaced_copy_is_refused_whatever_was_decided(
    town: Town, store: SqliteDecisions, sender: str, place: PartitionId, expected: Reason, knowledge: str
) -> None:
    """It never gets the answer of the genuine one, which may not be committed, and its refusal is not remembered."""
    letter = document(town, sender, WARD)
    known = {letter.key: Decision(letter.digest, b"the receipt of the genuine one")}
    if knowledge == "kept":
        store.apply(0, list(known.items()), 1)
    batch = decided(town, store, letter, place=place)
    assert reasons(batch) == [expected]
    (answer,) = written(batch, RECEIPTS)
    assert statement(answer).event is Event.SUBMISSION_REJECTION
    assert written(batch, inbox_topic(sender)) == [answer]
    assert batch.plan.decisions == {}


def test_a_damaged_copy_does_not_burn_the_message_id(town: Town, store: SqliteDecisions) -> None:
    """Before the genuine one it is refused, after it it gets the stored receipt; the genuine one is accepted."""
    letter = document(town, OFFICE, WARD)
    batch = decided(town, store, altered(letter), letter, altered(letter))
    assert [judgement.disposition for judgement in batch.plan.judgements] == [
        Disposition.REFUSED,
        Disposition.ACCEPTED,
        Disposition.DUPLICATE,
    ]
    assert written(batch, inbox_topic(WARD)) == [letter.value]


def test_a_final_refusal_is_remembered_and_repeated(town: Town, store: SqliteDecisions) -> None:
    """What follows from signed bytes alone will be refused for ever."""
    letter = document(town, OFFICE, WARD, document_type="thu-tinh")
    batch = decided(town, store, letter, letter)
    (receipt,) = written(batch, RECEIPTS)
    assert statement(receipt).reason == Reason.HEADER_MALFORMED
    assert written(batch, inbox_topic(OFFICE)) == [receipt, receipt]
    assert batch.plan.decisions == {letter.key: Decision(letter.digest, receipt, Urgency.NORMAL, NOW)}


def test_a_document_whose_time_ran_out_while_it_waited_is_not_delivered(
    town: Town, store: SqliteDecisions
) -> None:
    """It was in time for the broker and is late for the router."""
    letter = document(town, OFFICE, WARD, expires_at=NOW + timedelta(minutes=1))
    assert reasons(decided(town, store, letter)) == [None]
    late = decided(town, store, letter, now=NOW + timedelta(minutes=1))
    assert reasons(late) == [Reason.EXPIRED]
    assert written(late, inbox_topic(WARD)) == []


def test_without_an_inbox_the_sender_is_answered_in_the_legal_record_alone(
    town: Town, store: SqliteDecisions
) -> None:
    """A transaction that writes to a missing topic would never end."""
    letter = document(town, OFFICE, WARD, document_type="thu-tinh")
    batch = decided(town, store, letter, letter, answerable=False)
    assert len(written(batch, RECEIPTS)) == 1
    assert written(batch, inbox_topic(OFFICE)) == []


def test_a_message_id_is_used_up_by_whom_signs_with_it(town: Town, store: SqliteDecisions) -> None:
    """A refusal of the ward's forgery does not stand in the way of the office's own document."""
    genuine = document(town, OFFICE, WARD)
    header = avro.decode_header(town.letter(OFFICE, WARD, message_id=genuine.name).header)
    forged = submitted(WARD, town.forgers[WARD].seal(header, [], at=NOW), (OTHER_WARD,))
    batch = decided(town, store, forged, genuine)
    assert reasons(batch) == [Reason.SENDER_MISMATCH, None]
    assert genuine.key in batch.plan.decisions


def test_what_establishes_nobody_is_parked_with_its_bytes(town: Town, store: SqliteDecisions) -> None:
    """Key, value, place and reason are kept, nobody is answered."""
    batch = decided(town, store, b"garbage", None)
    parked = [avro.decode(value) for value in written(batch, QUARANTINE)]
    assert len(batch.plan.appends) == 2
    for offset, each in enumerate(parked):
        assert isinstance(each, QuarantineRecord)
        assert (each.reason, each.key) == (Reason.UNDECODABLE, b"sender")
        assert each.source == Source(STANDARD.topic, 0, offset)
        assert each.value == (b"garbage", None)[offset]


def test_what_is_too_large_to_be_parked_stays_where_it_is(town: Town, store: SqliteDecisions) -> None:
    """The parked record says where, and would otherwise not fit into its topic."""
    batch = decided(town, store, bytes(2 * town.verifier.policy.max_record_bytes))
    parked = avro.decode(batch.plan.appends[0].value)
    assert isinstance(parked, QuarantineRecord)
    assert (parked.reason, parked.key, parked.value) == (Reason.OVERSIZED, None, None)
    assert parked.source == Source(STANDARD.topic, 0, 0)


def test_a_receipt_of_hand_over_is_forwarded_once_byte_for_byte(town: Town, store: SqliteDecisions) -> None:
    """To the legal record and to the sender of the document; a copy of it does nothing, in either lane."""
    letter = document(town, OFFICE, WARD)
    receipt = handover(town, letter, WARD)
    batch = decided(town, store, letter, receipt, receipt)
    assert written(batch, RECEIPTS)[1:] == written(batch, inbox_topic(OFFICE))[1:] == [receipt.value]
    assert batch.plan.decisions[receipt.key] == Decision(receipt.digest, None)
    assert [judgement.document for judgement in batch.plan.judgements] == [
        None,
        batch.plan.decisions[letter.key],
        None,
    ]
    keep(store, batch)
    assert decided(town, store, receipt, place=EXPRESS).plan.appends == []


def test_another_receipt_of_the_same_hand_over_is_a_conflict(town: Town, store: SqliteDecisions) -> None:
    """The first one is in the legal record; who takes a document twice attests it once."""
    letter = document(town, OFFICE, WARD)
    forger = town.forgers[WARD]
    envelope_id = message_id_of(town.letter(OFFICE, WARD, message_id=letter.name))
    second = forger.handover(envelope_id, letter.digest, OFFICE, NOW)
    second = replace(second, occurred_at=NOW + timedelta(seconds=1))
    batch = decided(town, store, letter, handover(town, letter, WARD), forger.signed(second, NOW))
    assert reasons(batch) == [None, None, Reason.MESSAGE_ID_CONFLICT]
    assert statement(written(batch, inbox_topic(WARD))[-1]).reason == Reason.MESSAGE_ID_CONFLICT


def test_a_recipient_attests_each_status_of_a_document_once(town: Town, store: SqliteDecisions) -> None:
    """Arrived, accepted, done: each is forwarded, now and in a later batch; a second receipt of one is a conflict."""
    letter = document(town, OFFICE, WARD)
    arrived, accepted, done = (handover(town, letter, WARD, status) for status in ("01", "03", "06"))
    batch = decided(town, store, letter, arrived, accepted)
    assert written(batch, inbox_topic(OFFICE))[1:] == [arrived.value, accepted.value]
    keep(store, batch)
    forger = town.forgers[WARD]
    again = forger.handover(
        message_id_of(town.letter(OFFICE, WARD, message_id=letter.name)), letter.digest, OFFICE, NOW
    )
    again = replace(again, status="03", occurred_at=NOW + timedelta(seconds=1))
    later = decided(town, store, done, accepted, forger.signed(again, NOW))
    assert written(later, inbox_topic(OFFICE)) == [done.value]
    assert reasons(later) == [None, None, Reason.MESSAGE_ID_CONFLICT]


@pytest.mark.parametrize("known", [False, True])
def test_nobody_attests_what_was_not_consigned_to_it(town: Town, store: SqliteDecisions, known: bool) -> None:
    """Neither an outsider about a document of others nor anybody about a document that nobody has seen."""
    letter = document(town, OFFICE, WARD)
    claimed = handover(town, letter, OTHER_WARD if known else WARD)
    batch = decided(town, store, *([letter] if known else []), claimed)
    assert reasons(batch)[-1] is Reason.RECEIPT_NOT_ALLOWED
    assert claimed.value not in written(batch, RECEIPTS)
    assert claimed.key not in batch.plan.decisions
    answers = written(batch, inbox_topic(claimed.signer))
    assert [statement(value).event for value in answers] == [Event.SUBMISSION_REJECTION]


def test_a_hand_over_is_of_the_very_document(town: Town, store: SqliteDecisions) -> None:
    """Another digest under the same message id is another document."""
    letter = document(town, OFFICE, WARD)
    batch = decided(town, store, letter, handover(town, rival(town, letter, Urgency.NORMAL), WARD))
    assert reasons(batch) == [None, Reason.RECEIPT_NOT_ALLOWED]


def test_a_refused_document_is_handed_over_to_nobody(town: Town, store: SqliteDecisions) -> None:
    """Its receipt lists no recipient."""
    letter = document(town, OFFICE, WARD, document_type="thu-tinh")
    batch = decided(town, store, letter, handover(town, letter, WARD))
    assert reasons(batch) == [Reason.HEADER_MALFORMED, Reason.RECEIPT_NOT_ALLOWED]


def test_a_hand_over_does_not_come_before_its_consignment(town: Town, store: SqliteDecisions) -> None:
    """A recipient cannot have had what the axis did not have yet."""
    letter = document(town, OFFICE, WARD)
    keep(store, decided(town, store, letter, now=NOW + timedelta(hours=1)))
    assert reasons(decided(town, store, handover(town, letter, WARD))) == [Reason.SIGNING_TIME_SKEWED]


def test_the_same_receipt_about_documents_of_two_senders_is_two_receipts(
    town: Town, store: SqliteDecisions
) -> None:
    """Two senders may have chosen the same message id, one of them on purpose."""
    first = express(town, OFFICE, OTHER_WARD)
    second = document(town, WARD, OTHER_WARD, message_id=first.name)
    batch = decided(
        town, store, first, second, handover(town, first, OTHER_WARD), handover(town, second, OTHER_WARD)
    )
    assert reasons(batch) == [None] * 4


def test_deciding_stops_at_a_limit_but_not_before_the_first(town: Town, store: SqliteDecisions) -> None:
    """A plan grows until it has reached the limit, and then no further, so that one large document does not stop a lane."""
    letters = [document(town, OFFICE, WARD) for _ in range(3)]
    records = [Record(STANDARD.topic, 0, number, NOW, b"", each.value) for number, each in enumerate(letters)]
    candidates = town.examiner().examine(records, town.directory)
    decider = town.decider(store)
    batch = Batch(town.directory)
    assert decider.extend(batch, candidates, 1) == 1
    assert decider.extend(batch, candidates[1:], 1) == 0
    assert [judgement.record for judgement in batch.plan.judgements] == records[:1]
