"""Every single thing that is wrong with a history is found and named."""

from dataclasses import replace
from datetime import timedelta

import pytest

from axis.core.coverage import Coverage
from axis.core.findings import FindingKind
from axis.core.history import (
    Entry,
    Expectation,
    Unestablished,
)
from axis.core.receipt import Event, Source
from axis.core.reconciliation import Reconciliation
from tests.unit.core.falsifications import (
    COMMUNE,
    PROVINCE,
    WARD,
    Mutation,
    accepted_twice,
    changed,
    conflicting,
    damaged,
    document,
    expected,
    expiring,
    forwarded_though_refusable,
    hand_over_refused,
    handover_by_stranger,
    in_sender_inbox_alone,
    in_turn,
    kinds,
    moved,
    opened_by_stranger,
    parked_valid,
    receipt,
    recipients,
    refused_for,
    sample,
)
from tests.unit.core.history_model import AXIS, BEGUN, LANES, RULES, digest

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
