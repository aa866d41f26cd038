"""What may be wrong with a history, one thing at a time."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from axis.core.findings import FindingKind, Report
from axis.core.history import (
    Entry,
    EstablishedEnvelope,
    EstablishedReceipt,
    Expectation,
    QuarantineEntry,
)
from axis.core.receipt import Event, Source
from tests.unit.core.history_model import AXIS, LANES, RULES, SENDERS, History, Model, digest

PROVINCE, WARD, COMMUNE = SENDERS
Mutation = Callable[[History], object]


def kinds(report: Report) -> set[FindingKind]:
    """Return the kinds of findings of a report."""
    return {finding.kind for finding in report.findings}


def sample() -> Model:
    """Return a model that has lived through everything once."""
    model = Model()
    model.accept(PROVINCE, (WARD, COMMUNE))
    model.accept(WARD, (PROVINCE,), LANES[0])
    model.refuse(COMMUNE, "blob-missing")
    model.refuse(COMMUNE, "recipients-empty")
    model.repeat(0)
    model.repeat(2)
    model.conflict(0)
    model.garbage(WARD)
    model.hand_over(0)
    model.hand_over(0)
    return model


def document(history: History, code: str) -> Entry:
    """Return the first document of an inbox."""
    return next(each for each in history.inboxes[code] if isinstance(each.content, EstablishedEnvelope))


def receipt(history: History, event: Event) -> Entry:
    """Return the first receipt of an event."""
    return next(each for each in history.receipts if each.content.event is event)  # type: ignore[union-attr]


def changed(history: History, event: Event, **fields: Any) -> None:  # noqa: ANN401 - the receipt's fields
    """Replace fields of the first receipt of an event, in the receipts and in its sender's inbox."""
    entry = receipt(history, event)
    content = entry.content
    assert isinstance(content, EstablishedReceipt)
    other = replace(entry, value=digest(f"changed {entry.value.hex()}"), content=replace(content, **fields))
    history.receipts[history.receipts.index(entry)] = other
    for entries in history.inboxes.values():
        entries[:] = [
            replace(other, place=each.place) if each.value == entry.value else each for each in entries
        ]


def moved(entry: Entry, offset: int = 900) -> Entry:
    """Return the same record further back."""
    return replace(entry, place=replace(entry.place, offset=offset))


def damaged(history: History) -> None:
    """Let the parts of an accepted envelope be something else than what was signed."""
    entry = history.submissions[0]
    assert isinstance(entry.content, EstablishedEnvelope)
    history.submissions[0] = replace(entry, content=replace(entry.content, intact=False))


def taken(history: History, entry: Entry, at: datetime) -> None:
    """Let the axis decide at another time, and the broker take its receipt at once."""
    assert isinstance(entry.content, EstablishedReceipt)
    other = replace(entry, content=replace(entry.content, occurred_at=at))
    history.receipts[history.receipts.index(entry)] = other
    history.appended[entry.place] = at


def opened_by_stranger(history: History) -> None:
    """Let another organisation open an inbox."""
    entry = history.inboxes[WARD][0]
    assert isinstance(entry.content, EstablishedReceipt)
    history.inboxes[WARD][0] = replace(entry, content=replace(entry.content, issuer=PROVINCE))


def parked_valid(history: History) -> None:
    """Park an envelope whose signer is established in place of answering it."""
    entry = receipt(history, Event.SUBMISSION_REJECTION)
    history.receipts.remove(entry)
    for entries in history.inboxes.values():
        entries[:] = [each for each in entries if each.value != entry.value]
    assert isinstance(entry.content, EstablishedReceipt)
    assert entry.content.source is not None
    submission = next(each for each in history.submissions if each.place == entry.content.source)
    place = Source("axis.quarantine", 0, 9)
    history.quarantine.append(QuarantineEntry(place, submission.place, submission.value, "undecodable"))


def handover_by_stranger(history: History) -> None:
    """Let an organisation attest the hand-over of a document that went to another one."""
    changed(history, Event.CONTENT_HANDOVER, issuer=PROVINCE)


def accepted_twice(history: History, **fields: Any) -> None:  # noqa: ANN401 - the receipt's fields
    """Accept a repetition as if it were new."""
    entry = receipt(history, Event.SUBMISSION_ACCEPTANCE)
    content = entry.content
    assert isinstance(content, EstablishedReceipt)
    repeated = [each for each in history.submissions if each.place.partition == 0][1]
    again = replace(content, digest=digest("again"), source=repeated.place, **fields)
    history.receipts.append(
        replace(entry, place=Source("axis.receipts", 0, 99), value=digest("again v"), content=again)
    )


