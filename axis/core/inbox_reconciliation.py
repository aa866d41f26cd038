"""One inbox against what acceptances and receipts say must stand in it."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from axis.core.digest import Digest
from axis.core.findings import Finding, FindingKind
from axis.core.history import (
    Entry,
    EstablishedEnvelope,
    EstablishedReceipt,
    Unestablished,
    shown,
)
from axis.core.policy import CLOCK_MARGIN
from axis.core.receipt import Event, Source
from axis.core.topics import inbox_topic

OPENING_MARGIN: Final = timedelta(seconds=10)
"""How long after an inbox was opened a router may not know of it, by the clocks of both."""


class Due(NamedTuple):
    """A document or receipt that belongs into an inbox.

    Attributes:
        digest: identity of the envelope or receipt.
        least: how often it must stand there.
        most: how often it may stand there.
    """

    digest: Digest
    message_id: str | None
    least: int
    most: int

    def plus(self, other: "Due | None") -> "Due":
        """Return what is due when the same is due for two reasons."""
        return self._replace(least=self.least + other.least, most=self.most + other.most) if other else self


class InboxReconciliation:
    """Compares one inbox, read from its beginning or from the period judged on.

    Args:
        code: whose inbox.
        axis: code of the axis node.
        consignments: the documents that acceptances consign to it, each with the SHA-256 of the record's value, or
            with its identity where the accepted record is kept no more.
        answers: the receipts that its owner must have, by SHA-256 of the record's value.
        rejected_at: of these, when each rejection was issued. What came from an organisation without an inbox is
            rejected in the legal record alone: no rejection from before the opening is demanded here.
        exists: whether there is such an inbox at all.
        may_follow: tells whether an entry follows from submissions that are not judged yet.

    Attributes:
        opened_at: when the axis says that it opened the inbox; None while that was not read.
        first_at: when the broker took the first of the records that were seen; None while there was none.
    """

    def __init__(
        self,
        code: str,
        axis: str,
        consignments: Iterable[tuple[Digest, Due]],
        answers: Mapping[Digest, Due],
        rejected_at: Mapping[Digest, datetime],
        may_follow: Callable[[Entry], bool],
        *,
        exists: bool = True,
    ) -> None:
        self.consigned = self.delivered = self.answers_due = self.answered = 0
        self.code = code
        self._axis = axis
        self._documents: dict[Digest, Due] = {}
        self._answers = answers
        self._rejected_at = rejected_at
        self._may_follow = may_follow
        self._exists = exists
        self._counted: Counter[Digest] = Counter()
        self._findings: list[Finding] = []
        self.opened_at: datetime | None = None
        self.first_at: datetime | None = None
        for key, due in consignments:
            self._documents[key] = due.plus(self._documents.get(key))

    @property
    def open_from(self) -> datetime | None:
        """From when on a router must know of the inbox, by its own clock; None while nothing tells."""
        known = [] if self.opened_at is None else [self.opened_at + OPENING_MARGIN]
        # Whatever stands in it proves that it was there; the opening itself may be removed, or before the period.
        known += [] if self.first_at is None else [self.first_at + CLOCK_MARGIN]
        return min(known, default=None)

    def saw(self, appended_at: datetime) -> None:
        """Take the append time of any record that stands in it."""
        if self.first_at is None or appended_at < self.first_at:
            self.first_at = appended_at

    def recognise(self, place: Source, value: Digest) -> bool:
        """Count a record whose exact bytes belong here; when they do not, it has to be verified and added."""
        if (due := self._documents.get(value)) is not None:
            self._count(place, value, due, FindingKind.DOCUMENT_DOUBLED)
        elif (due := self._answers.get(value)) is not None:
            self._count(place, value, due, FindingKind.ANSWER_DOUBLED)
        return due is not None

    def add(self, entry: Entry) -> None:
        """Take a record whose bytes were not recognised."""
        match entry.content:
            case EstablishedEnvelope() as envelope:
                self._add_document(entry, envelope)
            case EstablishedReceipt(event=Event.INBOX_OPENED) as receipt:
                self._add_opening(entry, receipt)
            case EstablishedReceipt() as receipt if not self._may_follow(entry):
                self._note(
                    FindingKind.ANSWER_UNEXPECTED,
                    entry.place,
                    f"{receipt.event} by {receipt.issuer} that the receipts do not hold, or not for {self.code}",
                    receipt.message_id,
                    receipt.digest,
                )
            case Unestablished(reason=reason):
                self._note(
                    FindingKind.ENTRY_UNVERIFIED, entry.place, f"neither document nor receipt: {reason}"
                )
            case _:
                pass

    def close(self) -> list[Finding]:
        """Compare counts with what is due; return everything found in this inbox."""
        self.consigned, self.delivered = self._fill(self._documents, FindingKind.DOCUMENT_MISSING)
        answers = {
            key: due._replace(least=min(due.least, self._counted[key])) if self._unanswerable(key) else due
            for key, due in self._answers.items()
        }
        self.answers_due, self.answered = self._fill(answers, FindingKind.ANSWER_MISSING)
        return self._findings

    def _unanswerable(self, answer: Digest) -> bool:
        """Tell whether an answer is a rejection that may have been issued while there was no inbox to put it into."""
        at = self._rejected_at.get(answer)
        if at is None:
            return False
        if self.opened_at is None or self.open_from is None:
            return not self._exists
        return at < self.open_from

    def _fill(self, expected: Mapping[Digest, Due], missing: FindingKind) -> tuple[int, int]:
        """Note what is missing; return how much was due and how much of it was found."""
        least = found = 0
        for key, due in expected.items():
            counted = min(self._counted[key], due.least)
            least += due.least
            found += counted
            if counted < due.least:
                self._findings.append(
                    Finding(
                        missing,
                        inbox_topic(self.code),
                        f"stands here {counted} times, expected {due.least}",
                        self.code,
                        due.message_id,
                        due.digest,
                    )
                )
        return least, found

    def _add_document(self, entry: Entry, envelope: EstablishedEnvelope) -> None:
        if (due := self._documents.get(envelope.digest)) is not None:
            self._count(entry.place, envelope.digest, due, FindingKind.DOCUMENT_DOUBLED)
        elif any(each.digest == envelope.digest for each in self._documents.values()):
            self._note(
                FindingKind.DOCUMENT_ALTERED,
                entry.place,
                f"other bytes than {envelope.signer} submitted",
                envelope.message_id,
                envelope.digest,
            )
        elif not self._may_follow(entry):
            self._note(
                FindingKind.DOCUMENT_UNEXPECTED,
                entry.place,
                f"no acceptance consigns this document from {envelope.signer} to {self.code}",
                envelope.message_id,
                envelope.digest,
            )

    def _add_opening(self, entry: Entry, receipt: EstablishedReceipt) -> None:
        if receipt.issuer != self._axis or receipt.sender != self.code:
            detail = (
                f"{receipt.issuer} opens the inbox of {receipt.sender}, expected {self._axis} and {self.code}"
            )
        elif self.opened_at is not None:
            detail = "the inbox was opened before"
        else:
            self.opened_at = receipt.occurred_at
            return
        self._note(FindingKind.INBOX_REOPENED, entry.place, detail, None, receipt.digest)

    def _count(self, place: Source, key: Digest, due: Due, doubled: FindingKind) -> None:
        self._counted[key] += 1
        if self._counted[key] > due.most:
            self._note(
                doubled,
                place,
                f"stands here for the {self._counted[key]}. time, expected at most {due.most}",
                due.message_id,
                due.digest,
            )

    def _note(
        self,
        kind: FindingKind,
        place: Source,
        detail: str,
        message_id: str | None = None,
        digest: Digest | None = None,
    ) -> None:
        self._findings.append(Finding(kind, shown(place), detail, self.code, message_id, digest))
