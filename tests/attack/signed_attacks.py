"""Attacks by an established sender within what it signs: manifests, names, headers, recipients, receipts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from axis.core.digest import Digest
from axis.core.disposition import Reason
from axis.core.envelope import Envelope, MessageId
from axis.core.receipt import Event, Outcome, RecipientOutcome, Source
from axis.core.topics import SUBMISSIONS_STANDARD
from axis.producers.identity import new_message_id
from axis.schemas import registry
from tests.attack.forge import message_id_of, part
from tests.attack.stage import (
    ENDED,
    OFFICE,
    OTHER_WARD,
    SUSPENDED,
    WARD,
    Stage,
)
from tests.attack.striking import (
    Struck,
    against,
    attest,
    header_attack,
    manifest_attack,
    parts_attack,
    submit,
)


@against(Reason.MANIFEST_MALFORMED)
def entity_expansion(stage: Stage, now: datetime) -> Struck:
    """A manifest with a document type declaration whose entities expand without end."""
    bomb = (
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
        b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>\n<asic:ASiCManifest'
    )
    return manifest_attack(stage, now, lambda plain: plain.replace(b"<asic:ASiCManifest", bomb, 1))


@against(Reason.MANIFEST_MALFORMED)
def external_entity(stage: Stage, now: datetime) -> Struck:
    """A manifest that would read a file of the router's machine."""
    reads = b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]>\n<asic:ASiCManifest'
    return manifest_attack(stage, now, lambda plain: plain.replace(b"<asic:ASiCManifest", reads, 1))


@against(Reason.MANIFEST_MALFORMED)
def other_digest_algorithm(stage: Stage, now: datetime) -> Struck:
    """A manifest that lists SHA-1."""
    sha1 = b"http://www.w3.org/2000/09/xmldsig#sha1"
    return manifest_attack(
        stage, now, lambda plain: plain.replace(b"http://www.w3.org/2001/04/xmlenc#sha256", sha1)
    )


@against(Reason.MANIFEST_MALFORMED)
def name_that_is_no_text(stage: Stage, now: datetime) -> Struck:
    """A manifest whose percent-encoded name is not UTF-8."""
    return manifest_attack(stage, now, lambda plain: plain.replace(b'"cong-van.pdf"', b'"%FF%FE"'))


@against(Reason.PART_NAME_REFUSED)
def path_as_name(stage: Stage, now: datetime) -> Struck:
    """A part that would be written elsewhere."""
    return parts_attack(stage, now, part("../../etc/cron.d/axis"))


@against(Reason.PART_NAME_REFUSED)
def same_name_twice(stage: Stage, now: datetime) -> Struck:
    """Two parts whose names differ in case alone."""
    return parts_attack(stage, now, part("Tờ trình.pdf"), part("TỜ TRÌNH.PDF"))


@against(Reason.PART_NAME_REFUSED)
def very_long_name(stage: Stage, now: datetime) -> Struck:
    """A name of half a megabyte."""
    return parts_attack(stage, now, part("a" * 300_000))


@against(Reason.HEADER_MALFORMED)
def header_of_junk(stage: Stage, now: datetime) -> Struck:
    """A signed header that no schema describes."""
    return submit(stage, stage.forger(OFFICE).seal(b"not a header", [part()], at=now))


@against(Reason.VERSION_UNKNOWN)
def header_of_a_later_version(stage: Stage, now: datetime) -> Struck:
    """A signed header in the form of Avro whose schema nobody here knows."""
    return submit(stage, stage.forger(OFFICE).seal(registry.MARKER + b"tomorrow" + b"?", [part()], at=now))


@against(Reason.HEADER_MALFORMED)
def unknown_document_type(stage: Stage, now: datetime) -> Struck:
    """A type of document that the law does not know."""
    return header_attack(stage, now, document_type="thu-tinh")


@against(Reason.VERSION_UNKNOWN)
def unknown_kind(stage: Stage, now: datetime) -> Struck:
    """Something else than a document, such as a later version may send, in a document's form."""
    return header_attack(stage, now, kind="heartbeat")


@against(Reason.HEADER_MALFORMED)
def message_id_as_path(stage: Stage, now: datetime) -> Struck:
    """A message id that is no UUID and that would mislead whoever makes a file name of it."""
    return header_attack(stage, now, message_id=MessageId("../../../root"))


@against(Reason.HEADER_MALFORMED)
def due_at_the_end_of_time(stage: Stage, now: datetime) -> Struck:
    """A moment that is in the year 10,000 for whoever shows it in Vietnamese time."""
    return header_attack(stage, now, due_at=datetime(9999, 12, 31, 23, tzinfo=UTC))


@against(Reason.HEADER_TOO_LARGE)
def large_header(stage: Stage, now: datetime) -> Struck:
    """A header over its limit."""
    return header_attack(stage, now, subject="x" * 200_000)


