"""Decide what becomes of examined submissions, and write the receipts.

The result is a `Plan`: everything that one transaction writes, and what is to be remembered once it is committed.
Deciding has no effect of its own; the plan is the effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from axis.consumers.examine import Candidate
from axis.consumers.idempotency import consignment_key_of, key_of, message_id_of
from axis.consumers.verify import VerifiedEnvelope, VerifiedReceipt
from axis.core.addressing import OrganisationCode
from axis.core.digest import digests_equal
from axis.core.directory import Directory
from axis.core.disposition import MISPLACED, UNREMEMBERED, Disposition, Reason
from axis.core.envelope import MessageId, Urgency
from axis.core.partitioning import partition_of
from axis.core.policy import AcceptancePolicy
from axis.core.receipt import Event, Receipt, RecipientOutcome, SignedReceipt, Source
from axis.core.routing import consigned
from axis.core.topics import QUARANTINE, RECEIPTS, ROUTER_STATE, inbox_topic
from axis.errors import IntegrityError, Refused
from axis.ports import Append, Clock, DecisionStore, Record, Signer
from axis.schemas.avro import (
    Decision,
    QuarantineRecord,
    decode,
    decode_receipt,
    encode_decision,
    encode_quarantine,
    encode_receipt,
    encode_signed_receipt,
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of one submission, for logs and metrics.

    Attributes:
        signer: who submitted it; None when nobody is established.
        recipients: the inboxes it was copied to.
        part_sizes: of an accepted envelope, in bytes.
        examined: whether the examination found what is wrong, so that nothing was left to decide.
        seconds: time spent on examining it.
        receipt: the event of the receipt that was made or forwarded; None where there was none.
        status: edXML status code of a recipient's receipt that was forwarded.
        document: what was decided about the document that such a receipt is about.
    """

    record: Record
    disposition: Disposition
    reason: Reason | None = None
    signer: OrganisationCode | None = None
    message_id: MessageId | None = None
    urgency: Urgency | None = None
    recipients: tuple[OrganisationCode, ...] = ()
    receipt: Event | None = None
    part_sizes: tuple[int, ...] = ()
    seconds: float = 0.0
    status: str | None = None
    document: Decision | None = None
    examined: bool = False


@dataclass(slots=True)
class Plan:
    """The whole effect of a batch: what one transaction writes, and what to remember once it is committed."""

    appends: list[Append] = field(default_factory=list)
    decisions: dict[str, Decision] = field(default_factory=dict)
    judgements: list[Judgement] = field(default_factory=list)
    size_bytes: int = 0

    def write(self, append: Append) -> None:
        """Add a record to be written."""
        self.appends.append(append)
        self.size_bytes += len(append.value)


_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Batch:
    """A batch being decided.

    Attributes:
        directory: what it is judged by, throughout.
        known: decisions about its keys; grows while it is decided, so that a batch sees its own duplicates.
        plan: its whole effect so far.
        now: the time that its receipts carry.
    """

    directory: Directory
    known: dict[str, Decision] = field(default_factory=dict)
    plan: Plan = field(default_factory=Plan)
    now: datetime = _NEVER


