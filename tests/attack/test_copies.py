"""Copies of an envelope: genuine, altered, re-signed, under a used message id; and what is remembered of each."""

from dataclasses import replace

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from axis.clock import SystemClock
from axis.core.addressing import OrganisationCode
from axis.core.disposition import Reason
from axis.core.envelope import Envelope
from axis.core.receipt import Event, Receipt
from axis.core.topics import SUBMISSIONS_EXPRESS, SUBMISSIONS_STANDARD
from axis.schemas import avro
from tests.attack.forge import part
from tests.attack.stage import OFFICE, OTHER_WARD, WARD, WITHOUT_INBOX, Stage

pytestmark = pytest.mark.kafka
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def answer(
    stage: Stage, envelope: Envelope, sender: str = OFFICE, topic: str = SUBMISSIONS_STANDARD
) -> tuple[bytes, Receipt]:
    """Publish an envelope and wait for the receipt that is about this very record."""
    return stage.receipt_for(stage.put(avro.encode_envelope(envelope), sender=sender, topic=topic))


def repeat(stage: Stage, envelope: Envelope, sender: str = OFFICE) -> None:
    """Publish an envelope that was answered before, and wait until the router is past it."""
    stage.put(avro.encode_envelope(envelope), sender=sender)
    stage.settled(sender)


def test_an_altered_copy_before_the_genuine_one_does_not_burn_the_message_id(stage: Stage) -> None:
    """Whoever damages a copy and is faster must not keep the genuine envelope from being accepted."""
    letter = stage.forger(OFFICE).letter(WARD, SystemClock().now())
    damaged = replace(letter, parts=(replace(letter.parts[0], content=b"X" * letter.parts[0].size),))
    assert answer(stage, damaged)[1].reason == Reason.PART_ALTERED
    assert answer(stage, letter, topic=SUBMISSIONS_EXPRESS)[1].reason == Reason.WRONG_LANE
    assert answer(stage, letter)[1].event is Event.SUBMISSION_ACCEPTANCE
    stage.settled()
    assert stage.documents(WARD, letter) == [avro.encode_envelope(letter)]


def test_an_altered_copy_after_the_genuine_one_changes_nothing(stage: Stage) -> None:
    """It gets the stored receipt, and nobody gets it."""
    letter = stage.forger(OFFICE).letter(WARD, SystemClock().now())
    receipt, _ = answer(stage, letter)
    repeat(stage, replace(letter, parts=(part(content=b"another content"),)))
    assert len(stage.in_inbox(OFFICE, receipt)) == 2
    assert stage.documents(WARD, letter) == [avro.encode_envelope(letter)]


def test_a_repetition_is_answered_alike_after_a_restart_and_after_a_lost_disk(stage: Stage) -> None:
    """The same envelope again, at whatever time, makes no second delivery and gets the same receipt byte for byte."""
    letter = stage.forger(OFFICE).letter(WARD, SystemClock().now())
    receipt, _ = answer(stage, letter)
    repeat(stage, letter)
    stage.restart_router(without_store=False)
    repeat(stage, letter)
    stage.restart_router(without_store=True)
    repeat(stage, letter)
    assert len(stage.in_inbox(OFFICE, receipt)) == 4
    assert len(stage.documents(WARD, letter)) == 1


def test_a_final_refusal_is_repeated_byte_for_byte(stage: Stage) -> None:
    """A refusal that follows from signed bytes is as final as an acceptance."""
    letter = stage.forger(OFFICE).letter(WARD, SystemClock().now(), document_type="thu-tinh")
    receipt, _ = answer(stage, letter)
    repeat(stage, letter)
    assert len(stage.in_inbox(OFFICE, receipt)) == 2


