"""The oracle: do submissions, deliveries and receipts agree, with nothing lost and nothing doubled?

A three-way comparison of sets. Facts are given in the order submissions, quarantine, receipts, then one inbox after the
other; each is judged by what is known of the others:

    every submission    has exactly one fate: an axis receipt about that very record, a quarantine record, a forwarded
                        receipt, or it repeats what was decided before
    every receipt       stands once in the receipts, is the axis's or a consigned recipient's, and says what the record
                        that it is about says
    every decision      is the one that follows from that record: the same recipients, or the same reason
    every acceptance    has its document once in each consigned inbox, byte for byte, and in no other
    every answer        stands in its sender's inbox, again only as often as the submission was repeated; a rejection
                        only if the sender had an inbox by then

The history may go on while it is read. What the router has not committed is `waiting`, and whatever follows from it is
allowed but not demanded; so is what follows from submissions before the period judged. That not too much of it is left
unjudged is a matter of its own (`axis.core.coverage`). Here each fact is taken as it comes; what needs all of them is
judged by `axis.core.settlement`.

About 1 kB of memory per submission, whatever the number of its recipients; an inbox costs memory only while it is compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from axis.core.coverage import Coverage
from axis.core.disposition import UNREMEMBERED, Disposition, Reason
from axis.core.expectation import Open, absent_recipients, judge
from axis.core.findings import Counts, FindingKind, Report
from axis.core.history import (
    Entry,
    EstablishedReceipt,
    LaneScope,
    QuarantineEntry,
    Rules,
    Unestablished,
    contradiction,
    sharing,
    shown,
)
from axis.core.inbox_reconciliation import Due, InboxReconciliation
from axis.core.policy import CLOCK_MARGIN
from axis.core.receipt import Event, Source
from axis.core.settlement import settle, settle_absences
from axis.core.tally import AT_MOST_ONCE, ONCE, Absence, Decided, Decision, Tally
from axis.core.topics import inbox_topic

COMMIT_MARGIN: Final = timedelta(hours=2)
"""How long after it was made a decision is taken by the broker at most. Its transaction has 15 minutes; before it begins, the
rest of the batch is examined: of the largest, 10,000 submissions in 625 pieces, that may be an hour where each piece waits
for seconds, for blobs or for express work that goes first. A router that starts again decides anew."""

_ANY: Final = 1 << 62
_OF_HANDOVERS: Final = frozenset({Reason.ENVIRONMENT_MISMATCH, Reason.RECEIPT_NOT_ALLOWED})
"""Reasons that are final for a document and for which a recipient's receipt may be refused as well."""
_FATES: Final = {
    Event.SUBMISSION_ACCEPTANCE: Disposition.ACCEPTED,
    Event.SUBMISSION_REJECTION: Disposition.REFUSED,
}


