"""A small model of an axis that works: what it writes for each thing that is submitted."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count

from axis.core.coverage import Coverage, Lane, Shortened
from axis.core.digest import Digest, sha256
from axis.core.disposition import UNREMEMBERED
from axis.core.findings import Report
from axis.core.history import (
    Content,
    Entry,
    EstablishedEnvelope,
    EstablishedReceipt,
    Expectation,
    LaneScope,
    QuarantineEntry,
    Rules,
    Unestablished,
)
from axis.core.receipt import Event, Source
from axis.core.reconciliation import Reconciliation

AXIS = "H56.W00"
SENDERS = ("H56", "H56.14812", "H56.14923")
LANES = ("axis.submissions.express", "axis.submissions.standard")
RULES = Rules("sha256:1", "2026-11")
BEGUN = datetime(2026, 11, 23, tzinfo=UTC)


def digest(name: object) -> Digest:
    """Return a digest that stands for a name."""
    return sha256(str(name).encode())


@dataclass
class History:
    """What stands in the topics; each list is one partition, but for the submissions."""

    submissions: list[Entry] = field(default_factory=list)
    receipts: list[Entry] = field(default_factory=list)
    quarantine: list[QuarantineEntry] = field(default_factory=list)
    inboxes: dict[str, list[Entry]] = field(default_factory=dict)
    appended: dict[Source, datetime] = field(default_factory=dict)

    def copy(self) -> "History":
        """Return a history that can be changed on its own."""
        inboxes = {code: list(entries) for code, entries in self.inboxes.items()}
        appended = dict(self.appended)
        return History(list(self.submissions), list(self.receipts), list(self.quarantine), inboxes, appended)

    def judged(
        self,
        committed: dict[Lane, int] | None = None,
        first: int = 0,
        *,
        positions: dict[Lane, int] | None = None,
        at: datetime | None = None,
        shortened: dict[Lane, Shortened] | None = None,
        begins_at: dict[str, int] | None = None,
        since: datetime | None = None,
    ) -> Report:
        """Return what the oracle says; by default everything is committed.

        Args:
            committed: the router's positions before anything is read; by default the ends.
            first: the first offset kept of each lane; with `since` the first one of the period.
            positions: the router's positions when the receipts are read; by default the ends.
            at: when it is judged; by default as soon as everything is appended.
            shortened: the partitions that do not begin at 0.
            begins_at: the first offset of the period judged, of each inbox where that is another than the first.
            since: when the period judged begins.
        """
        ends = {(lane, partition): 0 for lane in LANES for partition in range(len(SENDERS))}
        ends |= {(e.place.topic, e.place.partition): e.place.offset + 1 for e in self.submissions}
        scope = {}
        for lane, position in (ends | (committed or {})).items():
            begins = min(first, ends[lane])
            scope[lane] = LaneScope(begins, position, position, 0 if since else begins, ends[lane])
        last = max(self.appended.values(), default=BEGUN)
        oracle = Reconciliation(AXIS, RULES, Coverage(scope, at or last, shortened or {}, since))
        for entry in self.submissions:
            if entry.place.offset >= first:
                oracle.add_submission(entry, self.appended.get(entry.place, last))
        for parked in self.quarantine:
            oracle.add_quarantine(parked, self.appended.get(parked.place, last))
        for entry in self.receipts:
            oracle.add_receipt(entry, self.appended.get(entry.place, last))
        oracle.coverage.positions = ends if positions is None else positions
        for code, entries in self.inboxes.items():
            inbox = oracle.inbox(code)
            for entry in entries:
                if entry.place in self.appended:
                    inbox.saw(self.appended[entry.place])
                is_judged = entry.place.offset >= (begins_at or {}).get(code, 0)
                if is_judged and not inbox.recognise(entry.place, entry.value):
                    inbox.add(entry)
            oracle.close(inbox)
        return oracle.report()


@dataclass
class Written:
    """The lengths of all outputs after a submission was decided, for cutting the history there."""

    submission: Entry
    receipts: int
    quarantine: int
    inboxes: dict[str, int]


class Model:
    """Submits, and writes what a correct router writes.

    Args:
        late: organisations without an inbox, until it is opened.
    """

    def __init__(self, late: Collection[str] = ()) -> None:
        self.history = History()
        self.written: list[Written] = []
        self.accepted: list[tuple[Entry, EstablishedEnvelope, Entry, tuple[str, ...]]] = []
        self.refused: list[tuple[Entry, EstablishedEnvelope, Entry]] = []
        self.handovers: list[tuple[Entry, EstablishedReceipt]] = []
        self._numbers = count()
        for code in SENDERS:
            if code not in late:
                self.open_inbox(code)

    def open_inbox(self, code: str) -> None:
        """Make an inbox, unless there is one, and state that it begins here."""
        if code in self.history.inboxes:
            return
        self.history.inboxes[code] = []
        opening = EstablishedReceipt(
            digest(f"opening {code}"),
            Event.INBOX_OPENED,
            AXIS,
            code,
            None,
            digest(code),
            rules=RULES,
            occurred_at=self._now(),
        )
        self._deliver(code, digest(f"opened {code}"), opening)

    def accept(self, sender: str, recipients: tuple[str, ...], lane: str = LANES[1]) -> None:
        """Submit a document that is accepted, unless its sender or every recipient has no inbox."""
        expected = Expectation(consigned=recipients)
        absent = tuple(code for code in recipients if code not in self.history.inboxes)
        recipients = tuple(code for code in recipients if code in self.history.inboxes)
        if sender not in self.history.inboxes or not recipients:
            self.refuse(sender, "inbox-missing", expected)
            return
        envelope = self._envelope(sender)
        submission = self._submit(sender, digest(f"value {envelope.message_id}"), envelope, lane, expected)
        receipt = self._attest(
            Event.SUBMISSION_ACCEPTANCE, submission, envelope, consigned=recipients, absent=absent
        )
        for code in recipients:
            self._deliver(code, submission.value, envelope)
        self.accepted.append((submission, envelope, receipt, recipients))
        self._mark(submission)

    def refuse(self, sender: str, reason: str, expected: Expectation | None = None) -> None:
        """Submit a document that is refused; a reason that does not follow from signed bytes is not remembered.

        Args:
            sender: who submits it.
            reason: why it is refused.
            expected: what follows from bytes and directory, where that is something else.
        """
        envelope = self._envelope(sender)
        if reason == "blob-missing":
            expected = Expectation(consigned=(sender,), stored=True)
        value = digest(f"value {envelope.message_id}")
        submission = self._submit(sender, value, envelope, expected=expected or Expectation(reason))
        receipt = self._attest(Event.SUBMISSION_REJECTION, submission, envelope, reason=reason)
        if reason not in UNREMEMBERED:
            self.refused.append((submission, envelope, receipt))
        self._mark(submission)

    def repeat(self, number: int) -> None:
        """Submit once more what was accepted or refused: the same receipt is delivered again, nothing else."""
        if known := [each[:3] for each in self.accepted] + self.refused:
            submission, envelope, receipt = known[number % len(known)]
            again = self._submit(
                envelope.signer, submission.value, envelope, submission.place.topic, submission.expected
            )
            self._deliver(envelope.signer, receipt.value, receipt.content)
            self._mark(again)

    def conflict(self, number: int) -> None:
        """Submit another document under a message id that was used: a refusal that is not remembered."""
        if self.accepted:
            _, envelope, _, _ = self.accepted[number % len(self.accepted)]
            other = replace(envelope, digest=digest(f"other {next(self._numbers)}"))
            value, expected = digest(f"value of {other.digest.hex()}"), Expectation(consigned=(SENDERS[0],))
            submission = self._submit(envelope.signer, value, other, expected=expected)
            self._attest(Event.SUBMISSION_REJECTION, submission, other, reason="message-id-conflict")
            self._mark(submission)

    def garbage(self, sender: str) -> None:
        """Submit bytes that establish nobody."""
        value = digest(f"garbage {next(self._numbers)}")
        submission = self._submit(sender, value, Unestablished("undecodable"))
        place = Source("axis.quarantine", 0, len(self.history.quarantine))
        self.history.appended[place] = self._now()
        self.history.quarantine.append(QuarantineEntry(place, submission.place, value, "undecodable"))
        self._mark(submission)

    def hand_over(self, number: int, status: str = "01") -> None:
        """Let a recipient attest a status, each once per delivery; a further attempt repeats the same receipt."""
        if not self.accepted:
            return
        _, envelope, _, recipients = self.accepted[number % len(self.accepted)]
        issuer = recipients[number % len(recipients)]
        receipt = EstablishedReceipt(
            digest(f"handover {issuer} {envelope.message_id} {status}"),
            Event.CONTENT_HANDOVER,
            issuer,
            envelope.signer,
            envelope.message_id,
            envelope.digest,
            rules=RULES,
            occurred_at=self._now(),
            status=status,
        )
        value = digest(f"value {receipt.digest.hex()}")
        fresh = all(entry.value != value for entry, _ in self.handovers)
        # The task of the document's sender knows what was consigned to whom.
        submission = self._submit(envelope.signer, value, receipt, expected=Expectation())
        if fresh:
            self._record(value, receipt)
            self._deliver(envelope.signer, value, receipt)
            self.handovers.append((submission, receipt))
        self._mark(submission)

    def hand_over_otherwise(self, number: int) -> None:
        """Let a recipient attest a hand-over that it attested before in other bytes: a refusal, not remembered."""
        _, attested = self.handovers[number]
        other = replace(attested, digest=digest(f"other {next(self._numbers)}"))
        value = digest(f"value {other.digest.hex()}")
        submission = self._submit(other.sender, value, other, expected=Expectation())
        signed = EstablishedEnvelope(other.issuer, other.digest, other.message_id, intact=True)
        self._attest(Event.SUBMISSION_REJECTION, submission, signed, reason="message-id-conflict")
        self._mark(submission)

    def _envelope(self, sender: str) -> EstablishedEnvelope:
        number = next(self._numbers)
        return EstablishedEnvelope(sender, digest(f"envelope {number}"), f"id-{number}", intact=True)

    def _submit(
        self,
        sender: str,
        value: Digest,
        content: Content,
        lane: str = LANES[1],
        expected: Expectation | None = None,
    ) -> Entry:
        partition = SENDERS.index(sender)
        offset = sum(
            (each.place.topic, each.place.partition) == (lane, partition) for each in self.history.submissions
        )
        entry = Entry(Source(lane, partition, offset), value, content, expected)
        self.history.submissions.append(entry)
        self.history.appended[entry.place] = self._now()
        return entry

    def _attest(
        self,
        event: Event,
        submission: Entry,
        envelope: EstablishedEnvelope,
        consigned: tuple[str, ...] = (),
        reason: str | None = None,
        absent: tuple[str, ...] = (),
    ) -> Entry:
        receipt = EstablishedReceipt(
            digest(f"receipt {next(self._numbers)}"),
            event,
            AXIS,
            envelope.signer,
            envelope.message_id,
            envelope.digest,
            consigned,
            reason,
            submission.place,
            tuple((code, "inbox-missing") for code in absent),
            rules=RULES,
            occurred_at=self._now(),
        )
        value = digest(f"value {receipt.digest.hex()}")
        self._deliver(envelope.signer, value, receipt)
        return self._record(value, receipt)

    def _record(self, value: Digest, receipt: EstablishedReceipt) -> Entry:
        entry = Entry(Source("axis.receipts", 0, len(self.history.receipts)), value, receipt)
        self.history.receipts.append(entry)
        self.history.appended[entry.place] = self._now()
        return entry

    def _now(self) -> datetime:
        """Return a time that is well after the one before."""
        return BEGUN + timedelta(minutes=next(self._numbers))

    def _deliver(self, code: str, value: Digest, content: Content) -> None:
        inbox = self.history.inboxes.get(code)
        if inbox is None:
            return
        place = Source(f"axis.inbox.{code}", 0, len(inbox))
        inbox.append(Entry(place, value, content))
        self.history.appended[place] = self._now()

    def _mark(self, submission: Entry) -> None:
        lengths = {code: len(entries) for code, entries in self.history.inboxes.items()}
        history = self.history
        self.written.append(Written(submission, len(history.receipts), len(history.quarantine), lengths))
