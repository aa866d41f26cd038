"""The oracle: a history that is right holds, and every single thing that is wrong is found and named."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axis.core.coverage import Coverage, Shortened
from axis.core.findings import FindingKind, Report
from axis.core.history import (
    Entry,
    EstablishedEnvelope,
    EstablishedReceipt,
    Expectation,
    QuarantineEntry,
    Rules,
    Unestablished,
)
from axis.core.receipt import Event, Source
from axis.core.reconciliation import Reconciliation
from tests.unit.core.history_model import AXIS, BEGUN, LANES, RULES, SENDERS, History, Model, digest

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


def test_a_correct_history_holds_with_its_counts() -> None:
    """Every submission is counted under its fate, every delivery and answer as due and as found."""
    report = sample().history.judged()
    assert report.findings == ()
    assert report.counts == {
        "submissions": 10,
        "waiting": 0,
        "accepted": 2,
        "refused": 3,
        "quarantined": 1,
        "duplicates": 3,
        "forwarded": 1,
        "inboxes": 3,
        "consigned": 3,
        "delivered": 3,
        "answers_due": 8,
        "answered": 8,
        "taken_as_given": 1,
        "other_rules": 0,
    }


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


MUTATIONS: dict[str, tuple[FindingKind, Mutation]] = {
    "acceptance lost": (
        FindingKind.SUBMISSION_LOST,
        lambda h: h.receipts.remove(receipt(h, Event.SUBMISSION_ACCEPTANCE)),
    ),
    "quarantine lost": (FindingKind.SUBMISSION_LOST, lambda h: h.quarantine.clear()),
    "hand-over lost": (
        FindingKind.SUBMISSION_LOST,
        lambda h: h.receipts.remove(receipt(h, Event.CONTENT_HANDOVER)),
    ),
    "parked twice": (FindingKind.FATE_DOUBLED, lambda h: h.quarantine.append(h.quarantine[0])),
    "repetition accepted": (FindingKind.DECIDED_TWICE, accepted_twice),
    "conflict accepted": (
        FindingKind.MESSAGE_ID_REUSED,
        lambda h: accepted_twice(h, envelope_digest=digest("x")),
    ),
    "receipt with a broken signature": (
        FindingKind.RECEIPT_UNVERIFIED,
        lambda h: h.receipts.append(
            Entry(Source("axis.receipts", 0, 99), digest("f"), Unestablished("signature-invalid"))
        ),
    ),
    "envelope among the receipts": (
        FindingKind.RECEIPT_UNVERIFIED,
        lambda h: h.receipts.append(moved(document(h, WARD))),
    ),
    "acceptance by an organisation": (
        FindingKind.RECEIPT_NOT_BY_AXIS,
        lambda h: changed(h, Event.SUBMISSION_ACCEPTANCE, issuer=WARD),
    ),
    "acceptance of nothing": (
        FindingKind.RECEIPT_UNFOUNDED,
        lambda h: changed(h, Event.SUBMISSION_ACCEPTANCE, source=None),
    ),
    "acceptance of what is not there": (
        FindingKind.RECEIPT_UNFOUNDED,
        lambda h: h.submissions.remove(h.submissions[0]),
    ),
    "hand-over that nobody submitted": (
        FindingKind.RECEIPT_UNFOUNDED,
        lambda h: changed(h, Event.CONTENT_HANDOVER, digest=digest("h")),
    ),
    "acceptance of another digest": (
        FindingKind.RECEIPT_CONTRADICTS,
        lambda h: changed(h, Event.SUBMISSION_ACCEPTANCE, envelope_digest=digest("x")),
    ),
    "acceptance of what is not intact": (FindingKind.RECEIPT_CONTRADICTS, damaged),
    "acceptance of what nobody signed": (
        FindingKind.RECEIPT_CONTRADICTS,
        lambda h: h.submissions.__setitem__(
            0, replace(h.submissions[0], content=Unestablished("signature-invalid"))
        ),
    ),
    "acceptance of what stands behind the end": (
        FindingKind.RECEIPT_UNFOUNDED,
        lambda h: changed(h, Event.SUBMISSION_ACCEPTANCE, source=Source(LANES[1], 0, 10**12)),
    ),
    "decided after it was recorded": (
        FindingKind.RECEIPT_CONTRADICTS,
        lambda h: changed(
            h, Event.SUBMISSION_ACCEPTANCE, occurred_at=max(h.appended.values()) + timedelta(hours=1)
        ),
    ),
    "recipient dropped": (FindingKind.RECIPIENT_DROPPED, lambda h: recipients(h, WARD)),
    "recipient refused": (
        FindingKind.RECIPIENT_DROPPED,
        in_turn(
            lambda h: recipients(h, WARD),
            lambda h: changed(h, Event.SUBMISSION_ACCEPTANCE, refused=((COMMUNE, "recipient-not-allowed"),)),
        ),
    ),
    "recipient without an inbox, that had one": (
        FindingKind.RECIPIENT_DROPPED,
        in_turn(
            lambda h: recipients(h, WARD),
            lambda h: changed(h, Event.SUBMISSION_ACCEPTANCE, refused=((COMMUNE, "inbox-missing"),)),
        ),
    ),
    "recipient added": (FindingKind.RECIPIENT_ADDED, lambda h: recipients(h, PROVINCE, WARD, COMMUNE)),
    "recipients exchanged": (FindingKind.RECIPIENT_ADDED, lambda h: recipients(h, PROVINCE, WARD)),
    "refusal of a recipient left out": (
        FindingKind.REFUSAL_UNFOUNDED,
        lambda h: expected(
            h,
            Event.SUBMISSION_ACCEPTANCE,
            Expectation(consigned=(WARD, COMMUNE), refused=(("H56.9", "recipient-unknown"),)),
        ),
    ),
    "accepted though it had to be refused": (
        FindingKind.ACCEPTANCE_UNFOUNDED,
        lambda h: expected(h, Event.SUBMISSION_ACCEPTANCE, Expectation("environment-mismatch")),
    ),
    "accepted though it had expired": (
        FindingKind.ACCEPTANCE_UNFOUNDED,
        lambda h: expiring(h, Event.SUBMISSION_ACCEPTANCE, 0),
    ),
    "refused for another reason": (
        FindingKind.REFUSAL_UNFOUNDED,
        lambda h: expected(h, Event.SUBMISSION_REJECTION, Expectation("header-malformed")),
    ),
    "refused as expired before it was": (
        FindingKind.REFUSAL_UNFOUNDED,
        in_turn(
            lambda h: expiring(h, Event.SUBMISSION_REJECTION, 1),
            lambda h: changed(h, Event.SUBMISSION_REJECTION, reason="expired"),
        ),
    ),
    "refused as expired without a time": (FindingKind.REFUSAL_UNFOUNDED, lambda h: refused_for(h, "expired")),
    "refused for a blob that it does not name": (
        FindingKind.REFUSAL_UNFOUNDED,
        lambda h: refused_for(h, "blob-missing"),
    ),
    "refused for inboxes that were there": (
        FindingKind.REFUSAL_UNFOUNDED,
        lambda h: refused_for(h, "inbox-missing"),
    ),
    "refused for a conflict with nothing": (
        FindingKind.REFUSAL_UNFOUNDED,
        lambda h: refused_for(h, "message-id-conflict"),
    ),
    "misplaced copy refused for a conflict": (
        FindingKind.REFUSAL_UNFOUNDED,
        lambda h: conflicting(h, Expectation("wrong-lane"), "message-id-conflict"),
    ),
    "document refused as if it were a receipt": (
        FindingKind.REFUSAL_UNFOUNDED,
        lambda h: conflicting(h, Expectation(consigned=(WARD,)), "receipt-not-allowed"),
    ),
    "hand-over refused for a conflict with nothing": (
        FindingKind.REFUSAL_UNFOUNDED,
        lambda h: hand_over_refused(h, "message-id-conflict"),
    ),
    "hand-over refused though it was consigned": (
        FindingKind.REFUSAL_UNFOUNDED,
        lambda h: hand_over_refused(h, "receipt-not-allowed"),
    ),
    "hand-over refused for an inbox that was there": (
        FindingKind.REFUSAL_UNFOUNDED,
        lambda h: hand_over_refused(h, "inbox-missing"),
    ),
    "hand-over forwarded though it breaks a rule": (
        FindingKind.HANDOVER_UNFOUNDED,
        forwarded_though_refusable,
    ),
    "parked from behind the end": (
        FindingKind.QUARANTINE_UNFOUNDED,
        lambda h: h.quarantine.__setitem__(0, replace(h.quarantine[0], source=Source(LANES[1], 0, 10**12))),
    ),
    "acceptance about nothing in its sender's inbox": (
        FindingKind.ANSWER_UNEXPECTED,
        lambda h: in_sender_inbox_alone(h, 10**12),
    ),
    "receipt twice": (FindingKind.RECEIPT_DOUBLED, lambda h: h.receipts.append(moved(h.receipts[0]))),
    "hand-over by a stranger": (FindingKind.HANDOVER_UNFOUNDED, handover_by_stranger),
    "hand-over of another envelope": (
        FindingKind.HANDOVER_UNFOUNDED,
        lambda h: changed(h, Event.CONTENT_HANDOVER, envelope_digest=digest("x")),
    ),
    "hand-over attested twice": (
        FindingKind.HANDOVER_DOUBLED,
        lambda h: h.receipts.append(
            replace(moved(receipt(h, Event.CONTENT_HANDOVER)), value=digest("re-signed"))
        ),
    ),
    "parked bytes changed": (
        FindingKind.QUARANTINE_UNFOUNDED,
        lambda h: h.quarantine.__setitem__(0, replace(h.quarantine[0], value=digest("x"))),
    ),
    "parked though established": (FindingKind.QUARANTINE_UNJUSTIFIED, parked_valid),
    "document missing": (
        FindingKind.DOCUMENT_MISSING,
        lambda h: h.inboxes[WARD].remove(document(h, WARD)),
    ),
    "whole inbox missing": (FindingKind.DOCUMENT_MISSING, lambda h: h.inboxes.pop(COMMUNE)),
    "document twice": (
        FindingKind.DOCUMENT_DOUBLED,
        lambda h: h.inboxes[WARD].append(moved(document(h, WARD))),
    ),
    "document altered": (
        FindingKind.DOCUMENT_ALTERED,
        lambda h: h.inboxes[WARD].append(replace(moved(document(h, WARD)), value=digest("altered"))),
    ),
    "document for somebody else": (
        FindingKind.DOCUMENT_UNEXPECTED,
        lambda h: h.inboxes[COMMUNE].append(moved(document(h, PROVINCE))),
    ),
    "answer missing": (
        FindingKind.ANSWER_MISSING,
        lambda h: h.inboxes[COMMUNE].remove(h.inboxes[COMMUNE][-1]),
    ),
    "answer too often": (
        FindingKind.ANSWER_DOUBLED,
        lambda h: h.inboxes[COMMUNE].append(moved(h.inboxes[COMMUNE][-1])),
    ),
    "answer of somebody else": (
        FindingKind.ANSWER_UNEXPECTED,
        lambda h: h.inboxes[COMMUNE].append(moved(h.inboxes[PROVINCE][1])),
    ),
    "inbox entry with a broken signature": (
        FindingKind.ENTRY_UNVERIFIED,
        lambda h: h.inboxes[WARD].append(
            Entry(Source("axis.inbox", 0, 900), digest("f"), Unestablished("signature-invalid"))
        ),
    ),
    "inbox opened twice": (
        FindingKind.INBOX_REOPENED,
        lambda h: h.inboxes[WARD].append(moved(h.inboxes[WARD][0])),
    ),
    "inbox opened by an organisation": (FindingKind.INBOX_REOPENED, opened_by_stranger),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_each_falsification_is_named(name: str) -> None:
    """A history with one thing wrong does not hold, and the finding has the kind that says what it is."""
    kind, mutate = MUTATIONS[name]
    history = sample().history
    mutate(history)
    report = history.judged()
    assert kind in kinds(report)
    assert not report.holds


def test_a_quarantine_record_that_is_none_is_named() -> None:
    """Bytes in the quarantine that park nothing are a finding of their own."""
    oracle = Reconciliation(AXIS, RULES, Coverage({}, BEGUN))
    oracle.add_unreadable_quarantine(Source("axis.quarantine", 0, 7), "undecodable")
    (finding,) = oracle.report().findings
    assert (finding.kind, finding.place) == (FindingKind.QUARANTINE_UNREADABLE, "axis.quarantine/0/7")


def test_every_kind_of_finding_has_a_falsification() -> None:
    """No kind of finding is without a test that provokes it; those that no change of one record provokes have their own."""
    others = {
        FindingKind.QUARANTINE_UNREADABLE,
        FindingKind.POSITION_LOST,
        FindingKind.SUBMISSION_STALLED,
        FindingKind.RECORDS_REMOVED,
    }
    assert {kind for kind, _ in MUTATIONS.values()} | others == set(FindingKind)


OTHER_DIRECTORY, OTHER_POLICY = replace(RULES, directory="sha256:2"), replace(RULES, policy="2027-01")


@pytest.mark.parametrize(
    ("rules", "mutate", "provable"),
    [
        (OTHER_DIRECTORY, lambda h: recipients(h, WARD), False),
        (OTHER_POLICY, lambda h: recipients(h, WARD), True),
        (
            OTHER_DIRECTORY,
            lambda h: expected(h, Event.SUBMISSION_ACCEPTANCE, Expectation("sender-not-allowed")),
            False,
        ),
        (
            OTHER_DIRECTORY,
            lambda h: expected(h, Event.SUBMISSION_ACCEPTANCE, Expectation("environment-mismatch")),
            True,
        ),
        (
            OTHER_POLICY,
            lambda h: expected(h, Event.SUBMISSION_ACCEPTANCE, Expectation("signing-time-skewed")),
            False,
        ),
        (OTHER_DIRECTORY, lambda h: refused_for(h, "recipient-unknown"), False),
        (OTHER_POLICY, lambda h: refused_for(h, "recipient-unknown"), True),
        (OTHER_POLICY, lambda h: refused_for(h, "parts-too-many"), False),
        (OTHER_DIRECTORY, lambda h: refused_for(h, "expired"), True),
    ],
)
def test_what_other_rules_may_have_decided_is_counted(rules: Rules, mutate: Mutation, provable: bool) -> None:
    """A difference that another directory or policy explains is no finding but a number; any other one is a finding."""
    history = sample().history
    mutate(history)
    for event in (Event.SUBMISSION_ACCEPTANCE, Event.SUBMISSION_REJECTION):
        changed(history, event, rules=rules)
    report = history.judged()
    assert (report.holds, report.counts["other_rules"]) == (not provable, 0 if provable else 1)


def test_a_late_decision_may_be_a_refusal() -> None:
    """What expired while it waited is refused; what was not expired yet is accepted."""
    history = sample().history
    expiring(history, Event.SUBMISSION_ACCEPTANCE, 1)
    content = history.submissions[0].expected
    assert content is not None
    expected(history, Event.SUBMISSION_ACCEPTANCE, replace(content, consigned=(WARD, COMMUNE)))
    expiring(history, Event.SUBMISSION_REJECTION, 0)
    changed(history, Event.SUBMISSION_REJECTION, reason="expired")
    assert history.judged().findings == ()


def test_a_hand_over_of_what_was_not_consigned_may_be_refused() -> None:
    """An earlier decision bears a refusal out, or nobody can tell; both are no findings."""
    history = sample().history
    recipients(history, COMMUNE)
    expected(history, Event.SUBMISSION_ACCEPTANCE, Expectation(consigned=(COMMUNE,)))
    hand_over_refused(history, "receipt-not-allowed")
    assert history.judged().findings == ()
    history = sample().history
    hand_over_refused(history, "signing-time-skewed")
    report = history.judged()
    assert (report.findings, report.counts["taken_as_given"]) == ((), 3)


def test_each_status_of_a_document_is_attested_once() -> None:
    """Two statuses of one recipient hold side by side; another receipt of one of them is a conflict, for that one alone."""
    model = Model()
    model.accept(PROVINCE, (WARD,))
    model.hand_over(0, "01")
    model.hand_over(0, "06")
    model.hand_over_otherwise(1)
    report = model.history.judged()
    assert (report.findings, report.counts["forwarded"], report.counts["refused"]) == ((), 2, 1)
    _, (submission, attested) = model.handovers
    rest = [entry for entry in model.history.receipts if entry.value != submission.value]
    unfounded = replace(model.history.copy(), receipts=rest).judged()
    assert attested.status == "06"
    assert FindingKind.REFUSAL_UNFOUNDED in kinds(unfounded)


def test_a_conflict_with_what_retention_removed_is_taken_as_given() -> None:
    """Where receipts are kept no more, nobody can tell what was decided before."""
    history = sample().history
    refused_for(history, "message-id-conflict")
    old = {("axis.receipts", 0): Shortened(1, timedelta(0))}
    report = history.judged(at=BEGUN + timedelta(days=100), shortened=old)
    assert (report.findings, report.counts["taken_as_given"]) == ((), 2)


def test_a_conflict_may_rest_on_what_was_not_read_yet() -> None:
    """What was decided while the receipts are read may be among them without the decision before."""
    model = Model()
    model.accept(PROVINCE, (WARD,))
    model.conflict(0)
    del model.history.receipts[0]
    lane = (LANES[1], 0)
    assert model.history.judged({lane: 0}).findings == ()
    assert FindingKind.REFUSAL_UNFOUNDED in kinds(model.history.judged())


def exchanged(history: History, one: Source, other: Source) -> None:
    """Let two submissions stand each where the other one stands, and every receipt be about the same one as before."""
    places = {one: other, other: one}
    times = {places[place]: at for place, at in history.appended.items() if place in places}
    history.appended |= times
    standing = [replace(each, place=places.get(each.place, each.place)) for each in history.submissions]
    history.submissions[:] = sorted(standing, key=lambda each: each.place.offset)
    for at, entry in enumerate(history.receipts):
        content = entry.content
        if isinstance(content, EstablishedReceipt) and content.source in places:
            moved_to = replace(content, source=places[content.source])
            history.receipts[at] = replace(entry, content=moved_to)


@pytest.mark.parametrize("kind", ["document", "hand-over"])
def test_a_conflict_rests_on_what_stands_before_it(kind: str) -> None:
    """What is decided about a message id later on does not bear out that an earlier submission was refused for it."""
    model = Model()
    model.accept(PROVINCE, (WARD,))
    if kind == "document":
        model.conflict(0)
    else:
        model.hand_over(0)
        model.hand_over_otherwise(0)
    assert model.history.judged().findings == ()
    before, refused = model.history.submissions[-2:]
    exchanged(model.history, before.place, refused.place)
    (finding,) = model.history.judged().findings
    assert finding.kind is FindingKind.REFUSAL_UNFOUNDED


def test_a_conflict_across_the_lanes_is_not_judged_by_its_place() -> None:
    """Of two lanes nobody knows which was decided first."""
    model = Model()
    model.accept(PROVINCE, (WARD,))
    model.conflict(0)
    accepted = model.history.submissions[0].place
    exchanged(model.history, accepted, Source(LANES[0], 0, 7))
    assert model.history.judged().findings == ()


def test_nothing_follows_from_a_receipt_about_what_stands_nowhere() -> None:
    """It is named for itself, and neither moves a position nor makes anything due."""
    history = sample().history
    entry = receipt(history, Event.SUBMISSION_ACCEPTANCE)
    assert isinstance(entry.content, EstablishedReceipt)
    forged = replace(
        entry.content, digest=digest("forged"), message_id="id-99", source=Source(LANES[1], 0, 10**12)
    )
    place = Source("axis.receipts", 0, 900)
    history.receipts.append(Entry(place, digest("forged v"), forged))
    (finding,) = history.judged().findings
    assert (finding.kind, finding.place) == (FindingKind.RECEIPT_UNFOUNDED, "axis.receipts/0/900")


LANE = (LANES[1], SENDERS.index(COMMUNE))


@pytest.mark.parametrize("position", [None, 0, 1])
def test_a_position_behind_what_was_decided_is_named(position: int | None) -> None:
    """Deleted, expired or set back: receipts and quarantine tell how far the router was."""
    history = sample().history
    ends = {(lane, number): 99 for lane in LANES for number in range(len(SENDERS))}
    assert history.judged({LANE: 0}, positions=ends).findings == ()
    positions = {lane: end for lane, end in ends.items() if lane != LANE}
    if position is not None:
        positions[LANE] = position
    report = history.judged({LANE: position or 0}, positions=positions)
    (finding,) = (each for each in report.findings if each.kind is FindingKind.POSITION_LOST)
    assert finding.place == f"{LANE[0]}/{LANE[1]}"


def test_only_quarantine_tells_of_a_lost_position() -> None:
    """A lane in which nothing but garbage was decided has its position as well."""
    model = Model()
    model.garbage(WARD)
    lane = (LANES[1], SENDERS.index(WARD))
    assert kinds(model.history.judged({lane: 0}, positions={})) == {FindingKind.POSITION_LOST}


@pytest.mark.parametrize(("hours", "stalled"), [(24, False), (25, True)])
def test_a_submission_that_waits_for_too_long_is_named(hours: int, stalled: bool) -> None:
    """Unfinished work at the end is allowed for a day."""
    model = Model()
    model.accept(PROVINCE, (WARD,))
    (submission,) = model.history.submissions
    lane = (LANES[1], 0)
    waiting = History(model.history.submissions, inboxes={}, appended=model.history.appended)
    at = model.history.appended[submission.place] + timedelta(hours=hours)
    report = waiting.judged({lane: 0}, positions={lane: 0}, at=at)
    assert kinds(report) == ({FindingKind.SUBMISSION_STALLED} if stalled else set())
    assert report.counts["waiting"] == 1


def test_what_is_in_an_inbox_of_what_still_waits_is_named() -> None:
    """A document or acceptance of a submission that the router cannot have decided follows from nothing."""
    model = sample()
    ends = {(lane, number): 99 for lane in LANES for number in range(len(SENDERS))}
    model.accept(COMMUNE, (WARD,))
    history = model.history
    history.receipts.pop()
    offset = history.submissions[-1].place.offset
    assert history.judged({LANE: offset}, positions=ends).findings == ()
    found = kinds(history.judged({LANE: offset}, positions=ends | {LANE: offset}))
    assert found == {FindingKind.DOCUMENT_UNEXPECTED, FindingKind.ANSWER_UNEXPECTED}


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("retention", "later", "early"),
    [(None, 9000 * DAY, True), (90 * DAY, 10 * DAY, True), (90 * DAY, 95 * DAY, False)],
)
@pytest.mark.parametrize("topic", [LANES[1], "axis.receipts", "axis.quarantine", "axis.inbox.H56"])
def test_what_was_removed_before_its_time_is_named(
    topic: str, retention: timedelta | None, later: timedelta, early: bool
) -> None:
    """Records that are gone although nothing is as old as their retention did not go by age."""
    history = sample().history
    shortened = {(topic, 0): Shortened(1, retention)}
    report = history.judged(first=1 if topic == LANES[1] else 0, at=BEGUN + later, shortened=shortened)
    assert kinds(report) == ({FindingKind.RECORDS_REMOVED} if early else set())


def test_a_lane_shortened_behind_a_young_receipt_is_named() -> None:
    """In an old installation too: what was decided lately was submitted lately."""
    model = sample()
    at = BEGUN + 200 * DAY
    shortened = {(LANES[1], 0): Shortened(1, 90 * DAY)}
    assert model.history.judged(first=1, at=at, shortened=shortened).findings == ()
    taken(model.history, model.history.receipts[0], at - 10 * DAY)
    report = model.history.judged(first=1, at=at, shortened=shortened)
    assert kinds(report) == {FindingKind.RECORDS_REMOVED}


def test_the_report_says_what_was_judged() -> None:
    """Each lane's range, and by what the decisions were judged again."""
    report = sample().history.judged(first=1)
    scope = report.judged[LANES[1], 0]
    assert (scope.beginning, scope.first, scope.until, scope.end) == (1, 1, 5, 5)
    assert report.rules == RULES