@dataclass(slots=True)
class Reconciliation:
    """Compares one history; give it the facts, then ask for the report.

    Args:
        axis: code of the axis node, the only issuer of the axis's receipts.
        rules: by what the expectations of the submissions were found.
        coverage: of this history; the router's positions are to be set before the first inbox is asked for.
    """

    axis: str
    rules: Rules
    coverage: Coverage
    _tally: Tally = field(init=False)
    _inboxes: set[str] = field(default_factory=set)
    _settled: bool = False

    def __post_init__(self) -> None:
        self._tally = Tally(self.coverage)

    @property
    def scope(self) -> Mapping[tuple[str, int], LaneScope]:
        """What is judged, per (topic, partition) of the submission lanes."""
        return self.coverage.scope

    def add_submission(self, entry: Entry, appended_at: datetime) -> None:
        """Take a record of a submission lane."""
        self._tally.submissions[entry.place] = entry
        self._tally.appended[entry.place] = appended_at
        self.coverage.submitted(entry.place, appended_at)
        if isinstance(entry.content, EstablishedReceipt):
            self._tally.submitted.setdefault(entry.content.digest, []).append(entry.place)

    def add_quarantine(self, entry: QuarantineEntry, appended_at: datetime) -> None:
        """Take a readable record of the quarantine."""
        scope = self.scope.get((entry.source.topic, entry.source.partition))
        if scope is not None and entry.source.offset < scope.end:
            self.coverage.was_decided(entry.source, appended_at)
            if not scope.judges(entry.source.offset):
                return
        submission = self._tally.submissions.get(entry.source)
        if submission is None or entry.value not in {None, submission.value}:
            self._tally.note(
                FindingKind.QUARANTINE_UNFOUNDED,
                entry.place,
                f"it parks {shown(entry.source)}, "
                + ("where other bytes stand" if submission else "where nothing stands"),
            )
            return
        if not isinstance(submission.content, Unestablished):
            self._tally.note(
                FindingKind.QUARANTINE_UNJUSTIFIED,
                entry.place,
                f"{shown(entry.source)} is parked as {entry.reason}, but its signer is established and has no answer",
                submission.content,
            )
        self._tally.fate(entry.source, Disposition.QUARANTINED, entry.place)

    def add_unreadable_quarantine(self, place: Source, reason: str) -> None:
        """Take a record of the quarantine that is none."""
        self._tally.note(FindingKind.QUARANTINE_UNREADABLE, place, f"not a quarantine record: {reason}")

    def add_receipt(self, entry: Entry, appended_at: datetime) -> None:
        """Take a record of the receipts."""
        self.coverage.saw(appended_at)
        receipt = entry.content
        if not isinstance(receipt, EstablishedReceipt):
            reason = receipt.reason if isinstance(receipt, Unestablished) else "it is an envelope"
            self._tally.note(
                FindingKind.RECEIPT_UNVERIFIED, entry.place, f"not a receipt of anybody: {reason}"
            )
        elif entry.value in self._tally.receipts:
            self._tally.note(
                FindingKind.RECEIPT_DOUBLED, entry.place, "the same receipt stands before it", receipt
            )
        else:
            self._tally.receipts.add(entry.value)
            if receipt.event is Event.CONTENT_HANDOVER:
                self._tally.handovers.append(entry)
                self._tally.appended[entry.place] = appended_at
            elif receipt.issuer != self.axis:
                self._tally.note(
                    FindingKind.RECEIPT_NOT_BY_AXIS,
                    entry.place,
                    f"{receipt.event} issued by {receipt.issuer}, expected {self.axis}",
                    receipt,
                )
            else:
                self._take_decision(entry, receipt, appended_at)

    def inbox(self, code: str) -> InboxReconciliation:
        """Return the comparison of one inbox; to be called once per inbox, when all else was given."""
        return self._comparison(code, exists=True)

    def _comparison(self, code: str, *, exists: bool) -> InboxReconciliation:
        self._settle()
        self._inboxes.add(code)
        self._tally.counts.inboxes += 1
        return InboxReconciliation(
            code,
            self.axis,
            [each for to, several in self._tally.consignments.items() if code in to for each in several],
            self._tally.answers.get(code, {}),
            self._tally.rejected_at.get(code, {}),
            self._may_follow,
            exists=exists,
        )

    def close(self, inbox: InboxReconciliation) -> None:
        """Take the result of an inbox that was read to its end."""
        if (open_from := inbox.open_from) is not None:
            self._tally.open_from[inbox.code] = open_from
        self._check_beginning(inbox)
        self._tally.findings += inbox.close()
        self._tally.counts.consigned += inbox.consigned
        self._tally.counts.delivered += inbox.delivered
        self._tally.counts.answers_due += inbox.answers_due
        self._tally.counts.answered += inbox.answered

    def report(self) -> Report:
        """Return the result; an inbox that was never given does not exist."""
        self._settle()
        named = set(self._tally.answers).union(*self._tally.consignments)
        for code in sorted(named - self._inboxes):
            self.close(self._comparison(code, exists=False))
        settle_absences(self._tally)
        # Partitions are read as they come; the same history is to have the same report.
        findings = sorted([*self._tally.findings, *self.coverage.findings()], key=lambda each: each.order)
        counts = {name: getattr(self._tally.counts, name) for name in Counts.__slots__}
        return Report(counts, tuple(findings), self.scope, self.rules)

    def _take_decision(self, entry: Entry, receipt: EstablishedReceipt, appended_at: datetime) -> None:
        """Match an acceptance or rejection with the record that it is about."""
        source = receipt.source
        if (
            source is None
            or (source.topic, source.partition) not in self.scope
            or receipt.event not in _FATES
        ):
            self._tally.note(
                FindingKind.RECEIPT_UNFOUNDED, entry.place, f"{receipt.event} about no submission", receipt
            )
            return
        receipt = self._dated(entry, receipt, self._tally.appended.get(source), appended_at)
        submission, scope = self._tally.submissions.get(source), self._tally.scope_of(source)
        beyond = source.offset >= scope.end
        if submission is not None:
            self._check_decision(Decision(entry, receipt, submission))
        elif beyond or scope.judges(source.offset):
            detail = f"{receipt.event} about {shown(source)}, where nothing stands"
            self._tally.note(FindingKind.RECEIPT_UNFOUNDED, entry.place, detail, receipt)
        if not beyond:
            self.coverage.was_decided(source, appended_at)
            self._expect_from(entry, receipt, source, submission)
            if receipt.event is Event.SUBMISSION_ACCEPTANCE and source.offset < scope.committed:
                self._tally.consigned_at.setdefault(receipt.consigned, []).append(appended_at)

    def _dated(
        self, entry: Entry, receipt: EstablishedReceipt, submitted_at: datetime | None, appended_at: datetime
    ) -> EstablishedReceipt:
        """Return a decision with the time by which it is judged; one that cannot have been made then is named."""
        earliest, latest = appended_at - COMMIT_MARGIN, appended_at + CLOCK_MARGIN
        if submitted_at is not None:
            earliest = max(earliest, submitted_at - CLOCK_MARGIN)
        if earliest <= receipt.occurred_at <= latest:
            return receipt
        detail = f"decided at {receipt.occurred_at.isoformat()}, taken at {appended_at.isoformat()}"
        if submitted_at is not None:
            detail += f", submitted at {submitted_at.isoformat()}"
        self._tally.note(FindingKind.RECEIPT_CONTRADICTS, entry.place, detail, receipt)
        return replace(receipt, occurred_at=min(max(receipt.occurred_at, earliest), latest))

    def _check_beginning(self, inbox: InboxReconciliation) -> None:
        """Tell the coverage the last document that stood before what an inbox keeps."""
        place = (inbox_topic(inbox.code), 0)
        if place not in self.coverage.shortened:
            return
        # Document and acceptance are taken in one transaction.
        limit = inbox.first_at - COMMIT_MARGIN if inbox.first_at is not None else self.coverage.at
        consigned = (times for to, times in self._tally.consigned_at.items() if inbox.code in to)
        if stood := [at for times in consigned for at in times if at < limit]:
            self.coverage.was_removed(place, max(stood))

    def _expect_from(
        self, entry: Entry, receipt: EstablishedReceipt, source: Source, submission: Entry | None
    ) -> None:
        """Keep what must be found elsewhere because of a decision."""
        scope = self._tally.scope_of(source)
        judged = scope.judges(source.offset)
        # Equal values are kept once.
        expected = submission.expected if submission is not None else None
        if expected is not None and expected.consigned == receipt.consigned:
            recipients = expected.consigned
        else:
            recipients = self._tally.consigned.setdefault(receipt.consigned, receipt.consigned)
        receipt = replace(receipt, consigned=recipients)
        if submission is not None:
            source, receipt = submission.place, sharing(receipt, submission)
        if judged:
            self._tally.fate(source, _FATES[receipt.event], entry.place)
        before = source.offset < scope.first
        due = Due(receipt.envelope_digest, receipt.message_id, *(ONCE if judged else AT_MOST_ONCE))
        # Repetitions of what was decided before the period cannot be counted.
        self._tally.expect_answer(entry, receipt, due._replace(least=0, most=_ANY) if before else due)
        if receipt.event is Event.SUBMISSION_REJECTION:
            self._tally.rejected_at.setdefault(receipt.sender, {})[entry.value] = receipt.occurred_at
        about_receipt = submission is not None and isinstance(submission.content, EstablishedReceipt)
        if receipt.message_id is not None and not about_receipt:
            self._remember(entry, receipt, source, read=submission is not None)
        if receipt.event is Event.SUBMISSION_ACCEPTANCE:
            # Where the accepted record is kept no more, its identity must do in place of its bytes.
            key = submission.value if submission else due.digest
            self._tally.consignments.setdefault(receipt.consigned, []).append((key, due))

    def _check_decision(self, decision: Decision) -> None:
        """Compare a decision with what stands at its source, and with the one that had to be made of it."""
        entry, receipt, submission = decision
        if (fault := contradiction(receipt, submission)) is not None:
            detail = f"{shown(submission.place)}: {fault}"
            self._tally.note(FindingKind.RECEIPT_CONTRADICTS, entry.place, detail, receipt)
            return
        if submission.expected is None:
            return
        handover = isinstance(submission.content, EstablishedReceipt)
        match judge(receipt, submission.expected, self.rules, handover=handover):
            case Open.OUTSIDE if absences := _absences(decision):
                self._tally.absences += absences
            case Open.OUTSIDE:
                self._tally.counts.taken_as_given += 1
            case Open.OTHER_RULES:
                self._tally.counts.other_rules += 1
            case Open.BY_EARLIER:
                self._tally.by_earlier.append(decision)
            case differences:
                for difference in differences:
                    self._tally.disagree(decision, difference)

    def _remember(self, entry: Entry, receipt: EstablishedReceipt, source: Source, *, read: bool) -> None:
        """Keep a decision that is final for its message id; there must be one only.

        Args:
            entry: where the receipt stands.
            receipt: the decision.
            source: where the submission stands, or stood.
            read: whether what stands there was read.
        """
        accepted = receipt.event is Event.SUBMISSION_ACCEPTANCE
        if not accepted and receipt.reason in UNREMEMBERED:
            return
        # What is not read any more may have been a recipient's receipt: those are refused anew each time, and several of
        # one issuer, a status each, bear the same message id. A receipt is never accepted.
        certain = accepted or read or receipt.reason not in _OF_HANDOVERS
        prior = self._tally.decision(receipt.sender, receipt.message_id)
        other = prior is not None and prior.digest != receipt.envelope_digest
        if prior is not None and (certain and prior.certain if other else certain or prior.certain):
            self._tally.note(
                FindingKind.MESSAGE_ID_REUSED if other else FindingKind.DECIDED_TWICE,
                entry.place,
                f"{receipt.event} after {shown(prior.source)} was decided under the same message id"
                + (" with another digest" if other else ""),
                receipt,
            )
        elif prior is None or certain:
            self._tally.decided.setdefault(receipt.sender, {})[receipt.message_id] = Decided(
                receipt.sender,
                receipt.envelope_digest,
                source,
                entry.value,
                accepted,
                certain,
                receipt.consigned,
            )

    def _settle(self) -> None:
        """Judge what needs all submissions and receipts to be known, once."""
        if not self._settled:
            self._settled = True
            settle(self._tally)

    def _may_follow(self, entry: Entry) -> bool:
        """Tell whether an inbox entry that nothing demands follows from a submission that is not judged yet."""
        if entry.value in self._tally.waiting:
            return True
        match entry.content:
            case EstablishedReceipt(issuer=self.axis, source=Source() as source) as receipt:
                submission = self._tally.submissions.get(source)
                return (
                    submission is not None
                    and self.coverage.may_be_decided(source)
                    and contradiction(receipt, submission) is None
                )
            case _:
                return False


def _absences(decision: Decision) -> list[Absence]:
    """Return what a decision says of inboxes that were not there."""
    _, receipt, submission = decision
    if receipt.event is Event.SUBMISSION_ACCEPTANCE:
        return [
            Absence(decision, ((code,),), FindingKind.RECIPIENT_DROPPED)
            for code in absent_recipients(receipt)
        ]
    if receipt.reason != Reason.INBOX_MISSING or submission.expected is None:
        return []
    match submission.content:
        case EstablishedReceipt(sender=owner):
            groups: tuple[tuple[str, ...], ...] = ((owner,),)
        case _:
            groups = ((receipt.sender,), submission.expected.consigned)
    return [Absence(decision, groups, FindingKind.REFUSAL_UNFOUNDED)]
