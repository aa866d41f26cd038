"""Receipts that are not what they claim to be, and receipts that are lost, doubled or contradict each other."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from axis.apps import wiring
from axis.apps.audit import AUDITOR
from axis.apps.node import Node
from axis.apps.receipts import receipts_about
from axis.apps.site import AXIS_NODE
from axis.clock import SystemClock
from axis.connection import connect_as
from axis.consumers.inbox import Answer, Entry, Rejected
from axis.consumers.kafka import PartitionReader
from axis.consumers.replay import Period, Replayer, Verdict
from axis.consumers.take import unpack
from axis.core.addressing import OrganisationCode
from axis.core.consignment import State
from axis.core.digest import Digest
from axis.core.disposition import Reason
from axis.core.envelope import Envelope
from axis.core.partitioning import partition_of
from axis.core.receipt import Event, Source
from axis.core.topics import RECEIPTS, SUBMISSIONS_EXPRESS, SUBMISSIONS_STANDARD
from axis.errors import Refused
from axis.producers.identity import new_message_id
from axis.producers.publish import Draft, DraftPart, DraftRefused
from axis.schemas import avro
from axis.storage.journal import StoredDelivery, StoredSubmission
from tests.attack.forge import message_id_of
from tests.attack.forged_receipts import FORGERIES, acceptance, handover
from tests.attack.stage import OFFICE, OTHER_WARD, WARD, WITHOUT_INBOX, Stage
from tests.configuration import LANE_PARTITIONS

pytestmark = pytest.mark.kafka

DRAFT = Draft("V/v triển khai", (WARD,), (DraftPart("a.pdf", "application/pdf", b"%PDF-1.7"),))


@pytest.fixture
async def office(stage: Stage, tmp_path: Path) -> AsyncIterator[Node]:
    """The office's node with an empty journal, which stores large parts where the site does."""
    blobs = stage.settings.folder / stage.settings.blobs.removeprefix("file:")
    own = replace(stage.settings, folder=tmp_path, blobs=f"file:{blobs}")
    async with Node.open(own, OrganisationCode(OFFICE)) as node:
        yield node


async def read(node: Node) -> dict[int, Entry]:
    """Everything that the node makes of its inbox, by offset."""
    return {entry.offset: entry async for entries in node.inbox.synchronise() for entry in entries}


async def accepted(stage: Stage, office: Node) -> StoredSubmission:
    """Publish a document to the ward, and return when the office knows that it was accepted."""
    published = (await office.publisher.publish(DRAFT)).submission
    stage.settled()
    await read(office)
    submission = office.journal.submission(message_id=published.message_id)
    assert submission is not None
    assert submission.state is State.ACCEPTED
    return submission


async def test_a_forged_receipt_is_never_taken_for_ours(stage: Stage, office: Node) -> None:
    """Each is rejected with its reason, none is kept, and the consignment stays where it was."""
    submission = await accepted(stage, office)
    kept = len(office.journal.receipts(submission.message_id))
    now = SystemClock().now()
    expected = {
        stage.put_into_inbox(forgery(stage, submission, now), owner=OFFICE).offset: reason
        for forgery, reason in FORGERIES
    }
    entries = await read(office)
    reasons = {place: getattr(entries[place], "reason", type(entries[place]).__name__) for place in expected}
    assert reasons == expected
    assert len(office.journal.receipts(submission.message_id)) == kept
    present = office.journal.submission(message_id=submission.message_id)
    assert present is not None
    assert present.state is State.ACCEPTED


OWN_PARTITION = partition_of(OFFICE, LANE_PARTITIONS)