def test_findings_carry_identifiers() -> None:
    """A finding says where, whose and which message, so that an officer can look it up."""
    history = sample().history
    missing = document(history, WARD)
    history.inboxes[WARD].remove(missing)
    (finding,) = history.judged().findings
    assert isinstance(missing.content, EstablishedEnvelope)
    assert (finding.place, finding.organisation) == (f"axis.inbox.{WARD}", WARD)
    assert (finding.message_id, finding.digest) == (missing.content.message_id, missing.content.digest)


def test_what_is_older_than_the_lanes_keep_is_known_but_not_demanded() -> None:
    """Receipts and deliveries of submissions that retention removed are no findings, and their repetition is one."""
    history = sample().history
    assert history.judged(first=1).findings == ()
    history.inboxes[WARD].append(moved(document(history, WARD)))
    assert kinds(history.judged(first=1)) == {FindingKind.DOCUMENT_DOUBLED}


def test_a_rejection_is_demanded_only_where_an_inbox_was() -> None:
    """Who had no inbox is answered in the legal record alone; from its opening on, every answer is due again."""
    model = Model(late=(COMMUNE,))
    model.accept(COMMUNE, (WARD,))
    model.refuse(COMMUNE, "recipients-empty")
    assert model.history.judged().findings == ()
    model.open_inbox(COMMUNE)
    model.repeat(0)
    model.refuse(COMMUNE, "recipients-empty")
    report = model.history.judged()
    assert report.findings == ()
    assert (report.counts["answers_due"], report.counts["answered"]) == (2, 2)
    (_, repeated, due) = entries = model.history.inboxes[COMMUNE]
    entries += [moved(repeated, 800), moved(repeated, 801)]
    assert kinds(model.history.judged()) == {FindingKind.ANSWER_DOUBLED}
    del entries[-2:]
    entries.remove(due)
    assert kinds(model.history.judged()) == {FindingKind.ANSWER_MISSING}