def recipients(history: History, *codes: str) -> None:
    """Let the first acceptance consign its document to these, and deliver it so."""
    changed(history, Event.SUBMISSION_ACCEPTANCE, consigned=codes)
    sent = history.submissions[0]
    for code, entries in history.inboxes.items():
        entries[:] = [each for each in entries if each.value != sent.value]
        if code in codes:
            entries.append(replace(sent, place=Source("axis.inbox", 0, 900)))


def expected(history: History, event: Event, expectation: Expectation) -> None:
    """Let something else have to become of what the first receipt of an event is about."""
    content = receipt(history, event).content
    assert isinstance(content, EstablishedReceipt)
    (at,) = [n for n, each in enumerate(history.submissions) if each.place == content.source]
    history.submissions[at] = replace(history.submissions[at], expected=expectation)


def expiring(history: History, event: Event, seconds: int) -> None:
    """Let what a receipt is about expire so long after the decision."""
    content = receipt(history, event).content
    assert isinstance(content, EstablishedReceipt)
    expires_at = content.occurred_at + timedelta(seconds=seconds)
    expectation = Expectation(consigned=content.consigned, expires_at=expires_at)
    expected(history, event, expectation)


def refused_for(history: History, reason: str) -> None:
    """Refuse the first refused document for a reason that neither bytes nor directory give."""
    expected(history, Event.SUBMISSION_REJECTION, Expectation(consigned=(WARD,)))
    changed(history, Event.SUBMISSION_REJECTION, reason=reason)


def conflicting(history: History, expectation: Expectation, reason: str) -> None:
    """Let something else have to become of what was refused for a conflict, and refuse it for a reason."""
    for at, entry in enumerate(history.receipts):
        content = entry.content
        if isinstance(content, EstablishedReceipt) and content.reason == "message-id-conflict":
            history.receipts[at] = replace(entry, content=replace(content, reason=reason))
            sent = next(each for each in history.submissions if each.place == content.source)
            history.submissions[history.submissions.index(sent)] = replace(sent, expected=expectation)


def in_turn(*steps: Mutation) -> Mutation:
    """Return several changes as one."""

    def mutate(history: History) -> None:
        for step in steps:
            step(history)

    return mutate


def submissions_of(history: History, submitted: EstablishedReceipt) -> list[Entry]:
    """Return the submissions of a recipient's receipt."""
    receipts = [each for each in history.submissions if isinstance(each.content, EstablishedReceipt)]
    return [each for each in receipts if each.content.digest == submitted.digest]  # type: ignore[union-attr]


def hand_over_refused(history: History, reason: str) -> None:
    """Refuse a hand-over that was submitted in place of forwarding it."""
    entry = receipt(history, Event.CONTENT_HANDOVER)
    history.receipts.remove(entry)
    assert isinstance(entry.content, EstablishedReceipt)
    submitted = submissions_of(history, entry.content)
    for number, each in enumerate(submitted):
        rejection = EstablishedReceipt(
            digest(f"rejection {number}"),
            Event.SUBMISSION_REJECTION,
            AXIS,
            entry.content.issuer,
            entry.content.message_id,
            entry.content.digest,
            reason=reason,
            source=each.place,
            rules=RULES,
            occurred_at=entry.content.occurred_at,
        )
        value = digest(f"rejection v {number}")
        history.receipts.append(Entry(Source("axis.receipts", 0, 700 + number), value, rejection))
        history.inboxes[entry.content.issuer].append(
            Entry(Source("axis.inbox", 0, 700 + number), value, rejection)
        )
    for entries in history.inboxes.values():
        entries[:] = [each for each in entries if each.value != entry.value]


def forwarded_though_refusable(history: History) -> None:
    """Let a hand-over break a rule that names no directory."""
    submitted = receipt(history, Event.CONTENT_HANDOVER).content
    assert isinstance(submitted, EstablishedReceipt)
    for each in submissions_of(history, submitted):
        at = history.submissions.index(each)
        history.submissions[at] = replace(each, expected=Expectation("receipt-not-allowed"))


def in_sender_inbox_alone(history: History, offset: int) -> None:
    """Put an acceptance about an offset into its sender's inbox, and nowhere else."""
    entry = receipt(history, Event.SUBMISSION_ACCEPTANCE)
    assert isinstance(entry.content, EstablishedReceipt)
    source = Source(LANES[1], 0, offset)
    forged = replace(entry.content, digest=digest("forged"), source=source)
    history.inboxes[PROVINCE].append(Entry(Source("axis.inbox", 0, 900), digest("forged v"), forged))