@pytest.mark.parametrize(
    ("topic", "partition", "reason"),
    [
        (SUBMISSIONS_EXPRESS, OWN_PARTITION, Reason.WRONG_LANE),
        (SUBMISSIONS_STANDARD, (OWN_PARTITION + 1) % LANE_PARTITIONS, Reason.WRONG_PARTITION),
    ],
)
async def test_a_copy_in_a_wrong_place_is_no_verdict(
    stage: Stage, office: Node, topic: str, partition: int, reason: Reason
) -> None:
    """Who copies a document to where its sender did not put it does not make the sender believe that it was refused."""
    stored = await office.publisher.prepare(DRAFT)
    _, receipt = stage.receipt_for(stage.put(stored.value, sender=OFFICE, topic=topic, partition=partition))
    assert receipt.reason == reason
    stage.settled()
    about = [
        entry
        for entry in (await read(office)).values()
        if isinstance(entry, Answer) and entry.receipt.message_id == stored.message_id
    ]
    assert [(entry.receipt, entry.repeated) for entry in about] == [(receipt, False)]
    present = office.journal.submission(message_id=stored.message_id)
    assert present is not None
    assert present.state is State.STORED
    assert office.journal.receipts(stored.message_id) == []


async def test_an_altered_copy_is_no_verdict(stage: Stage, office: Node) -> None:
    """Who submits a document altered, where its sender would put it, does not make the sender believe that it was refused."""
    stored = await office.publisher.prepare(DRAFT)
    envelope = avro.decode(stored.value)
    assert isinstance(envelope, Envelope)
    [part] = envelope.parts
    other_header = replace(envelope, header=envelope.header[:-1] + bytes([envelope.header[-1] ^ 1]))
    other_part = replace(envelope, parts=(replace(part, content=bytes(part.size)),))
    for copy in (other_header, other_part):
        _, receipt = stage.receipt_for(stage.put(avro.encode_envelope(copy), sender=OFFICE))
        assert (receipt.reason, receipt.envelope_digest) == (Reason.PART_ALTERED, stored.digest)
    stage.settled()
    await read(office)
    present = office.journal.submission(message_id=stored.message_id)
    assert present is not None
    assert present.state is State.STORED
    assert office.journal.receipts(stored.message_id) == []


async def test_a_document_that_its_sender_misplaced_is_rejected(stage: Stage, office: Node) -> None:
    """A refusal for its place is a verdict where the sender itself put the document there."""
    stored, now = await office.publisher.prepare(DRAFT), SystemClock().now()
    refusal = replace(
        acceptance(stored, now, AXIS_NODE),
        event=Event.SUBMISSION_REJECTION,
        outcomes=(),
        reason=Reason.WRONG_PARTITION,
        source=Source(stored.topic, OWN_PARTITION, 7),
    )
    stage.put_into_inbox(stage.forger(AXIS_NODE).signed(refusal, now), owner=OFFICE)
    await read(office)
    present = office.journal.submission(message_id=stored.message_id)
    assert present is not None
    assert present.state is State.REJECTED


async def test_a_handover_before_the_acceptance_is_rejected(stage: Stage, office: Node) -> None:
    """A recipient cannot attest what the axis has not accepted, and the state of the consignment does not move."""
    submission = await office.publisher.prepare(DRAFT)
    now = SystemClock().now()
    early = stage.forger(WARD).signed(handover(stage, WARD, submission, now), now)
    place = stage.put_into_inbox(early, owner=OFFICE)
    entry = (await read(office))[place.offset]
    assert isinstance(entry, Rejected)
    assert entry.reason == "receipt-out-of-order"
    assert not office.journal.receipts(submission.message_id)


async def test_a_lost_receipt_can_be_fetched_again(stage: Stage, office: Node) -> None:
    """Submitting the same envelope again brings the same receipt, and moves the consignment nowhere back."""
    submission = await accepted(stage, office)
    before = office.journal.acceptance(submission.message_id)
    acknowledged = await office.publisher.append(submission)
    assert acknowledged.submission.state is State.ACCEPTED
    stage.settled()
    answers = [entry for entry in (await read(office)).values() if isinstance(entry, Answer)]
    again = [each for each in answers if each.receipt.message_id == submission.message_id]
    assert [each.repeated for each in again] == [True]
    assert office.journal.acceptance(submission.message_id) == before