@against(Reason.PARTS_TOO_MANY)
def many_parts(stage: Stage, now: datetime) -> Struck:
    """A part more than an envelope may have."""
    return parts_attack(stage, now, *(part(f"{number}.pdf", b"%PDF") for number in range(101)))


@against(Reason.SENDER_MISMATCH)
def claimed_sender(stage: Stage, now: datetime) -> Struck:
    """A document in the office's name under the ward's key."""
    forger = stage.forger(OFFICE, signed_by=WARD)
    return submit(stage, forger.letter(OTHER_WARD, now), WARD)


@against(Reason.SENDER_NOT_ALLOWED)
def suspended_sender(stage: Stage, now: datetime) -> Struck:
    """A document of an organisation that is suspended."""
    return header_attack(stage, now, SUSPENDED)


@against(Reason.ENVIRONMENT_MISMATCH)
def from_the_demo(stage: Stage, now: datetime) -> Struck:
    """A document for another installation."""
    return header_attack(stage, now, environment="demo")


@against(Reason.ENVIRONMENT_MISMATCH)
def receipt_from_the_demo(stage: Stage, now: datetime) -> Struck:
    """A receipt of hand-over of another installation."""
    ward = stage.forger(WARD)
    receipt = replace(ward.handover(new_message_id(now), Digest(bytes(32)), OFFICE, now), environment="demo")
    return attest(stage, ward, receipt, now)


@against(Reason.RECIPIENTS_EMPTY)
def nobody(stage: Stage, now: datetime) -> Struck:
    """A document to nobody."""
    return header_attack(stage, now, recipients=())


@against(Reason.RECIPIENTS_TOO_MANY)
def ten_thousand(stage: Stage, now: datetime) -> Struck:
    """Ten thousand recipients."""
    return header_attack(stage, now, recipients=tuple(f"H56.{number}" for number in range(10_000)))


@against(Reason.RECIPIENT_UNKNOWN)
def unknown_recipient(stage: Stage, now: datetime) -> Struck:
    """A recipient that the directory does not know."""
    return header_attack(stage, now, recipients=("H56.66666",))


@against(Reason.RECIPIENT_UNKNOWN)
def receipt_for_nobody(stage: Stage, now: datetime) -> Struck:
    """A receipt of hand-over for a sender that the directory does not know."""
    ward = stage.forger(WARD)
    receipt = ward.handover(new_message_id(now), Digest(bytes(32)), "H56.66666/../H56", now)
    return attest(stage, ward, receipt, now)


@against(Reason.RECIPIENT_NOT_ALLOWED)
def ended_recipient(stage: Stage, now: datetime) -> Struck:
    """A recipient that ended a month ago."""
    return header_attack(stage, now, recipients=(ENDED,))


@against(Reason.EXPIRED)
def expired(stage: Stage, now: datetime) -> Struck:
    """A document that was to be delivered until a minute ago."""
    return header_attack(stage, now, expires_at=now - timedelta(minutes=1))


@against(Reason.SIGNING_TIME_SKEWED)
def signed_tomorrow(stage: Stage, now: datetime) -> Struck:
    """A signing time in the future."""
    return submit(stage, _signed_at(stage, OFFICE, now, now + timedelta(hours=1)))


@against(Reason.SIGNING_TIME_SKEWED)
def signed_long_ago(stage: Stage, now: datetime) -> Struck:
    """A signing time longer ago than a node's outbox may hold a document."""
    forger = stage.forger(WARD, signed_by=stage.planted.old)
    signed_at = now - timedelta(days=31)
    return submit(stage, forger.seal(forger.header(OTHER_WARD, now), [part()], at=signed_at), WARD)


def _signed_at(stage: Stage, sender: str, now: datetime, at: datetime) -> Envelope:
    forger = stage.forger(sender)
    return forger.seal(forger.header(WARD, now), [part()], at=at)


@against(Reason.MESSAGE_ID_CONFLICT)
def message_id_again(stage: Stage, now: datetime) -> Struck:
    """The message id of a document that was accepted, for another document."""
    office = stage.forger(OFFICE)
    header = office.header(OTHER_WARD, now)
    submit(stage, office.seal(header, [part()], at=now))
    return submit(stage, office.seal(replace(header, number="18"), [part()], at=now))


@against(Reason.RECEIPT_NOT_ALLOWED)
def handover_of_nothing(stage: Stage, now: datetime) -> Struck:
    """The ward attests the hand-over of a document that nobody sent."""
    ward = stage.forger(WARD)
    return attest(stage, ward, ward.handover(new_message_id(now), Digest(bytes(32)), OFFICE, now), now)


@against(Reason.RECEIPT_NOT_ALLOWED)
def handover_of_anothers(stage: Stage, now: datetime) -> Struck:
    """The ward attests the hand-over of a document that went to another ward alone."""
    letter = stage.forger(OFFICE).letter(OTHER_WARD, now)
    submit(stage, letter)
    ward = stage.forger(WARD)
    return attest(stage, ward, ward.handover(message_id_of(letter), letter.digest, OFFICE, now), now)


