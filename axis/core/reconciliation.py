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
unjudged is a matter of its own (`axis.core.coverage`).

About 1 kB of memory per submission, whatever the number of its recipients; an inbox costs memory only while it is compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from axis.core.coverage import Coverage
from axis.core.digest import Digest
from axis.core.disposition import UNREMEMBERED, Disposition, Reason
from axis.core.expectation import BY_DIRECTORY, Difference, Open, absent_recipients, judge
from axis.core.findings import Counts, Finding, FindingKind, Report
from axis.core.history import (
    Content,
    Entry,
    EstablishedEnvelope,
    EstablishedReceipt,
    LaneScope,
    QuarantineEntry,
    Rules,
    Unestablished,
    contradiction,
    sharing,
    shown,
)
from axis.core.inbox_reconciliation import OPENING_MARGIN, Due, InboxReconciliation
from axis.core.receipt import Event, Source
from axis.core.topics import RECEIPTS

_ONCE: Final = (1, 1)
_AT_MOST_ONCE: Final = (0, 1)
_ANY: Final = 1 << 62
_CLOCK_MARGIN: Final = timedelta(minutes=5)
"""How far the axis's clock may be ahead of the broker's."""
_FATES: Final = {
    Event.SUBMISSION_ACCEPTANCE: Disposition.ACCEPTED,
    Event.SUBMISSION_REJECTION: Disposition.REFUSED,
}


@dataclass(slots=True)
class _Decided:
    """What was decided, for good, about a (signer, message id)."""

    sender: str
    digest: Digest
    source: Source
    answer: Digest
    accepted: bool
    consigned: tuple[str, ...]


class _Decision(NamedTuple):
    """A decision of the axis with the submission that it is about."""

    entry: Entry
    receipt: EstablishedReceipt
    submission: Entry