class Decider:
    """The decisions of one axis node.

    Args:
        node: organisation code of the axis, issuer of its receipts.
        environment: name of the installation.
        policy: the acceptance policy, named in receipts.
        decisions: what was decided before.
        signer: the axis's signing key.
        clock: the time that receipts carry.
        receipt_partitions: partitions of the receipts topic.
        quarantine_partitions: partitions of the quarantine topic.
    """

    def __init__(
        self,
        *,
        node: OrganisationCode,
        environment: str,
        policy: AcceptancePolicy,
        decisions: DecisionStore,
        signer: Signer,
        clock: Clock,
        receipt_partitions: int,
        quarantine_partitions: int,
    ) -> None:
        self._node = node
        self._environment = environment
        self._policy = policy
        self._decisions = decisions
        self._signer = signer
        self._clock = clock
        self._receipt_partitions = receipt_partitions
        self._quarantine_partitions = quarantine_partitions

    def extend(self, batch: Batch, candidates: Sequence[Candidate], limit_bytes: int) -> int:
        """Decide about more submissions of a batch, in order, while its plan is smaller than the limit.

        Returns:
            How many were decided: fewer than all where the plan is full.
        """
        batch.now = self._clock.now()
        keys = [key_of(each) for each in candidates]
        wanted = {key for key in (*keys, *map(consignment_key_of, candidates)) if key is not None}
        unknown = wanted - batch.known.keys()
        batch.known.update(self._decisions.lookup(unknown))
        for number, (each, key) in enumerate(zip(candidates, keys, strict=True)):
            if batch.plan.size_bytes >= limit_bytes:
                return number
            match each.verified:
                case None:
                    self._quarantine(batch, each)
                case VerifiedEnvelope() as envelope:
                    self._consign(batch, each, envelope, key)
                case VerifiedReceipt() as receipt:
                    self._forward(batch, each, receipt, key)
        return len(candidates)

    def _consign(self, batch: Batch, each: Candidate, verified: VerifiedEnvelope, key: str | None) -> None:
        """Accept, refuse, or repeat the answer of an envelope."""
        fault = each.fault
        misplaced = fault is not None and fault.reason in MISPLACED
        # A copy in a wrong place is refused as what it is: the task there need not know what was decided before.
        if not misplaced and key is not None and (prior := batch.known.get(key)) is not None:
            if prior.digest == verified.digest:
                self._repeat(batch, each, verified, prior)
                return
            fault = Refused(
                Reason.MESSAGE_ID_CONFLICT,
                f"the message id was used for {prior.digest.hex()}, now for {verified.digest.hex()}; take a new one",
            )
        fault = fault or _expired(verified, batch.now)
        outcomes = () if fault else each.outcomes
        message_id = message_id_of(each)
        urgency = verified.header.urgency if verified.header else None
        event = Event.SUBMISSION_REJECTION if fault else Event.SUBMISSION_ACCEPTANCE
        receipt = self._attest(batch, each, verified, event, verified.signer, outcomes, fault)
        value = each.record.value
        assert value is not None  # noqa: S101 - nothing is established without a value
        name = (message_id or verified.digest.hex()).encode()
        recipients = consigned(outcomes)
        for code in recipients:
            batch.plan.write(Append(inbox_topic(code), 0, name, value))
        self._publish(batch, verified.signer if each.answerable else None, name, receipt)
        if key is not None and (fault is None or fault.reason not in UNREMEMBERED):
            decision = Decision(verified.digest, receipt, urgency, each.record.appended_at)
            _remember(batch, key, each.record.partition, decision)
        batch.plan.judgements.append(
            Judgement(
                each.record,
                Disposition.REFUSED if fault else Disposition.ACCEPTED,
                Reason(fault.reason) if fault else None,
                verified.signer,
                message_id,
                urgency,
                recipients,
                event,
                tuple(part.size for part in verified.envelope.parts),
                each.seconds,
                examined=fault is not None and fault is each.fault,
            )
        )

    def _forward(self, batch: Batch, each: Candidate, verified: VerifiedReceipt, key: str | None) -> None:
        """Pass a recipient's receipt on to the sender of the document, once."""
        receipt, fault = verified.receipt, each.fault
        if key is not None and fault is None and (prior := batch.known.get(key)) is not None:
            if prior.digest == verified.digest:
                batch.plan.judgements.append(
                    Judgement(each.record, Disposition.DUPLICATE, None, verified.issuer, message_id_of(each))
                )
                return
            fault = Refused(
                Reason.MESSAGE_ID_CONFLICT,
                f"another receipt of this status is recorded: {prior.digest.hex()}",
            )
        document = batch.known.get(consignment_key_of(each) or "")
        fault = fault or self._fault_against(document, verified)
        name = (message_id_of(each) or verified.digest.hex()).encode()
        if fault is None and key is not None:
            value = each.record.value
            assert value is not None  # noqa: S101 - nothing is established without a value
            self._publish(batch, receipt.sender, name, value)
            _remember(batch, key, each.record.partition, Decision(verified.digest, None))
        else:
            answer = self._attest(
                batch, each, verified, Event.SUBMISSION_REJECTION, verified.issuer, (), fault
            )
            self._publish(batch, verified.issuer if each.answerable else None, name, answer)
        batch.plan.judgements.append(
            Judgement(
                each.record,
                Disposition.REFUSED if fault else Disposition.ACCEPTED,
                Reason(fault.reason) if fault else None,
                verified.issuer,
                message_id_of(each),
                receipt=Event.SUBMISSION_REJECTION if fault else receipt.event,
                status=None if fault else receipt.status,
                document=None if fault else document,
                examined=fault is not None and fault is each.fault,
            )
        )

    def _fault_against(self, decision: Decision | None, verified: VerifiedReceipt) -> Refused | None:
        """Return what speaks against a hand-over, by what was decided about the document; None where nothing does."""
        receipt = verified.receipt
        not_consigned = Refused(
            Reason.RECEIPT_NOT_ALLOWED,
            f"{verified.issuer} attests the hand-over of {receipt.envelope_digest.hex()}, which was not consigned to it",
        )
        if decision is None or decision.receipt is None:
            return not_consigned
        consigned_at, recipients = _consignment_of(decision.receipt)
        if verified.issuer not in recipients or not digests_equal(decision.digest, receipt.envelope_digest):
            return not_consigned
        if receipt.occurred_at < consigned_at - self._policy.max_clock_skew:
            return Refused(
                Reason.SIGNING_TIME_SKEWED,
                f"it says {receipt.occurred_at:%Y-%m-%dT%H:%M:%SZ}, the document was consigned at"
                f" {consigned_at:%Y-%m-%dT%H:%M:%SZ}",
            )
        return None

    def _repeat(self, batch: Batch, each: Candidate, verified: VerifiedEnvelope, prior: Decision) -> None:
        """Give the stored receipt again, byte for byte; nothing else happens a second time."""
        message_id = message_id_of(each)
        if prior.receipt is not None and message_id is not None and each.answerable:
            batch.plan.write(Append(inbox_topic(verified.signer), 0, message_id.encode(), prior.receipt))
        batch.plan.judgements.append(
            Judgement(each.record, Disposition.DUPLICATE, None, verified.signer, message_id)
        )

    def _quarantine(self, batch: Batch, each: Candidate) -> None:
        record, fault = each.record, each.fault
        assert fault is not None  # noqa: S101 - nobody established means a fault
        # What decompressed to more than a record may hold stays where it is; `source` says where that is.
        held = len(record.key or b"") + len(record.value or b"") <= self._policy.max_record_bytes
        value = encode_quarantine(
            QuarantineRecord(
                reason=Reason(fault.reason),
                detail=fault.detail
                if held
                else f"{fault.detail}; key and value are too large to be kept here",
                source=_source(record),
                appended_at=record.appended_at,
                quarantined_at=batch.now,
                key=record.key if held else None,
                value=record.value if held else None,
                policy_version=self._policy.version,
            )
        )
        place = f"{record.topic}/{record.partition}"
        partition = partition_of(place, self._quarantine_partitions)
        batch.plan.write(Append(QUARANTINE, partition, f"{place}/{record.offset}".encode(), value))
        batch.plan.judgements.append(Judgement(record, Disposition.QUARANTINED, Reason(fault.reason)))

    def _attest(
        self,
        batch: Batch,
        each: Candidate,
        verified: VerifiedEnvelope | VerifiedReceipt,
        event: Event,
        sender: OrganisationCode,
        outcomes: tuple[RecipientOutcome, ...],
        fault: Refused | None,
    ) -> bytes:
        """Return the axis's signed receipt, encoded."""
        statement = encode_receipt(
            Receipt(
                event=event,
                environment=self._environment,
                message_id=message_id_of(each),
                envelope_digest=verified.digest,
                sender=sender,
                issuer=self._node,
                occurred_at=batch.now,
                outcomes=outcomes,
                directory_version=batch.directory.version,
                policy_version=self._policy.version,
                reason=fault.reason if fault else None,
                detail=fault.detail if fault else None,
                signature=verified.signature,
                source=_source(each.record),
            )
        )
        return encode_signed_receipt(SignedReceipt(statement, self._signer.sign(statement, batch.now)))

    def _publish(self, batch: Batch, owner: OrganisationCode | None, name: bytes, receipt: bytes) -> None:
        """Write a receipt to the legal record and, where there is one, to the inbox of whom it concerns."""
        partition = partition_of(name.decode(), self._receipt_partitions)
        batch.plan.write(Append(RECEIPTS, partition, name, receipt))
        if owner is not None:
            batch.plan.write(Append(inbox_topic(owner), 0, name, receipt))