async def test_an_acceptance_before_the_acknowledgement_is_not_undone(stage: Stage, office: Node) -> None:
    """When the acknowledgement of an append comes after the receipt, the consignment stays accepted."""
    stored = await office.publisher.prepare(DRAFT)
    stage.put(stored.value, sender=OFFICE)
    stage.settled()
    await read(office)
    acknowledged = await office.publisher.append(stored)
    present = office.journal.submission(message_id=stored.message_id)
    assert present is not None
    assert present.state is acknowledged.submission.state is State.ACCEPTED


def letter_accepted(stage: Stage, sender: str = OFFICE, **changes: object) -> Envelope:
    """Publish a document to the ward and wait for its acceptance."""
    letter = stage.forger(sender).letter(WARD, SystemClock().now(), **changes)
    _, receipt = stage.receipt_for(stage.put(avro.encode_envelope(letter), sender=sender))
    assert receipt.event is Event.SUBMISSION_ACCEPTANCE
    return letter


def test_a_handover_published_twice_is_passed_on_once(stage: Stage) -> None:
    """The same statement again, even under a fresh signature, adds nothing to inbox or legal record."""
    letter, now = letter_accepted(stage), SystemClock().now()
    ward = stage.forger(WARD)
    receipt = ward.handover(message_id_of(letter), letter.digest, OFFICE, now)
    first, resigned = ward.signed(receipt, now), ward.signed(receipt, now)
    for value in (first, first, resigned):
        stage.put(value, sender=OFFICE)
    stage.settled()
    assert len(stage.in_inbox(OFFICE, first)) == 1
    passed_on = [each for _, each in stage.receipts() if each.message_id == receipt.message_id]
    assert sorted(each.event for each in passed_on) == [Event.CONTENT_HANDOVER, Event.SUBMISSION_ACCEPTANCE]


def test_a_handover_that_contradicts_an_earlier_one_is_a_conflict(stage: Stage) -> None:
    """The recipient's first statement stands; another digest under the same message id is refused."""
    letter, now = letter_accepted(stage), SystemClock().now()
    ward = stage.forger(WARD)
    receipt = ward.handover(message_id_of(letter), letter.digest, OFFICE, now)
    stage.put(ward.signed(receipt, now), sender=OFFICE)
    other = ward.signed(replace(receipt, envelope_digest=Digest(bytes(32))), now)
    _, refusal = stage.receipt_for(stage.put(other, sender=OFFICE))
    assert (refusal.sender, refusal.reason) == (WARD, Reason.MESSAGE_ID_CONFLICT)


def test_a_message_id_chosen_to_collide_does_not_suppress_a_receipt(stage: Stage) -> None:
    """Who uses another sender's message id for a document to the same ward keeps no receipt from that sender."""
    letter, now = letter_accepted(stage), SystemClock().now()
    message_id = message_id_of(letter)
    collision = letter_accepted(stage, OTHER_WARD, message_id=message_id)
    ward = stage.forger(WARD)
    for_attacker = ward.signed(ward.handover(message_id, collision.digest, OTHER_WARD, now), now)
    for_office = ward.signed(ward.handover(message_id, letter.digest, OFFICE, now), now)
    stage.put(for_attacker, sender=OTHER_WARD)
    stage.put(for_office, sender=OFFICE)
    stage.settled(OTHER_WARD)
    stage.settled()
    assert len(stage.in_inbox(OTHER_WARD, for_attacker)) == 1
    assert len(stage.in_inbox(OFFICE, for_office)) == 1


