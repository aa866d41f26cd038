"""The oracle, where the lanes keep no more what decisions were about: what contradicts itself is still found."""

import pytest

from axis.core.findings import FindingKind
from axis.core.history import (
    EstablishedEnvelope,
)
from axis.core.receipt import Event
from tests.unit.core.falsifications import (
    PROVINCE,
    WARD,
    hand_over_refused,
)
from tests.unit.core.history_model import Model


@pytest.mark.parametrize("reason", ["receipt-not-allowed", "environment-mismatch"])
def test_a_hand_over_that_was_refused_twice_before_the_period_is_no_finding(reason: str) -> None:
    """Receipts are refused anew each time; where the lanes keep them no more, that is not taken for a decision made twice."""
    model = Model()
    model.accept(PROVINCE, (WARD,))
    model.hand_over(0)
    model.hand_over(0)
    history = model.history
    hand_over_refused(history, reason)
    assert history.judged(first=len(history.submissions)).findings == ()


@pytest.mark.parametrize("reason", ["receipt-not-allowed", "environment-mismatch"])
def test_two_statuses_that_were_refused_before_the_period_are_no_finding(reason: str) -> None:
    """Of one issuer and about one document they bear the same message id and have each a digest of its own."""
    model = Model()
    model.accept(PROVINCE, (WARD,))
    for status in ("01", "02"):
        model.hand_over(0, status)
        submission, attested = model.handovers.pop()
        signed = EstablishedEnvelope(WARD, attested.digest, attested.message_id, intact=True)
        model._attest(Event.SUBMISSION_REJECTION, submission, signed, reason=reason)
    assert model.history.judged(first=len(model.history.submissions)).findings == ()


def test_two_refusals_that_no_receipt_can_get_contradict_each_other() -> None:
    """A document is refused once for good, and its repetition gets the same receipt; that can be told without the lanes."""
    model = Model()
    model.refuse(PROVINCE, "header-malformed")
    submission, envelope, _ = model.refused[0]
    again = model._submit(PROVINCE, submission.value, envelope, expected=submission.expected)
    model._attest(Event.SUBMISSION_REJECTION, again, envelope, reason="header-malformed")
    [found] = model.history.judged(first=len(model.history.submissions)).findings
    assert found.kind is FindingKind.DECIDED_TWICE


@pytest.mark.parametrize("reason", ["header-malformed", "environment-mismatch", "receipt-not-allowed"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("read", [True, False])
def test_an_acceptance_and_a_refusal_of_one_document_contradict_each_other(
    *, reason: str, reverse: bool, read: bool
) -> None:
    """Whatever the refusal says, in either order, and also where the lanes keep the document no more."""
    model = Model()
    model.accept(PROVINCE, (WARD,))
    submission, envelope, _, _ = model.accepted[0]
    again = model._submit(PROVINCE, submission.value, envelope, expected=submission.expected)
    model._attest(Event.SUBMISSION_REJECTION, again, envelope, reason=reason)
    if reverse:
        model.history.receipts.reverse()
    found = model.history.judged(first=0 if read else len(model.history.submissions)).findings
    assert FindingKind.DECIDED_TWICE in {each.kind for each in found}
