"""The life of a consignment: which steps are legal, and that an acceptance is never undone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axis.core.consignment import STEP_OF, TRANSITIONS, State, Step, advance
from axis.core.receipt import Event
from axis.errors import IllegalTransition

ACCEPTED = {State.ACCEPTED, State.HANDED_OVER}
HANDOVERS = {Step.HANDOVER, Step.LAST_HANDOVER}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("step", Step)
def test_each_step_is_legal_or_says_that_it_is_not(state: State, step: Step) -> None:
    """Only the hand-over of something that was never accepted is out of order."""
    if step in HANDOVERS and state not in ACCEPTED:
        with pytest.raises(IllegalTransition, match=f"{step} of a consignment that is {state}"):
            advance(state, step)
    else:
        assert advance(state, step) is TRANSITIONS[state, step]


@given(st.lists(st.sampled_from(Step), max_size=30))
def test_no_path_takes_an_acceptance_or_a_handover_back(steps: list[Step]) -> None:
    """From the first acceptance on a consignment stays accepted, and once handed over it stays so."""
    state = State.STORED
    for step in steps:
        before = state
        try:
            state = advance(state, step)
        except IllegalTransition:
            continue
        assert not (before in ACCEPTED and state not in ACCEPTED)
        assert not (before is State.HANDED_OVER and state is not State.HANDED_OVER)
        assert state is not State.STORED


@given(st.lists(st.sampled_from([Step.APPENDED, Step.REJECTION, Step.ACCEPTANCE]), max_size=10))
def test_only_an_acceptance_accepts(steps: list[Step]) -> None:
    """However appends and rejections mix, what is accepted was accepted by the axis."""
    state = State.STORED
    for step in steps:
        state = advance(state, step)
    assert (state is State.ACCEPTED) == (Step.ACCEPTANCE in steps)


def test_every_answer_of_the_axis_is_a_step() -> None:
    """No receipt about a submission is without meaning for its state."""
    assert set(STEP_OF) == {each for each in Event if each.by_axis} - {Event.INBOX_OPENED}
