"""The oracle: a history that is right holds, and every single thing that is wrong is found and named."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axis.core.findings import FindingKind, Report
from axis.core.history import Entry, EstablishedEnvelope, EstablishedReceipt, QuarantineEntry, Unestablished
from axis.core.receipt import Event, Source
from axis.core.reconciliation import Reconciliation
from tests.unit.core.history_model import AXIS, LANES, SENDERS, History, Model, digest

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
    model.refuse(COMMUNE, "expired")
    model.refuse(COMMUNE, "blob-missing")
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
    other = replace(entry, value=digest("changed"), content=replace(content, **fields))
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
    oracle = Reconciliation(AXIS, {})
    oracle.add_unreadable_quarantine(Source("axis.quarantine", 0, 7), "undecodable")
    (finding,) = oracle.report().findings
    assert (finding.kind, finding.place) == (FindingKind.QUARANTINE_UNREADABLE, "axis.quarantine/0/7")


def test_every_kind_of_finding_has_a_falsification() -> None:
    """No kind of finding is without a test that provokes it, but the one about bytes that are no quarantine record."""
    assert {kind for kind, _ in MUTATIONS.values()} | {FindingKind.QUARANTINE_UNREADABLE} == set(FindingKind)


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


SENDER = st.sampled_from(SENDERS)
NUMBER = st.integers(0, 99)


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Draw a history of correct behaviour."""
    model = Model()
    for _ in range(draw(st.integers(1, 14))):
        match draw(
            st.sampled_from(["accept", "accept", "refuse", "repeat", "conflict", "garbage", "hand_over"])
        ):
            case "accept":
                sender = draw(SENDER)
                others = [code for code in SENDERS if code != sender]
                recipients = draw(st.sets(st.sampled_from(others), min_size=1))
                model.accept(sender, tuple(sorted(recipients)), draw(st.sampled_from(LANES)))
            case "refuse":
                model.refuse(draw(SENDER), draw(st.sampled_from(["expired", "blob-missing"])))
            case "garbage":
                model.garbage(draw(SENDER))
            case name:
                getattr(model, name)(draw(NUMBER))
    return model


@given(models())
@settings(max_examples=100, deadline=None)
def test_correct_behaviour_always_holds(model: Model) -> None:
    """Whatever is submitted in whatever order, what a correct router makes of it holds, and all counts agree."""
    report = model.history.judged()
    assert report.findings == ()
    counts = report.counts
    fates = ("accepted", "refused", "quarantined", "duplicates", "forwarded")
    assert counts["submissions"] == sum(counts[fate] for fate in fates) == len(model.history.submissions)
    assert (counts["delivered"], counts["answered"]) == (counts["consigned"], counts["answers_due"])


@given(models(), st.data())
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
        code: history.inboxes[code][: each.inboxes[code]] for code, each in zip(SENDERS, seen, strict=False)
    }
    partly = History(
        history.submissions,
        history.receipts[: seen[3].receipts],
        history.quarantine[: seen[4].quarantine],
        inboxes,
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
