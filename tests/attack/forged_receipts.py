"""Receipts about a document of the office that are not what they claim to be, and why each is rejected."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from axis.apps.site import AXIS_NODE
from axis.core.addressing import OrganisationCode
from axis.core.digest import Digest
from axis.core.receipt import Event, Outcome, Receipt, RecipientOutcome, SignedReceipt
from axis.producers.identity import new_message_id
from axis.schemas import avro
from axis.storage.journal import StoredSubmission
from tests.attack.stage import OFFICE, OTHER_WARD, WARD, Stage

Forgery = Callable[[Stage, StoredSubmission, datetime], bytes]


def handover(stage: Stage, code: str, submission: StoredSubmission, now: datetime) -> Receipt:
    """An organisation's statement that it was handed the document."""
    return stage.forger(code).handover(submission.message_id, submission.digest, OFFICE, now)


def acceptance(submission: StoredSubmission, now: datetime, issuer: str) -> Receipt:
    """A statement that the document was accepted for another ward."""
    return Receipt(
        event=Event.SUBMISSION_ACCEPTANCE,
        environment="attack",
        message_id=submission.message_id,
        envelope_digest=submission.digest,
        sender=OrganisationCode(OFFICE),
        issuer=OrganisationCode(issuer),
        occurred_at=now,
        outcomes=(RecipientOutcome(OTHER_WARD, Outcome.CONSIGNED),),
        directory_version="sha256:0000000000000000",
        policy_version="2026-11",
    )


def stripped(stage: Stage, submission: StoredSubmission, now: datetime) -> bytes:
    """The ward's genuine statement without its signature."""
    statement = avro.encode_receipt(handover(stage, WARD, submission, now))
    return avro.encode_signed_receipt(SignedReceipt(statement, b""))


def under_another_signature(stage: Stage, submission: StoredSubmission, now: datetime) -> bytes:
    """The ward's statement with the signature of another statement of the ward's."""
    ward = stage.forger(WARD)
    other = avro.decode(ward.signed(ward.handover(new_message_id(now), submission.digest, OFFICE, now), now))
    assert isinstance(other, SignedReceipt)
    statement = avro.encode_receipt(handover(stage, WARD, submission, now))
    return avro.encode_signed_receipt(SignedReceipt(statement, other.signature))


def by_no_recipient(stage: Stage, submission: StoredSubmission, now: datetime) -> bytes:
    """A hand-over to an organisation that the document was not consigned to."""
    return stage.forger(OTHER_WARD).signed(handover(stage, OTHER_WARD, submission, now), now)


def in_the_wards_name(stage: Stage, submission: StoredSubmission, now: datetime) -> bytes:
    """A hand-over in the ward's name under another organisation's key."""
    return stage.forger(WARD, signed_by=OTHER_WARD).signed(handover(stage, WARD, submission, now), now)


def acceptance_by_a_member(stage: Stage, submission: StoredSubmission, now: datetime) -> bytes:
    """An acceptance that the ward signed, which would add a recipient."""
    return stage.forger(WARD).signed(acceptance(submission, now, WARD), now)


def about_another_message(stage: Stage, submission: StoredSubmission, now: datetime) -> bytes:
    """The axis's acceptance of a document that this node did not send."""
    receipt = replace(
        acceptance(submission, now, AXIS_NODE),
        message_id=new_message_id(now),
        envelope_digest=Digest(bytes(32)),
    )
    return stage.forger(AXIS_NODE).signed(receipt, now)


def of_another_digest(stage: Stage, submission: StoredSubmission, now: datetime) -> bytes:
    """The axis's rejection of another envelope under the same message id."""
    receipt = replace(
        acceptance(submission, now, AXIS_NODE),
        event=Event.SUBMISSION_REJECTION,
        envelope_digest=Digest(bytes(32)),
    )
    return stage.forger(AXIS_NODE).signed(receipt, now)


def of_another_message_id(stage: Stage, submission: StoredSubmission, now: datetime) -> bytes:
    """The ward's statement about the right envelope under a message id of its own making."""
    receipt = replace(handover(stage, WARD, submission, now), message_id=new_message_id(now))
    return stage.forger(WARD).signed(receipt, now)


def for_another_sender(stage: Stage, submission: StoredSubmission, now: datetime) -> bytes:
    """The ward's statement about this envelope, made out to somebody else."""
    receipt = replace(handover(stage, WARD, submission, now), sender=OrganisationCode(OTHER_WARD))
    return stage.forger(WARD).signed(receipt, now)


def of_the_demo(stage: Stage, submission: StoredSubmission, now: datetime) -> bytes:
    """The ward's statement in another installation."""
    receipt = replace(handover(stage, WARD, submission, now), environment="demo")
    return stage.forger(WARD).signed(receipt, now)


FORGERIES: list[tuple[Forgery, str]] = [
    (stripped, "signature-missing"),
    (under_another_signature, "signature-invalid"),
    (by_no_recipient, "receipt-not-allowed"),
    (in_the_wards_name, "certificate-not-enrolled"),
    (acceptance_by_a_member, "receipt-not-allowed"),
    (about_another_message, "receipt-not-ours"),
    (of_another_digest, "receipt-not-ours"),
    (of_another_message_id, "receipt-not-ours"),
    (for_another_sender, "receipt-not-ours"),
    (of_the_demo, "environment-mismatch"),
]
