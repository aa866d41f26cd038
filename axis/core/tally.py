"""What is known of a history while it is reconciled: facts, decisions, what is due from them, and what was found.

`axis.core.reconciliation` fills it record by record, `axis.core.settlement` judges it when everything was given.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from axis.core.coverage import Coverage
from axis.core.digest import Digest
from axis.core.disposition import Disposition
from axis.core.expectation import Difference
from axis.core.findings import Counts, Finding, FindingKind
from axis.core.history import Content, Entry, EstablishedEnvelope, EstablishedReceipt, LaneScope, shown
from axis.core.inbox_reconciliation import Due
from axis.core.receipt import Source

ONCE: Final = (1, 1)
AT_MOST_ONCE: Final = (0, 1)


@dataclass(slots=True)
class Decided:
    """What was decided, for good, about a (signer, message id).

    Attributes:
        certain: whether it was about a document; otherwise it may have been about a recipient's receipt.
    """

    sender: str
    digest: Digest
    source: Source
    answer: Digest
    accepted: bool
    certain: bool
    consigned: tuple[str, ...]


class Decision(NamedTuple):
    """A decision of the axis with the submission that it is about."""

    entry: Entry
    receipt: EstablishedReceipt
    submission: Entry


class Absence(NamedTuple):
    """A decision because inboxes were not there; untrue when one of each of these groups was.

    Attributes:
        kind: what it is when it is untrue.
    """

    decision: Decision
    groups: tuple[tuple[str, ...], ...]
    kind: FindingKind


@dataclass(slots=True)
class Tally:
    """The state of one reconciliation.

    Attributes:
        coverage: how much of the history is judged.
        submissions: records of the submission lanes, by place.
        appended: when the broker took a submission or a recipient's receipt, by place.
        fates: what became of a submission.
        submitted: where a recipient's receipt was submitted, by its identity.
        receipts: values of the receipts that were read.
        handovers: recipients' receipts among them.
        decided: what was decided for good, by signer and message id.
        consignments: what is due in inboxes, by the organisations that it was consigned to.
        consigned: one object for equal recipients.
        consigned_at: when the broker took each acceptance of what is decided, by the organisations that it consigns to.
        answers: what is due in the inbox of an organisation.
        rejected_at: when each rejection among them was issued.
        by_earlier: refusals that rest on what was decided before.
        absences: decisions that rest on inboxes that were not there.
        open_from: from when on a router must have known of an inbox, by the organisation's code.
        waiting: values of submissions that may be decided, and are not judged.
    """

    coverage: Coverage
    counts: Counts = field(default_factory=Counts)
    findings: list[Finding] = field(default_factory=list)
    submissions: dict[Source, Entry] = field(default_factory=dict)
    appended: dict[Source, datetime] = field(default_factory=dict)
    fates: dict[Source, Disposition] = field(default_factory=dict)
    submitted: dict[Digest, list[Source]] = field(default_factory=dict)
    receipts: set[Digest] = field(default_factory=set)
    handovers: list[Entry] = field(default_factory=list)
    decided: dict[str, dict[str | None, Decided]] = field(default_factory=dict)
    consignments: dict[tuple[str, ...], list[tuple[Digest, Due]]] = field(default_factory=dict)
    consigned: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    consigned_at: dict[tuple[str, ...], list[datetime]] = field(default_factory=dict)
    answers: dict[str, dict[Digest, Due]] = field(default_factory=dict)
    rejected_at: dict[str, dict[Digest, datetime]] = field(default_factory=dict)
    by_earlier: list[Decision] = field(default_factory=list)
    absences: list[Absence] = field(default_factory=list)
    open_from: dict[str, datetime] = field(default_factory=dict)
    waiting: set[Digest] = field(default_factory=set)

    @property
    def scope(self) -> Mapping[tuple[str, int], LaneScope]:
        """What is judged, per (topic, partition) of the submission lanes."""
        return self.coverage.scope

    def scope_of(self, place: Source) -> LaneScope:
        """Return what is judged of the partition that a place is in."""
        return self.scope[place.topic, place.partition]

    def decision(self, sender: str, message_id: str | None) -> Decided | None:
        """Return what was decided for good about a message id; None while nothing was."""
        return self.decided.get(sender, {}).get(message_id)

    def repeated(self, entry: Entry) -> Decided | None:
        """Return the earlier decision that an envelope without a fate of its own repeats."""
        content = entry.content
        if not isinstance(content, EstablishedEnvelope) or entry.place in self.fates:
            return None
        prior = self.decision(content.signer, content.message_id)
        if prior is None or prior.digest != content.digest or prior.source == entry.place:
            return None
        return None if precedes(entry.place, prior.source) else prior

    def fate(self, source: Source, fate: Disposition, place: Source) -> None:
        """Note what became of a submission, by the record that says so; it may be one thing only."""
        if (prior := self.fates.get(source)) is not None:
            self.note(
                FindingKind.FATE_DOUBLED, place, f"{shown(source)} is {fate} here and was {prior} before"
            )
        else:
            self.fates[source] = fate

    def expect_answer(self, entry: Entry, receipt: EstablishedReceipt, due: Due) -> None:
        """Expect a receipt in the inbox of the sender that it is about."""
        answers = self.answers.setdefault(receipt.sender, {})
        answers[entry.value] = due.plus(answers.get(entry.value))

    def repeat_answer(self, prior: Decided, bounds: tuple[int, int]) -> None:
        """Expect a receipt once more, because the submission that it answers was repeated."""
        answers = self.answers[prior.sender]
        due = answers[prior.answer]
        answers[prior.answer] = due._replace(least=due.least + bounds[0], most=due.most + bounds[1])

    def disagree(self, decision: Decision, difference: Difference) -> None:
        """Note in what a decision is not the one that had to be made."""
        detail = f"{shown(decision.submission.place)}: {difference.detail}"
        self.note(difference.kind, decision.entry.place, detail, decision.receipt)

    def note(self, kind: FindingKind, place: Source, detail: str, content: Content | None = None) -> None:
        """Note a finding, with the identifiers of the content that it is about."""
        match content:
            case EstablishedEnvelope(signer=organisation, message_id=message_id, digest=digest):
                self.findings.append(Finding(kind, shown(place), detail, organisation, message_id, digest))
            case EstablishedReceipt(issuer=organisation, message_id=message_id, envelope_digest=digest):
                self.findings.append(Finding(kind, shown(place), detail, organisation, message_id, digest))
            case _:
                self.findings.append(Finding(kind, shown(place), detail))


def receipt_of(entry: Entry) -> EstablishedReceipt:
    """Return the receipt that an entry of a receipt is."""
    assert isinstance(entry.content, EstablishedReceipt)  # noqa: S101 - only such are kept
    return entry.content


def precedes(one: Source, other: Source) -> bool:
    """Tell whether a place comes before another one; places of different partitions have no order."""
    return (one.topic, one.partition) == (other.topic, other.partition) and one.offset < other.offset
