"""Match receipts with what this node sent: documents, and receipts of hand-over.

A receipt that concerns nothing of this node's, or that its issuer may not attest, is refused. What is kept moves the
submission on, with one exception: the axis's refusal of a copy that this node did not make says nothing about the
document. Everybody can put a document that he has received into a wrong place, or submit it altered.
"""

from functools import lru_cache
from typing import Final

from axis.consumers.verify import VerifiedReceipt
from axis.core.addressing import OrganisationCode
from axis.core.consignment import STEP_OF, Step, advance
from axis.core.digest import digests_equal
from axis.core.disposition import UNREMEMBERED, Reason
from axis.core.envelope import MessageId
from axis.core.partitioning import partition_of
from axis.core.receipt import Event, Outcome, Receipt, SignedReceipt
from axis.core.rejection import NodeReason
from axis.core.routing import consigned
from axis.errors import IllegalTransition, IntegrityError, Refused
from axis.ports import PartitionId, Record
from axis.schemas import avro
from axis.storage.journal import Journal, StoredDelivery, StoredReceipt, StoredSubmission

_MISDATED: Final = frozenset({Reason.SIGNING_TIME_SKEWED, Reason.EXPIRED})
"""Reasons that lie in the time that was signed: the same receipt of hand-over does not pass, one signed later may."""
_PASSING: Final = UNREMEMBERED - _MISDATED - {Reason.MESSAGE_ID_CONFLICT}
"""Reasons for which the same receipt of hand-over may pass later; a conflict says that the sender has another one."""


