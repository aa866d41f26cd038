"""The oracle and time: decisions are dated when they were made, and what is gone went by age."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from axis.core.coverage import Lane, Shortened
from axis.core.findings import FindingKind
from axis.core.history import Entry, EstablishedReceipt, Expectation
from axis.core.policy import CLOCK_MARGIN
from axis.core.receipt import Event
from axis.core.reconciliation import COMMIT_MARGIN
from tests.unit.core.falsifications import changed, kinds, receipt, recipients, sample, taken
from tests.unit.core.history_model import BEGUN, LANES, SENDERS, History, Model

PROVINCE, WARD, COMMUNE = SENDERS
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


def decision(history: History) -> tuple[Entry, datetime]:
    """Return the first acceptance and when it says that it was made."""
    entry = receipt(history, Event.SUBMISSION_ACCEPTANCE)
    assert isinstance(entry.content, EstablishedReceipt)
    return entry, entry.content.occurred_at


def test_a_backdated_acceptance_of_what_expired_is_named() -> None:
    """What expires after an hour is not accepted weeks later by a receipt that is dated at the beginning."""
    model = Model()
    model.accept(PROVINCE, (WARD,))
    history = model.history
    (submission,) = history.submissions
    expires_at = history.appended[submission.place] + timedelta(hours=1)
    history.submissions[0] = replace(
        submission, expected=Expectation(consigned=(WARD,), expires_at=expires_at)
    )
    assert history.judged().findings == ()
    entry, at = decision(history)
    history.appended[entry.place] = at + 20 * DAY
    assert kinds(history.judged()) == {FindingKind.RECEIPT_CONTRADICTS, FindingKind.ACCEPTANCE_UNFOUNDED}


@pytest.mark.parametrize(("waited", "holds"), [(COMMIT_MARGIN, True), (COMMIT_MARGIN + SECOND, False)])
def test_a_receipt_waits_for_its_transaction_so_long_and_no_longer(waited: timedelta, holds: bool) -> None:
    """Between a decision and its receipt in the log there is one batch of a router, not more."""
    history = sample().history
    entry, at = decision(history)
    history.appended[entry.place] = at + waited
    assert kinds(history.judged()) == (set() if holds else {FindingKind.RECEIPT_CONTRADICTS})


@pytest.mark.parametrize(("early", "holds"), [(CLOCK_MARGIN, True), (CLOCK_MARGIN + SECOND, False)])
def test_nothing_is_decided_before_it_was_submitted(early: timedelta, holds: bool) -> None:
    """Clocks may differ; beyond that a decision is not older than what it is about."""
    history = sample().history
    submitted_at = history.appended[history.submissions[0].place]
    changed(history, Event.SUBMISSION_ACCEPTANCE, occurred_at=submitted_at - early)
    assert kinds(history.judged()) == (set() if holds else {FindingKind.RECEIPT_CONTRADICTS})


def test_a_hand_over_is_dated_by_its_recipient() -> None:
    """A recipient that was cut off for weeks attested when it took the document; the axis only forwards that."""
    history = sample().history
    changed(history, Event.CONTENT_HANDOVER, occurred_at=BEGUN - 20 * DAY)
    assert history.judged().findings == ()


def test_a_refusal_dated_before_an_inbox_was_opened_is_judged_by_when_it_was_taken() -> None:
    """That an inbox was not there is not borne out by a date that the receipt cannot have."""
    model = Model(late=(COMMUNE,))
    model.accept(PROVINCE, (COMMUNE,))
    model.open_inbox(COMMUNE)
    history = model.history
    assert history.judged().findings == ()
    refusal = receipt(history, Event.SUBMISSION_REJECTION)
    history.appended[refusal.place] += 20 * DAY
    assert kinds(history.judged()) == {FindingKind.RECEIPT_CONTRADICTS, FindingKind.REFUSAL_UNFOUNDED}


def test_a_recipient_dropped_in_a_period_had_an_inbox_before_it() -> None:
    """The opening stands before the period; the first record of an inbox proves that it was there, whatever it is."""
    history = sample().history
    recipients(history, WARD)
    changed(history, Event.SUBMISSION_ACCEPTANCE, refused=((COMMUNE, "inbox-missing"),))
    opening = history.inboxes[COMMUNE][0].place
    period = dict.fromkeys(SENDERS, 1)
    history.appended[opening] = BEGUN - DAY
    assert kinds(history.judged(begins_at=period)) == {FindingKind.RECIPIENT_DROPPED}
    for entry in history.inboxes[COMMUNE]:
        history.appended[entry.place] = BEGUN + DAY
    report = history.judged(begins_at=period)
    assert (report.findings, report.counts["taken_as_given"]) == ((), 2)


def test_what_was_removed_before_it_was_decided_is_named() -> None:
    """However old it was: nobody will ever answer it."""
    model = Model()
    model.accept(PROVINCE, (WARD,))
    model.accept(PROVINCE, (WARD,))
    undecided = History(model.history.submissions, inboxes={}, appended=model.history.appended)
    lane = (LANES[1], 0)
    assert undecided.judged({lane: 0}, positions={lane: 0}).findings == ()
    shortened = {lane: Shortened(1, DAY)}
    (finding,) = undecided.judged({lane: 0}, 1, positions={lane: 0}, shortened=shortened).findings
    assert (finding.kind, finding.place) == (FindingKind.RECORDS_REMOVED, f"{LANES[1]}/0/1")
    assert undecided.judged({lane: 1}, 1, positions={lane: 1}).findings == ()


def test_a_lane_shortened_behind_what_was_parked_lately_is_named() -> None:
    """In an old installation too: the quarantine tells when it was submitted."""
    history = sample().history
    at = BEGUN + 200 * DAY
    shortened = {(LANES[1], SENDERS.index(WARD)): Shortened(1, 90 * DAY)}
    assert history.judged(first=1, at=at, shortened=shortened).findings == ()
    history.appended[history.quarantine[0].place] = at - 10 * DAY
    assert kinds(history.judged(first=1, at=at, shortened=shortened)) == {FindingKind.RECORDS_REMOVED}


@pytest.mark.parametrize(("retention", "early"), [(730 * DAY, True), (250 * DAY, False)])
def test_an_inbox_shortened_behind_what_was_accepted_lately_is_named(
    retention: timedelta, early: bool
) -> None:
    """In an old installation too: receipts tell what must still stand before its first record."""
    model = Model()
    for _ in range(3):
        model.accept(PROVINCE, (WARD,))
    history, at = model.history, BEGUN + 1000 * DAY
    last = history.inboxes[WARD][-1]
    for entry, days in zip(list(history.receipts), (1000, 300, 95), strict=True):
        taken(history, entry, at - days * DAY)
    history.inboxes[WARD][:] = [last]
    history.appended[last.place] = at - 95 * DAY
    shortened = {(LANES[1], 0): Shortened(3, 90 * DAY), (f"axis.inbox.{WARD}", 0): Shortened(3, retention)}
    findings = history.judged(first=3, at=at, shortened=shortened).findings
    assert [(each.kind, each.place) for each in findings] == (
        [(FindingKind.RECORDS_REMOVED, f"axis.inbox.{WARD}/0/3")] if early else []
    )


@pytest.mark.parametrize(("days", "named"), [(10, True), (89.5, False), (120, False)])
def test_a_young_hand_over_that_nobody_submitted_is_named_in_an_old_installation(
    days: float, named: bool
) -> None:
    """Lanes begin behind their first record for ever after; what they must still keep is judged."""
    history, at = sample().history, BEGUN + 200 * DAY
    lanes: list[Lane] = [(lane, number) for lane in LANES for number in range(len(SENDERS))]
    shortened = {lane: Shortened(9, 90 * DAY) for lane in lanes}
    assert history.judged(first=9, at=at, shortened=shortened).findings == ()
    history.appended[receipt(history, Event.CONTENT_HANDOVER).place] = at - days * DAY
    found = kinds(history.judged(first=9, at=at, shortened=shortened))
    assert found == ({FindingKind.RECEIPT_UNFOUNDED} if named else set())


def test_a_hand_over_that_nobody_submitted_in_a_period_is_named() -> None:
    """Of what was submitted before the period, and decided late, nothing is said."""
    history, since = sample().history, BEGUN + 10 * DAY
    place = receipt(history, Event.CONTENT_HANDOVER).place
    history.appended[place] = since + 2 * DAY
    assert kinds(history.judged(first=9, since=since)) == {FindingKind.RECEIPT_UNFOUNDED}
    history.appended[place] = since + DAY
    assert history.judged(first=9, since=since).findings == ()
    history.appended[place] = since + 4 * DAY
    taken(history, history.receipts[0], since + 3 * DAY)
    assert history.judged(first=9, since=since).findings == ()