@pytest.mark.parametrize(("seconds", "excused"), [(9, True), (11, False)])
def test_a_router_learns_of_an_inbox_a_little_later(seconds: int, excused: bool) -> None:
    """Within seconds after an inbox was opened, a rejection may still be in the legal record alone."""
    model = Model()
    model.refuse(COMMUNE, "recipients-empty")
    entries, entry = model.history.inboxes[COMMUNE], model.history.receipts[0]
    assert isinstance(entry.content, EstablishedReceipt)
    assert isinstance(entries[0].content, EstablishedReceipt)
    opened_at = entry.content.occurred_at - timedelta(seconds=seconds)
    entries[:] = [replace(entries[0], content=replace(entries[0].content, occurred_at=opened_at))]

    assert model.history.judged().holds == excused


def test_an_inbox_that_never_says_that_it_was_opened_owes_every_answer() -> None:
    """Where nothing states since when there is an inbox, no answer is excused, nor is an acceptance where there is none."""
    history = sample().history
    history.inboxes[COMMUNE] = []
    assert FindingKind.ANSWER_MISSING in kinds(history.judged())
    del history.inboxes[PROVINCE]
    missing = {f.place for f in history.judged().findings if f.kind is FindingKind.ANSWER_MISSING}
    assert missing == {f"axis.inbox.{COMMUNE}", f"axis.inbox.{PROVINCE}"}