class _Absence(NamedTuple):
    """A decision because inboxes were not there; untrue when one of each of these groups was.

    Attributes:
        kind: what it is when it is untrue.
    """

    decision: _Decision
    groups: tuple[tuple[str, ...], ...]
    kind: FindingKind


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
    _counts: Counts = field(default_factory=Counts)
    _findings: list[Finding] = field(default_factory=list)
    _submissions: dict[Source, Entry] = field(default_factory=dict)
    _fates: dict[Source, Disposition] = field(default_factory=dict)
    _submitted: dict[Digest, bool] = field(default_factory=dict)
    _receipts: set[Digest] = field(default_factory=set)
    _handovers: list[Entry] = field(default_factory=list)
    _decided: dict[str, dict[str | None, _Decided]] = field(default_factory=dict)
    _consignments: dict[tuple[str, ...], list[tuple[Digest, Due]]] = field(default_factory=dict)
    _consigned: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    _answers: dict[str, dict[Digest, Due]] = field(default_factory=dict)
    _rejected_at: dict[str, dict[Digest, datetime]] = field(default_factory=dict)
    _by_earlier: list[_Decision] = field(default_factory=list)
    _absences: list[_Absence] = field(default_factory=list)
    _opened: dict[str, datetime] = field(default_factory=dict)
    _waiting: set[Digest] = field(default_factory=set)
    _inboxes: set[str] = field(default_factory=set)
    _settled: bool = False

    @property
    def scope(self) -> Mapping[tuple[str, int], LaneScope]:
        """What is judged, per (topic, partition) of the submission lanes."""
        return self.coverage.scope

    def add_submission(self, entry: Entry, appended_at: datetime) -> None:
        """Take a record of a submission lane."""
        self._submissions[entry.place] = entry
        self.coverage.submitted(entry.place, appended_at)
        judged = self._scope_of(entry.place).judges(entry.place.offset)
        if isinstance(entry.content, EstablishedReceipt):
            digest = entry.content.digest
            self._submitted[digest] = self._submitted.get(digest, False) or judged

    def add_quarantine(self, entry: QuarantineEntry) -> None:
        """Take a readable record of the quarantine."""
        scope = self.scope.get((entry.source.topic, entry.source.partition))
        if scope is not None and entry.source.offset < scope.end:
            self.coverage.was_decided(entry.source)
            if not scope.judges(entry.source.offset):
                return
        submission = self._submissions.get(entry.source)
        if submission is None or entry.value not in {None, submission.value}:
            self._note(
                FindingKind.QUARANTINE_UNFOUNDED,
                entry.place,
                f"it parks {shown(entry.source)}, "
                + ("where other bytes stand" if submission else "where nothing stands"),
            )
            return
        if not isinstance(submission.content, Unestablished):
            self._note(
                FindingKind.QUARANTINE_UNJUSTIFIED,
                entry.place,
                f"{shown(entry.source)} is parked as {entry.reason}, but its signer is established and has no answer",
                submission.content,
            )
        self._fate(entry.source, Disposition.QUARANTINED, entry.place)

    def add_unreadable_quarantine(self, place: Source, reason: str) -> None:
        """Take a record of the quarantine that is none."""
        self._note(FindingKind.QUARANTINE_UNREADABLE, place, f"not a quarantine record: {reason}")

    def add_receipt(self, entry: Entry, appended_at: datetime) -> None:
        """Take a record of the receipts."""
        self.coverage.saw(appended_at)
        receipt = entry.content
        if not isinstance(receipt, EstablishedReceipt):
            reason = receipt.reason if isinstance(receipt, Unestablished) else "it is an envelope"
            self._note(FindingKind.RECEIPT_UNVERIFIED, entry.place, f"not a receipt of anybody: {reason}")
        elif entry.value in self._receipts:
            self._note(FindingKind.RECEIPT_DOUBLED, entry.place, "the same receipt stands before it", receipt)
        else:
            self._receipts.add(entry.value)
            if receipt.event is Event.CONTENT_HANDOVER:
                self._handovers.append(entry)
            elif receipt.issuer != self.axis:
                self._note(
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
        self._counts.inboxes += 1
        return InboxReconciliation(
            code,
            self.axis,
            [each for to, several in self._consignments.items() if code in to for each in several],
            self._answers.get(code, {}),
            self._rejected_at.get(code, {}),
            self._may_follow,
            exists=exists,
        )

    def close(self, inbox: InboxReconciliation) -> None:
        """Take the result of an inbox that was read to its end."""
        if inbox.opened_at is not None:
            self._opened[inbox.code] = inbox.opened_at
        self._findings += inbox.close()
        self._counts.consigned += inbox.consigned
        self._counts.delivered += inbox.delivered
        self._counts.answers_due += inbox.answers_due
        self._counts.answered += inbox.answered

    def report(self) -> Report:
        """Return the result; an inbox that was never given does not exist."""
        self._settle()
        named = set(self._answers).union(*self._consignments)
        for code in sorted(named - self._inboxes):
            self.close(self._comparison(code, exists=False))
        self._settle_absences()
        # Partitions are read as they come; the same history is to have the same report.
        findings = sorted([*self._findings, *self.coverage.findings()], key=lambda each: each.order)
        counts = {name: getattr(self._counts, name) for name in Counts.__slots__}
        return Report(counts, tuple(findings), self.scope, self.rules)

    def _take_decision(self, entry: Entry, receipt: EstablishedReceipt, appended_at: datetime) -> None:
        """Match an acceptance or rejection with the record that it is about."""
        source = receipt.source
        if (
            source is None
            or (source.topic, source.partition) not in self.scope
            or receipt.event not in _FATES
        ):
            self._note(
                FindingKind.RECEIPT_UNFOUNDED, entry.place, f"{receipt.event} about no submission", receipt
            )
            return
        submission, scope = self._submissions.get(source), self._scope_of(source)
        beyond = source.offset >= scope.end
        if submission is not None:
            self._check_decision(_Decision(entry, receipt, submission))
        elif beyond or scope.judges(source.offset):
            detail = f"{receipt.event} about {shown(source)}, where nothing stands"
            self._note(FindingKind.RECEIPT_UNFOUNDED, entry.place, detail, receipt)
        if receipt.occurred_at > appended_at + _CLOCK_MARGIN:
            detail = f"decided at {receipt.occurred_at.isoformat()}, taken at {appended_at.isoformat()}"
            self._note(FindingKind.RECEIPT_CONTRADICTS, entry.place, detail, receipt)
        if not beyond:
            self.coverage.was_decided(source, appended_at)
            self._expect_from(entry, receipt, source, submission)

    def _expect_from(
        self, entry: Entry, receipt: EstablishedReceipt, source: Source, submission: Entry | None
    ) -> None:
        """Keep what must be found elsewhere because of a decision."""
        scope = self._scope_of(source)
        judged = scope.judges(source.offset)
        # Equal values are kept once.
        expected = submission.expected if submission is not None else None
        if expected is not None and expected.consigned == receipt.consigned:
            recipients = expected.consigned
        else:
            recipients = self._consigned.setdefault(receipt.consigned, receipt.consigned)
        receipt = replace(receipt, consigned=recipients)
        if submission is not None:
            source, receipt = submission.place, sharing(receipt, submission)
        if judged:
            self._fate(source, _FATES[receipt.event], entry.place)
        before = source.offset < scope.first
        due = Due(receipt.envelope_digest, receipt.message_id, *(_ONCE if judged else _AT_MOST_ONCE))
        # Repetitions of what was decided before the period cannot be counted.
        self._expect_answer(entry, receipt, due._replace(least=0, most=_ANY) if before else due)
        if receipt.event is Event.SUBMISSION_REJECTION:
            self._rejected_at.setdefault(receipt.sender, {})[entry.value] = receipt.occurred_at
        about_receipt = submission is not None and isinstance(submission.content, EstablishedReceipt)
        if receipt.message_id is not None and not about_receipt:
            self._remember(entry, receipt, source)
        if receipt.event is Event.SUBMISSION_ACCEPTANCE:
            # Where the accepted record is kept no more, its identity must do in place of its bytes.
            key = submission.value if submission else due.digest
            self._consignments.setdefault(receipt.consigned, []).append((key, due))

    def _check_decision(self, decision: _Decision) -> None:
        """Compare a decision with what stands at its source, and with the one that had to be made of it."""
        entry, receipt, submission = decision
        if (fault := contradiction(receipt, submission)) is not None:
            detail = f"{shown(submission.place)}: {fault}"
            self._note(FindingKind.RECEIPT_CONTRADICTS, entry.place, detail, receipt)
            return
        if submission.expected is None:
            return
        handover = isinstance(submission.content, EstablishedReceipt)
        match judge(receipt, submission.expected, self.rules, handover=handover):
            case Open.OUTSIDE if absences := _absences(decision):
                self._absences += absences
            case Open.OUTSIDE:
                self._counts.taken_as_given += 1
            case Open.OTHER_RULES:
                self._counts.other_rules += 1
            case Open.BY_EARLIER:
                self._by_earlier.append(decision)
            case differences:
                for difference in differences:
                    self._disagree(decision, difference)

    def _disagree(self, decision: _Decision, difference: Difference) -> None:
        detail = f"{shown(decision.submission.place)}: {difference.detail}"
        self._note(difference.kind, decision.entry.place, detail, decision.receipt)

    def _settle_by_earlier(self) -> None:
        """Judge the refusals that rest on what was decided before about the same message id."""
        complete = not any(topic == RECEIPTS for topic, _ in self.coverage.shortened)
        for decision in self._by_earlier:
            source = decision.submission.place
            # What was decided while the receipts were read may rest on one that was not read.
            known = complete and source.offset < self._scope_of(source).committed
            founded = self._founded(decision) if known else None
            if founded is None:
                self._counts.taken_as_given += 1
            elif not founded:
                detail = f"refused as {decision.receipt.reason}, which nothing decided before bears out"
                self._disagree(decision, Difference(FindingKind.REFUSAL_UNFOUNDED, detail))

    def _founded(self, decision: _Decision) -> bool | None:
        """Tell whether an earlier decision bears out a refusal; None where that cannot be told."""
        submitted, receipt = decision.submission.content, decision.receipt
        if not isinstance(submitted, EstablishedReceipt):
            prior = self._decision(receipt.sender, receipt.message_id)
            return prior is not None and prior.digest != receipt.envelope_digest
        if receipt.reason == Reason.MESSAGE_ID_CONFLICT:
            others = (_receipt_of(each) for each in self._handovers)
            return any(
                _handover_key(each) == _handover_key(submitted) and each.digest != submitted.digest
                for each in others
            )
        if receipt.reason != Reason.RECEIPT_NOT_ALLOWED:
            return None
        if self._handover_fault(submitted) is not None:
            return True
        accepted = self._decision(submitted.sender, submitted.message_id)
        place = decision.submission.place
        # Of different partitions nobody knows which was decided first.
        earlier = accepted is not None and _precedes(accepted.source, place)
        return False if earlier else None

    def _settle_absences(self) -> None:
        """Judge the decisions that say that an inbox was not there by when the inboxes were opened."""
        for decision, groups, kind in self._absences:
            at = decision.receipt.occurred_at
            there = [[code for code in group if self._was_open(code, at)] for group in groups]
            if all(there):
                named = ", ".join(codes[0] for codes in there)
                self._disagree(decision, Difference(kind, f"inbox-missing, but {named} had an inbox by then"))
            else:
                self._counts.taken_as_given += 1

    def _was_open(self, code: str, at: datetime) -> bool:
        opened_at = self._opened.get(code)
        return opened_at is not None and opened_at + OPENING_MARGIN < at

    def _remember(self, entry: Entry, receipt: EstablishedReceipt, source: Source) -> None:
        """Keep a decision that is final for its message id; there must be one only."""
        accepted = receipt.event is Event.SUBMISSION_ACCEPTANCE
        if not accepted and receipt.reason in UNREMEMBERED:
            return
        prior = self._decision(receipt.sender, receipt.message_id)
        if prior is not None:
            other = prior.digest != receipt.envelope_digest
            self._note(
                FindingKind.MESSAGE_ID_REUSED if other else FindingKind.DECIDED_TWICE,
                entry.place,
                f"{receipt.event} after {shown(prior.source)} was decided under the same message id"
                + (" with another digest" if other else ""),
                receipt,
            )
            return
        self._decided.setdefault(receipt.sender, {})[receipt.message_id] = _Decided(
            receipt.sender, receipt.envelope_digest, source, entry.value, accepted, receipt.consigned
        )

    def _settle(self) -> None:
        """Judge what needs all submissions and receipts to be known: hand-overs, repetitions, what has no fate."""
        if self._settled:
            return
        self._settled = True
        self._settle_handovers()
        self._settle_by_earlier()
        unclaimed = {_receipt_of(entry).digest: entry for entry in self._handovers}
        forwarded = frozenset(unclaimed)
        for place, entry in self._submissions.items():
            scope = self._scope_of(place)
            if scope.judges(place.offset):
                self._counts.submissions += 1
                self._settle_submission(entry, forwarded, unclaimed)
            elif place.offset >= scope.until:
                self._counts.waiting += place.offset >= scope.committed
                if self.coverage.may_be_decided(place):
                    self._waiting.add(entry.value)
                if (repeated := self._repeated(entry)) is not None:
                    self._repeat_answer(repeated, _AT_MOST_ONCE)
        for digest, entry in unclaimed.items():
            if self._submitted.get(digest):
                detail = "it was submitted, but decided otherwise"
                self._note(FindingKind.RECEIPT_UNFOUNDED, entry.place, detail, entry.content)
        counted = (Disposition.ACCEPTED, Disposition.REFUSED, Disposition.QUARANTINED)
        fates = list(self._fates.values())
        self._counts.accepted, self._counts.refused, self._counts.quarantined = map(fates.count, counted)

    def _settle_handovers(self) -> None:
        """Judge recipients' receipts by what was accepted and submitted."""
        complete = all(scope.first == 0 for scope in self.scope.values())
        seen: set[str] = set()
        for entry in self._handovers:
            receipt = _receipt_of(entry)
            fault = self._handover_fault(receipt)
            if fault is not None:
                self._note(FindingKind.HANDOVER_UNFOUNDED, entry.place, fault, receipt)
            key = _handover_key(receipt)
            if key in seen:
                self._note(
                    FindingKind.HANDOVER_DOUBLED, entry.place, f"{receipt.issuer} attested it before", receipt
                )
            seen.add(key)
            judged = self._submitted.get(receipt.digest)
            if judged is None and complete:
                self._note(
                    FindingKind.RECEIPT_UNFOUNDED,
                    entry.place,
                    f"{receipt.issuer} never submitted it",
                    receipt,
                )
            bounds = _ONCE if judged else _AT_MOST_ONCE
            self._expect_answer(entry, receipt, Due(receipt.envelope_digest, receipt.message_id, *bounds))

    def _handover_fault(self, receipt: EstablishedReceipt) -> str | None:
        accepted = self._decision(receipt.sender, receipt.message_id)
        if accepted is None or not accepted.accepted:
            return f"{receipt.issuer} attests the hand-over of what was never accepted"
        if accepted.digest != receipt.envelope_digest:
            return f"{receipt.issuer} attests the hand-over of another envelope than the accepted one"
        if receipt.issuer not in accepted.consigned:
            return f"{receipt.issuer} attests the hand-over of what was not consigned to it"
        return None

    def _settle_submission(
        self, entry: Entry, forwarded: frozenset[Digest], unclaimed: dict[Digest, Entry]
    ) -> None:
        if entry.place in self._fates:
            return
        match entry.content:
            case EstablishedEnvelope() if (prior := self._repeated(entry)) is not None:
                self._counts.duplicates += 1
                self._repeat_answer(prior, _ONCE)
            case EstablishedReceipt(digest=digest) if unclaimed.pop(digest, None) is not None:
                self._counts.forwarded += 1
                self._check_forwarded(entry)
            case EstablishedReceipt(digest=digest) if digest in forwarded:
                self._counts.duplicates += 1
            case _:
                self._note(
                    FindingKind.SUBMISSION_LOST,
                    entry.place,
                    "it was decided, but there is no receipt about it and no quarantine record, and it repeats nothing",
                    entry.content,
                )

    def _check_forwarded(self, entry: Entry) -> None:
        """A recipient's receipt that breaks a rule is not forwarded; what names no directory is not judged by one."""
        reason = entry.expected.reason if entry.expected is not None else None
        if reason is not None and reason not in BY_DIRECTORY:
            detail = f"it was forwarded, expected its refusal as {reason}"
            self._note(FindingKind.HANDOVER_UNFOUNDED, entry.place, detail, entry.content)

    def _decision(self, sender: str, message_id: str | None) -> _Decided | None:
        return self._decided.get(sender, {}).get(message_id)

    def _repeated(self, entry: Entry) -> _Decided | None:
        """Return the earlier decision that an envelope without a fate of its own repeats."""
        content = entry.content
        if not isinstance(content, EstablishedEnvelope) or entry.place in self._fates:
            return None
        prior = self._decision(content.signer, content.message_id)
        if prior is None or prior.digest != content.digest or prior.source == entry.place:
            return None
        return None if _precedes(entry.place, prior.source) else prior

    def _may_follow(self, entry: Entry) -> bool:
        """Tell whether an inbox entry that nothing demands follows from a submission that is not judged yet."""
        if entry.value in self._waiting:
            return True
        match entry.content:
            case EstablishedReceipt(issuer=self.axis, source=Source() as source) as receipt:
                submission = self._submissions.get(source)
                return (
                    submission is not None
                    and self.coverage.may_be_decided(source)
                    and contradiction(receipt, submission) is None
                )
            case _:
                return False

    def _expect_answer(self, entry: Entry, receipt: EstablishedReceipt, due: Due) -> None:
        """Expect a receipt in the inbox of the sender that it is about."""
        answers = self._answers.setdefault(receipt.sender, {})
        answers[entry.value] = due.plus(answers.get(entry.value))

    def _repeat_answer(self, prior: _Decided, bounds: tuple[int, int]) -> None:
        """Expect a receipt once more, because the submission that it answers was repeated."""
        answers = self._answers[prior.sender]
        due = answers[prior.answer]
        answers[prior.answer] = due._replace(least=due.least + bounds[0], most=due.most + bounds[1])

    def _fate(self, source: Source, fate: Disposition, place: Source) -> None:
        if (prior := self._fates.get(source)) is not None:
            self._note(
                FindingKind.FATE_DOUBLED, place, f"{shown(source)} is {fate} here and was {prior} before"
            )
        else:
            self._fates[source] = fate

    def _scope_of(self, place: Source) -> LaneScope:
        return self.scope[place.topic, place.partition]

    def _note(self, kind: FindingKind, place: Source, detail: str, content: Content | None = None) -> None:
        match content:
            case EstablishedEnvelope(signer=organisation, message_id=message_id, digest=digest):
                self._findings.append(Finding(kind, shown(place), detail, organisation, message_id, digest))
            case EstablishedReceipt(issuer=organisation, message_id=message_id, envelope_digest=digest):
                self._findings.append(Finding(kind, shown(place), detail, organisation, message_id, digest))
            case _:
                self._findings.append(Finding(kind, shown(place), detail))


def _receipt_of(entry: Entry) -> EstablishedReceipt:
    assert isinstance(entry.content, EstablishedReceipt)  # noqa: S101 - only such are kept
    return entry.content


def _handover_key(receipt: EstablishedReceipt) -> str:
    """Return what a recipient attests once only."""
    return f"{receipt.issuer}/{receipt.sender}/{receipt.message_id}"


def _precedes(one: Source, other: Source) -> bool:
    """Tell whether a place comes before another one; places of different partitions have no order."""
    return (one.topic, one.partition) == (other.topic, other.partition) and one.offset < other.offset


def _absences(decision: _Decision) -> list[_Absence]:
    """Return what a decision says of inboxes that were not there."""
    _, receipt, submission = decision
    if receipt.event is Event.SUBMISSION_ACCEPTANCE:
        return [
            _Absence(decision, ((code,),), FindingKind.RECIPIENT_DROPPED)
            for code in absent_recipients(receipt)
        ]
    if receipt.reason != Reason.INBOX_MISSING or submission.expected is None:
        return []
    match submission.content:
        case EstablishedReceipt(sender=owner):
            groups: tuple[tuple[str, ...], ...] = ((owner,),)
        case _:
            groups = ((receipt.sender,), submission.expected.consigned)
    return [_Absence(decision, groups, FindingKind.REFUSAL_UNFOUNDED)]
