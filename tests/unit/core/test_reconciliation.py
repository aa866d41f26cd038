"""The oracle: a history that is right holds; what cannot be judged is not; what is missing or late is named."""

from dataclasses import replace
from datetime import timedelta

import pytest

from axis.core.coverage import Shortened
from axis.core.findings import FindingKind
from axis.core.history import (
    Entry,
    EstablishedEnvelope,
    EstablishedReceipt,
    Expectation,
    Rules,
)
from axis.core.receipt import Event, Source
from tests.unit.core.falsifications import (
    COMMUNE,
    PROVINCE,
    WARD,
    Mutation,
    changed,
    document,
    expected,
    expiring,
    hand_over_refused,
    kinds,
    moved,
    receipt,
    recipients,
    refused_for,
    sample,
    taken,
)
from tests.unit.core.history_model import AXIS, BEGUN, LANES, RULES, SENDERS, History, Model, digest


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


def test_the_axis_alone_issues_its_receipts() -> None:
    """The model's own axis is what the oracle was told: with another one, no decision counts."""
    history = sample().history
    assert AXIS not in SENDERS
    changed(history, Event.SUBMISSION_REJECTION, issuer=COMMUNE)
    assert {FindingKind.RECEIPT_NOT_BY_AXIS, FindingKind.SUBMISSION_LOST} <= kinds(history.judged())