SENDER = st.sampled_from(SENDERS)
NUMBER = st.integers(0, 99)


@st.composite
def models(draw: st.DrawFn, *, late: bool = False) -> Model:
    """Draw a history of correct behaviour; `late`: inboxes may be missing at first."""
    model = Model(draw(st.sets(SENDER)) if late else ())
    for _ in range(draw(st.integers(1, 14))):
        match draw(
            st.sampled_from(
                ["accept", "accept", "refuse", "repeat", "conflict", "garbage", "hand_over", "open_inbox"]
            )
        ):
            case "accept":
                sender = draw(SENDER)
                others = [code for code in SENDERS if code != sender]
                recipients = draw(st.sets(st.sampled_from(others), min_size=1))
                model.accept(sender, tuple(sorted(recipients)), draw(st.sampled_from(LANES)))
            case "refuse":
                model.refuse(draw(SENDER), draw(st.sampled_from(["recipients-empty", "blob-missing"])))
            case "garbage":
                model.garbage(draw(SENDER))
            case "open_inbox":
                model.open_inbox(draw(SENDER))
            case "hand_over":
                model.hand_over(draw(NUMBER), draw(st.sampled_from(["01", "06"])))
            case name:
                getattr(model, name)(draw(NUMBER))
    return model


@given(models(late=True))
@settings(max_examples=100, deadline=None)
def test_correct_behaviour_always_holds(model: Model) -> None:
    """Whatever is submitted in whatever order, what a correct router makes of it holds, and all counts agree."""
    report = model.history.judged()
    assert report.findings == ()
    counts = report.counts
    fates = ("accepted", "refused", "quarantined", "duplicates", "forwarded")
    assert counts["submissions"] == sum(counts[fate] for fate in fates) == len(model.history.submissions)
    assert (counts["delivered"], counts["answered"]) == (counts["consigned"], counts["answers_due"])


