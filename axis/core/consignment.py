"""The life of a consignment as its sender's node knows it.

    stored ──append──▶ submitted ──acceptance──▶ accepted ──every hand-over──▶ handed over
       └────────────────────┴──────rejection───▶ rejected ──acceptance──▶ accepted

An acceptance may arrive while the append is still in doubt: the acknowledgement was lost, the record was not. A
rejection is not always the end: a blob that was missing, a wrong partition or a damaged copy say nothing about the
message id, and the same envelope may be accepted later. An acceptance is never undone by a later rejection: that is
about another copy.
"""

from enum import StrEnum
from typing import Final

from axis.core.receipt import Event
from axis.errors import IllegalTransition


class State(StrEnum):
    """Where a consignment stands, seen by its sender."""

    STORED = "stored"
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    HANDED_OVER = "handed-over"


class Step(StrEnum):
    """What moves a consignment on."""

    APPENDED = "appended"
    ACCEPTANCE = "acceptance"
    REJECTION = "rejection"
    HANDOVER = "handover"
    LAST_HANDOVER = "last-handover"


STEP_OF: Final = {
    Event.SUBMISSION_ACCEPTANCE: Step.ACCEPTANCE,
    Event.SUBMISSION_REJECTION: Step.REJECTION,
}
"""The step that a receipt of the axis stands for."""

TRANSITIONS: Final = {
    (State.STORED, Step.APPENDED): State.SUBMITTED,
    (State.STORED, Step.ACCEPTANCE): State.ACCEPTED,
    (State.STORED, Step.REJECTION): State.REJECTED,
    (State.SUBMITTED, Step.APPENDED): State.SUBMITTED,
    (State.SUBMITTED, Step.ACCEPTANCE): State.ACCEPTED,
    (State.SUBMITTED, Step.REJECTION): State.REJECTED,
    (State.REJECTED, Step.APPENDED): State.REJECTED,
    (State.REJECTED, Step.REJECTION): State.REJECTED,
    (State.REJECTED, Step.ACCEPTANCE): State.ACCEPTED,
    (State.ACCEPTED, Step.APPENDED): State.ACCEPTED,
    (State.ACCEPTED, Step.ACCEPTANCE): State.ACCEPTED,
    (State.ACCEPTED, Step.REJECTION): State.ACCEPTED,
    (State.ACCEPTED, Step.HANDOVER): State.ACCEPTED,
    (State.ACCEPTED, Step.LAST_HANDOVER): State.HANDED_OVER,
    (State.HANDED_OVER, Step.APPENDED): State.HANDED_OVER,
    (State.HANDED_OVER, Step.ACCEPTANCE): State.HANDED_OVER,
    (State.HANDED_OVER, Step.REJECTION): State.HANDED_OVER,
    (State.HANDED_OVER, Step.HANDOVER): State.HANDED_OVER,
    (State.HANDED_OVER, Step.LAST_HANDOVER): State.HANDED_OVER,
}
"""Every legal move."""


def advance(state: State, step: Step) -> State:
    """Return the state after a step.

    Raises:
        IllegalTransition: a hand-over was attested of something that was never accepted.
    """
    try:
        return TRANSITIONS[state, step]
    except KeyError:
        raise IllegalTransition(f"{step} of a consignment that is {state}") from None