class Answers:
    """The receipts about what one organisation sent.

    Args:
        owner: its code.
        axis: code of the axis node, whose receipts are the axis's.
        journal: the organisation's journal.
        lane_partitions: partitions of each submission lane.
    """

    def __init__(
        self, *, owner: OrganisationCode, axis: OrganisationCode, journal: Journal, lane_partitions: int
    ) -> None:
        self._owner = owner
        self._axis = axis
        self._journal = journal
        self._partition = partition_of(owner, lane_partitions)

    def keep(self, record: Record, verified: VerifiedReceipt) -> bool:
        """Keep a receipt, move on what it is about, and return whether it is new.

        Raises:
            Refused: it is about nothing that this node sent, or its issuer may not attest it.
            IllegalTransition: the state of the submission does not allow it.
        """
        receipt = verified.receipt
        # Without a message id the journal would be asked for every delivery.
        if receipt.event is Event.SUBMISSION_REJECTION and receipt.message_id is not None:
            deliveries = list(self._journal.deliveries(message_id=receipt.message_id))
            for delivery in deliveries:
                if _is_about(receipt, delivery):
                    return self._handover_refused(record, verified, delivery)
            if deliveries and self._is_about_nothing_sent(receipt):
                return self._earlier_handover_refused(record, verified)
        submission = self._submission_of(receipt)
        if receipt.event.by_axis:
            check_issuer(verified, self._axis)
            if self._is_about_another_copy(receipt, submission):
                # Under no message id: it is no verdict on the submission.
                return self._add(record, verified, None)
            step = STEP_OF[receipt.event]
        else:
            step = self._handover_step(verified, submission)
        state = advance(submission.state, step)
        fresh = self._add(record, verified, submission.message_id)
        self._journal.set_state(submission.message_id, state)
        return fresh

    def _handover_refused(self, record: Record, verified: VerifiedReceipt, delivery: StoredDelivery) -> bool:
        """Keep the axis's answer to a receipt of hand-over; let it be appended again, or signed anew, if that may help."""
        check_issuer(verified, self._axis)
        # Under no message id: the sender of the document chose it, and one of ours may be the same.
        fresh = self._add(record, verified, None)
        if fresh and verified.receipt.reason in _PASSING:
            self._journal.set_handover_appended(delivery, appended=False)
        elif fresh and verified.receipt.reason in _MISDATED:
            self._journal.withdraw_handover(delivery)
        return fresh

    def _is_about_nothing_sent(self, receipt: Receipt) -> bool:
        """Tell whether the axis answers this organisation about something that is no submission of the journal."""
        digest = receipt.envelope_digest
        return receipt.sender == self._owner and self._journal.submission(digest=digest) is None

    def _earlier_handover_refused(self, record: Record, verified: VerifiedReceipt) -> bool:
        """Keep another answer to a receipt of hand-over that was withdrawn since; the one of today is not touched."""
        check_issuer(verified, self._axis)
        return self._add(record, verified, None)

    def _is_about_another_copy(self, receipt: Receipt, submission: StoredSubmission) -> bool:
        """Tell whether the axis refused what somebody else made of the document: elsewhere, unreadable, or altered."""
        if receipt.event is not Event.SUBMISSION_REJECTION:
            return False
        source = receipt.source
        own = PartitionId(submission.topic, self._partition)
        elsewhere = source is None or PartitionId(source.topic, source.partition) != own
        # The header that this node sent can be read, and its parts are as it signed them.
        return elsewhere or receipt.message_id is None or receipt.reason == Reason.PART_ALTERED

    def _add(self, record: Record, verified: VerifiedReceipt, message_id: MessageId | None) -> bool:
        return self._journal.add_receipt(
            StoredReceipt(
                verified.digest,
                message_id,
                verified.receipt.event,
                verified.receipt.issuer,
                record.value or b"",
                record.appended_at,
            )
        )

    def _submission_of(self, receipt: Receipt) -> StoredSubmission:
        """Return what a receipt is about: matched by digest, which the message id must agree with."""
        submission = self._journal.submission(message_id=receipt.message_id, digest=receipt.envelope_digest)
        if (
            submission is None
            or receipt.sender != self._owner
            or not digests_equal(submission.digest, receipt.envelope_digest)
            or receipt.message_id not in {None, submission.message_id}
        ):
            raise Refused(
                NodeReason.RECEIPT_NOT_OURS, f"it is about {receipt.message_id}, which this node did not send"
            )
        return submission

    def _handover_step(self, verified: VerifiedReceipt, submission: StoredSubmission) -> Step:
        """Check that the issuer was consigned to, and tell whether it is the last one."""
        acceptance = self._journal.acceptance(submission.message_id)
        if acceptance is None:
            raise IllegalTransition(
                f"{verified.issuer} attests a hand-over before the axis attested acceptance"
            )
        recipients = _recipients(acceptance)
        outcomes = [(o.recipient, o.outcome) for o in verified.receipt.outcomes]
        if verified.issuer not in recipients or outcomes != [(verified.issuer, Outcome.HANDED_OVER)]:
            raise Refused(
                Reason.RECEIPT_NOT_ALLOWED, f"{verified.issuer} is no recipient of {submission.message_id}"
            )
        handed_over = self._journal.handed_over_to(submission.message_id)
        return Step.LAST_HANDOVER if recipients <= handed_over | {verified.issuer} else Step.HANDOVER


def check_issuer(verified: VerifiedReceipt, expected: OrganisationCode) -> None:
    """Refuse a receipt whose issuer may not attest its event.

    Raises:
        Refused: `receipt-not-allowed`.
    """
    if verified.issuer != expected:
        raise Refused(
            Reason.RECEIPT_NOT_ALLOWED,
            f"{verified.receipt.event} was issued by {verified.issuer}, not {expected}",
        )


def _is_about(receipt: Receipt, delivery: StoredDelivery) -> bool:
    """Tell whether a receipt answers the receipt of hand-over of this document."""
    if delivery.receipt is None:
        return False
    signed = avro.decode(delivery.receipt)
    return isinstance(signed, SignedReceipt) and digests_equal(signed.digest, receipt.envelope_digest)


@lru_cache(maxsize=64)
def _recipients(acceptance: bytes) -> frozenset[str]:
    """Return who was consigned to, from a receipt of acceptance that was verified before it was kept."""
    signed = avro.decode(acceptance)
    if not isinstance(signed, SignedReceipt):
        raise IntegrityError("the journal holds something else than a receipt")
    return frozenset(consigned(avro.decode_receipt(signed.statement).outcomes))