def _remember(batch: Batch, key: str, partition: int, decision: Decision) -> None:
    batch.known[key] = batch.plan.decisions[key] = decision
    batch.plan.write(Append(ROUTER_STATE, partition, key.encode(), encode_decision(decision)))


def _expired(verified: VerifiedEnvelope, now: datetime) -> Refused | None:
    """Return a fault where a document's time ran out while it waited: late is worse than known to be late."""
    expires_at = verified.header.expires_at if verified.header else None
    if expires_at is None or expires_at > now:
        return None
    return Refused(
        Reason.EXPIRED, f"expired at {expires_at:%Y-%m-%dT%H:%M:%SZ}, routed at {now:%Y-%m-%dT%H:%M:%SZ}"
    )


@lru_cache(maxsize=256)
def _consignment_of(receipt: bytes) -> tuple[datetime, frozenset[str]]:
    """Return when and to whom a receipt of ours consigned; a broadcast is asked about by each of its recipients."""
    signed = decode(receipt)
    if not isinstance(signed, SignedReceipt):
        raise IntegrityError("the decision store holds something else than a receipt")
    acceptance = decode_receipt(signed.statement)
    return acceptance.occurred_at, frozenset(consigned(acceptance.outcomes))


def _source(record: Record) -> Source:
    return Source(record.topic, record.partition, record.offset)