@given(models(late=True), st.data())
@settings(max_examples=100, deadline=None)
def test_a_history_that_goes_on_while_it_is_read_holds(model: Model, data: st.DataObject) -> None:
    """What follows from undecided submissions may be there or not, in each topic on its own, and nothing is lost."""
    history, written = model.history, model.written
    if not written:
        return
    cut = data.draw(st.integers(0, len(written) - 1), "first undecided submission")
    committed: dict[tuple[str, int], int] = {}
    for each in reversed(written[cut:]):
        committed[each.submission.place.topic, each.submission.place.partition] = each.submission.place.offset
    seen = [written[data.draw(st.integers(cut, len(written)), "read up to") - 1] for _ in range(5)]
    if cut == 0:
        seen = [written[-1]] * 5
    inboxes = {
        code: history.inboxes[code][: each.inboxes[code]]
        for code, each in zip(SENDERS, seen, strict=False)
        if code in each.inboxes
    }
    partly = History(
        history.submissions,
        history.receipts[: seen[3].receipts],
        history.quarantine[: seen[4].quarantine],
        inboxes,
        history.appended,
    )
    report = partly.judged(committed)
    assert report.findings == ()
    assert report.counts["waiting"] == len(written) - cut


def drop(entries: list[Any], at: int) -> None:
    """Remove one record."""
    del entries[at]


