"""What a reconciliation says: how much was compared, and what does not hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from axis.core.digest import Digest
from axis.core.history import LaneScope, Rules


class FindingKind(StrEnum):
    """What does not hold; stable codes."""

    SUBMISSION_LOST = "submission-lost"
    SUBMISSION_STALLED = "submission-stalled"
    POSITION_LOST = "position-lost"
    RECORDS_REMOVED = "records-removed"
    FATE_DOUBLED = "fate-doubled"
    DECIDED_TWICE = "decided-twice"
    MESSAGE_ID_REUSED = "message-id-reused"
    RECEIPT_UNVERIFIED = "receipt-unverified"
    RECEIPT_NOT_BY_AXIS = "receipt-not-by-axis"
    RECEIPT_UNFOUNDED = "receipt-unfounded"
    RECEIPT_CONTRADICTS = "receipt-contradicts"
    RECEIPT_DOUBLED = "receipt-doubled"
    RECIPIENT_DROPPED = "recipient-dropped"
    RECIPIENT_ADDED = "recipient-added"
    ACCEPTANCE_UNFOUNDED = "acceptance-unfounded"
    REFUSAL_UNFOUNDED = "refusal-unfounded"
    HANDOVER_UNFOUNDED = "handover-unfounded"
    HANDOVER_DOUBLED = "handover-doubled"
    QUARANTINE_UNREADABLE = "quarantine-unreadable"
    QUARANTINE_UNFOUNDED = "quarantine-unfounded"
    QUARANTINE_UNJUSTIFIED = "quarantine-unjustified"
    DOCUMENT_MISSING = "document-missing"
    DOCUMENT_DOUBLED = "document-doubled"
    DOCUMENT_ALTERED = "document-altered"
    DOCUMENT_UNEXPECTED = "document-unexpected"
    ANSWER_MISSING = "answer-missing"
    ANSWER_DOUBLED = "answer-doubled"
    ANSWER_UNEXPECTED = "answer-unexpected"
    ENTRY_UNVERIFIED = "entry-unverified"
    INBOX_REOPENED = "inbox-reopened"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not hold.

    Attributes:
        kind: what.
        place: the record that shows it, as "topic/partition/offset", or the inbox that lacks one.
        detail: what was got and expected, in English, identifiers only.
        organisation: the one concerned: sender, issuer or owner of the inbox.
        message_id: the consignment concerned, where known.
        digest: identity of the envelope or receipt concerned, where known.
    """

    kind: FindingKind
    place: str
    detail: str
    organisation: str | None = None
    message_id: str | None = None
    digest: Digest | None = None

    @property
    def order(self) -> tuple[object, ...]:
        """What findings are sorted by: place, offsets as numbers, then kind and detail."""
        place = tuple((int(part), "") if part.isdecimal() else (-1, part) for part in self.place.split("/"))
        return place, self.kind, self.detail


@dataclass(slots=True)
class Counts:
    """How much was compared; submissions are those of the period judged.

    Attributes:
        submissions: records of both lanes that the router has decided.
        waiting: records that it has not decided yet.
        consigned: documents that acceptances say were delivered, one per recipient.
        delivered: of these, how many stand in the inboxes.
        answers_due: receipts that senders must have, repetitions included.
        answered: of these, how many stand in the inboxes.
        taken_as_given: decisions by what only the outside knew: blobs and inboxes that were not there, the order of what
            came through both lanes.
        other_rules: decisions that are others than expected and name another directory or policy than the auditor's.
    """

    submissions: int = 0
    waiting: int = 0
    accepted: int = 0
    refused: int = 0
    quarantined: int = 0
    duplicates: int = 0
    forwarded: int = 0
    inboxes: int = 0
    consigned: int = 0
    delivered: int = 0
    answers_due: int = 0
    answered: int = 0
    taken_as_given: int = 0
    other_rules: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a reconciliation.

    Attributes:
        judged: what was judged, per (topic, partition) of the submission lanes.
        rules: by what decisions were judged again.
    """

    counts: Mapping[str, int]
    findings: tuple[Finding, ...]
    judged: Mapping[tuple[str, int], LaneScope]
    rules: Rules

    @property
    def holds(self) -> bool:
        """Whether the history is what the axis promises."""
        return not self.findings