@against(Reason.RECEIPT_NOT_ALLOWED)
def handover_of_another_digest(stage: Stage, now: datetime) -> Struck:
    """The ward attests the hand-over of another envelope under the message id of one that it was sent."""
    letter = stage.forger(OFFICE).letter(WARD, now)
    submit(stage, letter)
    ward = stage.forger(WARD)
    return attest(stage, ward, ward.handover(message_id_of(letter), Digest(bytes(32)), OFFICE, now), now)


@against(Reason.RECEIPT_NOT_ALLOWED)
def acceptance_by_a_member(stage: Stage, now: datetime) -> Struck:
    """A receipt of acceptance that an ordinary member signed."""
    ward = stage.forger(WARD)
    receipt = replace(
        ward.handover(new_message_id(now), Digest(bytes(32)), OFFICE, now), event=Event.SUBMISSION_ACCEPTANCE
    )
    return attest(stage, ward, receipt, now)


@against(Reason.RECEIPT_NOT_ALLOWED)
def handover_to_another(stage: Stage, now: datetime) -> Struck:
    """The ward attests that somebody else was handed a document."""
    ward = stage.forger(WARD)
    outcomes = (RecipientOutcome(OTHER_WARD, Outcome.HANDED_OVER),)
    receipt = replace(ward.handover(new_message_id(now), Digest(bytes(32)), OFFICE, now), outcomes=outcomes)
    return attest(stage, ward, receipt, now)


def _handover_with(stage: Stage, now: datetime, **changes: Any) -> Struck:  # noqa: ANN401 - fields of a receipt
    """A hand-over of a document that the ward was sent, but for what is changed."""
    letter = stage.forger(OFFICE).letter(WARD, now)
    submit(stage, letter)
    ward = stage.forger(WARD)
    receipt = replace(ward.handover(message_id_of(letter), letter.digest, OFFICE, now), **changes)
    return attest(stage, ward, receipt, changes.get("occurred_at", now))


@against(Reason.RECEIPT_NOT_ALLOWED)
def handover_with_a_formula(stage: Stage, now: datetime) -> Struck:
    """A status that a spreadsheet would carry out."""
    return _handover_with(stage, now, status="=cmd|x")


@against(Reason.OVERSIZED)
def handover_with_a_letter(stage: Stage, now: datetime) -> Struck:
    """Half a megabyte of text for the legal record: whoever signed it, it is not looked into."""
    struck = _handover_with(stage, now, detail="V/v " * 125_000)
    return replace(struck, signer=None)


@against(Reason.RECEIPT_NOT_ALLOWED)
def handover_with_a_source(stage: Stage, now: datetime) -> Struck:
    """A place in the log, which only the axis may state."""
    return _handover_with(stage, now, source=Source(SUBMISSIONS_STANDARD, 0, 10**12))


@against(Reason.RECEIPT_NOT_ALLOWED)
def handover_by_a_long_policy(stage: Stage, now: datetime) -> Struck:
    """The name of a policy that fills pages."""
    return _handover_with(stage, now, policy_version="x" * 101)


@against(Reason.SIGNING_TIME_SKEWED)
def handover_of_last_week(stage: Stage, now: datetime) -> Struck:
    """A hand-over before the document was consigned."""
    letter = stage.forger(OFFICE).letter(WARD, now)
    submit(stage, letter)
    ward, earlier = stage.forger(WARD, signed_by=stage.planted.old), now - timedelta(days=7)
    return attest(stage, ward, ward.handover(message_id_of(letter), letter.digest, OFFICE, earlier), earlier)


@against(Reason.SIGNING_TIME_SKEWED)
def handover_of_tomorrow(stage: Stage, now: datetime) -> Struck:
    """A hand-over that is signed in the future."""
    return _handover_with(stage, now, occurred_at=now + timedelta(hours=1))


@against(Reason.SIGNING_TIME_SKEWED)
def handover_at_two_times(stage: Stage, now: datetime) -> Struck:
    """A hand-over that is said to have happened at another time than it was signed."""
    letter = stage.forger(OFFICE).letter(WARD, now)
    submit(stage, letter)
    ward = stage.forger(WARD)
    receipt = replace(
        ward.handover(message_id_of(letter), letter.digest, OFFICE, now),
        occurred_at=now + timedelta(minutes=6),
    )
    return attest(stage, ward, receipt, now)


@against(Reason.RECEIPT_NOT_ALLOWED)
def receipt_about_nothing(stage: Stage, now: datetime) -> Struck:
    """A receipt of hand-over whose message id is a text of the attacker's."""
    ward = stage.forger(WARD)
    receipt = ward.handover(MessageId("V/v nội dung mật trong nhật ký"), Digest(bytes(32)), OFFICE, now)
    return attest(stage, ward, receipt, now)