def test_a_handover_for_a_sender_without_an_inbox_is_answered(stage: Stage) -> None:
    """The recipient learns that its receipt cannot be passed on, and its partition keeps moving."""
    ward, now = stage.forger(WARD), SystemClock().now()
    receipt = ward.handover(new_message_id(now), Digest(bytes(32)), WITHOUT_INBOX, now)
    _, refusal = stage.receipt_for(stage.put(ward.signed(receipt, now), sender=WITHOUT_INBOX))
    assert (refusal.sender, refusal.reason) == (WARD, Reason.INBOX_MISSING)


async def test_parts_that_no_record_holds_together_are_delivered_whole(
    stage: Stage, office: Node, tmp_path: Path
) -> None:
    """More small parts than fit into a record arrive, each of them as it was published."""
    contents = {f"{number}.bin": bytes([number]) * 65_536 for number in range(17)}
    parts = tuple(DraftPart(name, "application/octet-stream", content) for name, content in contents.items())
    published = (await office.publisher.publish(replace(DRAFT, parts=parts))).submission
    stage.settled()
    assert len(stage.in_inbox(WARD, published.value)) == 1
    delivery = StoredDelivery(
        OFFICE, published.message_id, published.digest, published.value, published.stored_at, None, False
    )
    files = (await unpack(delivery, tmp_path / "to", office.blobs)).files
    assert {path.name: path.read_bytes() for path in files} == contents


async def test_a_header_over_the_limit_is_refused_before_anything_is_sent(stage: Stage, office: Node) -> None:
    """The publisher says what is too large; neither lane nor journal has anything of it."""
    references = (new_message_id(SystemClock().now()),) * 4000
    before = stage.end_of_lane(OFFICE)
    with pytest.raises(DraftRefused, match="expected at most") as caught:
        await office.publisher.publish(replace(DRAFT, references=references))
    assert caught.value.reason == Reason.HEADER_TOO_LARGE
    assert stage.end_of_lane(OFFICE) == before
    assert not office.journal.submissions()


async def test_an_auditor_is_shown_whose_receipts_attest_nothing(stage: Stage) -> None:
    """A member's acceptance and a receipt of another installation are refused by name, although their signatures hold."""
    now = SystemClock().now()
    letter = letter_accepted(stage)
    message_id = message_id_of(letter)
    submission = StoredSubmission(message_id, letter.digest, SUBMISSIONS_STANDARD, b"", State.SUBMITTED, now)
    handed_over = handover(stage, WARD, submission, now)
    for code, receipt in (
        (WARD, acceptance(submission, now, WARD)),
        (AXIS_NODE, replace(acceptance(submission, now, AXIS_NODE), environment="demo")),
        (WARD, replace(handed_over, environment="demo")),
        (WARD, handed_over),
    ):
        stage.put(stage.forger(code).signed(receipt, now), sender=message_id, topic=RECEIPTS)
    expected = [None, "receipt-not-allowed", "environment-mismatch", "environment-mismatch", None]

    shown = await receipts_about(stage.settings, AUDITOR, message_id)
    assert [each.refusal and each.refusal.reason for each in shown] == expected
    assert [each.verified is None for each in shown] == [each is not None for each in expected]

    async with PartitionReader(connect_as(AUDITOR, stage.settings.broker, "test")) as reader:
        replayer = Replayer(
            reader,
            stage.verifier,
            wiring.directory(stage.settings).current(),
            lambda *_: None,
            axis=stage.settings.node,
            environment=stage.settings.environment,
        )
        rows = [each for each in await replayer.replay(Period((RECEIPTS,))) if each.message_id == message_id]
    assert [each.reason for each in rows] == expected
    assert [each.verdict is Verdict.REFUSED for each in rows] == [each is not None for each in expected]


async def test_what_the_broker_will_not_take_is_refused_clearly(office: Node) -> None:
    """A record that slipped past the publisher's own limit is refused by name of the topic, not retried."""
    stored = await office.publisher.prepare(DRAFT)
    with pytest.raises(Refused, match=SUBMISSIONS_STANDARD):
        await office.publisher.append(replace(stored, value=bytes(1_200_000)))