def double(entries: list[Any], at: int) -> None:
    """Append one record once more."""
    entries.append(moved(entries[at]) if isinstance(entries[at], Entry) else entries[at])


def alter(entries: list[Any], at: int) -> None:
    """Change a record's bytes so that its signature still holds, as unsigned bytes can be changed."""
    entries[at] = replace(entries[at], value=digest("altered"))


def strip(entries: list[Any], at: int) -> None:
    """Change a record's bytes so that its signature no longer holds."""
    if isinstance(entries[at], Entry):
        entries[at] = replace(entries[at], value=digest("broken"), content=Unestablished("signature-invalid"))
    else:
        entries[at] = replace(entries[at], value=digest("broken"))


@given(models(), st.sampled_from([drop, double, alter, strip]), st.data())
@settings(max_examples=200, deadline=None)
def test_any_single_change_of_an_output_is_found(
    model: Model, mutate: Callable[[list[Any], int], None], data: st.DataObject
) -> None:
    """Drop, double, alter or break any one receipt, quarantine record or inbox entry: the history holds no more."""
    history = model.history.copy()
    # The statement that opens an inbox proves its beginning; nothing else is lost with it.
    targets: list[tuple[list[Any], int]] = [
        (entries, at) for entries in history.inboxes.values() for at in range(1, len(entries))
    ]
    targets += [
        (entries, at) for entries in (history.receipts, history.quarantine) for at in range(len(entries))
    ]
    if not targets:
        return
    mutate(*data.draw(st.sampled_from(targets), "target"))
    assert history.judged().findings != ()


def test_the_axis_alone_issues_its_receipts() -> None:
    """The model's own axis is what the oracle was told: with another one, no decision counts."""
    history = sample().history
    assert AXIS not in SENDERS
    changed(history, Event.SUBMISSION_REJECTION, issuer=COMMUNE)
    assert {FindingKind.RECEIPT_NOT_BY_AXIS, FindingKind.SUBMISSION_LOST} <= kinds(history.judged())