def test_another_document_under_a_used_message_id_is_a_conflict(stage: Stage) -> None:
    """The first one stands, the second is refused each time, and the first still gets its own receipt."""
    office = stage.forger(OFFICE)
    now = SystemClock().now()
    header = office.header(WARD, now)
    first = office.seal(header, [part()], at=now)
    second = office.seal(replace(header, recipients=(OTHER_WARD,)), [part()], at=now)
    receipt, _ = answer(stage, first)
    for _ in range(2):
        assert answer(stage, second)[1].reason == Reason.MESSAGE_ID_CONFLICT
    repeat(stage, first)
    assert len(stage.in_inbox(OFFICE, receipt)) == 2
    assert not stage.documents(OTHER_WARD, second)


def test_the_other_form_of_an_ecdsa_signature_is_the_same_envelope(stage: Stage) -> None:
    """(r, n - s) verifies where (r, s) does; it makes other bytes and no other document."""
    letter = stage.forger(OFFICE).letter(WARD, SystemClock().now())
    receipt, _ = answer(stage, letter)
    repeat(stage, replace(letter, signature=mirrored(letter.signature)))
    assert len(stage.in_inbox(OFFICE, receipt)) == 2
    assert len(stage.documents(WARD, letter)) == 1


def mirrored(signature: bytes) -> bytes:
    """The CMS structure with s replaced by n - s."""
    info = cms.ContentInfo.load(signature)
    signer = info["content"]["signer_infos"][0]
    r, s = decode_dss_signature(signer["signature"].native)
    signer["signature"] = encode_dss_signature(r, P256_ORDER - s)
    mirrored: bytes = info.dump(force=True)
    assert mirrored != signature
    return mirrored


def test_a_message_id_belongs_to_whom_signs_with_it(stage: Stage) -> None:
    """Another organisation can neither take an organisation's message id nor burn it."""
    now = SystemClock().now()
    header = stage.forger(OFFICE).header(OTHER_WARD, now)
    stolen = stage.forger(OFFICE, signed_by=WARD).seal(header, [part()], at=now)
    assert answer(stage, stolen, WARD)[1].reason == Reason.SENDER_MISMATCH
    own = stage.forger(WARD).seal(replace(header, sender=OrganisationCode(WARD)), [part()], at=now)
    # The ward's own document under that id was answered with the refusal above, which is the ward's alone.
    assert answer(stage, own, WARD)[1].reason == Reason.MESSAGE_ID_CONFLICT
    genuine = stage.forger(OFFICE).seal(header, [part()], at=now)
    assert answer(stage, genuine)[1].event is Event.SUBMISSION_ACCEPTANCE


def test_a_sender_without_an_inbox_is_refused_and_stops_nobody(stage: Stage) -> None:
    """Its receipt is in the legal record alone, and its partition keeps moving."""
    now = SystemClock().now()
    letter = stage.forger(WITHOUT_INBOX).letter(WARD, now)
    for _ in range(2):
        assert answer(stage, letter, WITHOUT_INBOX)[1].reason == Reason.INBOX_MISSING
    faulty = stage.forger(WITHOUT_INBOX).letter(WARD, now, document_type="thu-tinh")
    assert answer(stage, faulty, WITHOUT_INBOX)[1].reason == Reason.HEADER_MALFORMED
    # Again, to be answered with the stored receipt, which has nowhere to go.
    stage.put(avro.encode_envelope(faulty), sender=WITHOUT_INBOX)
    another = stage.forger(WITHOUT_INBOX).letter(WARD, now)
    assert answer(stage, another, WITHOUT_INBOX)[1].reason == Reason.INBOX_MISSING
    assert not stage.documents(WARD, letter)


def test_one_recipient_without_an_inbox_does_not_keep_the_others_from_being_served(stage: Stage) -> None:
    """Its refusal stands beside their consignments in one receipt."""
    now = SystemClock().now()
    letter = stage.forger(OFFICE).letter(WARD, now, recipients=(WARD, WITHOUT_INBOX, "H56.66666"))
    _, receipt = answer(stage, letter)
    assert {each.recipient: each.reason for each in receipt.outcomes} == {
        WARD: None,
        WITHOUT_INBOX: Reason.INBOX_MISSING,
        "H56.66666": Reason.RECIPIENT_UNKNOWN,
    }
    assert len(stage.in_inbox(WARD, avro.encode_envelope(letter))) == 1
