"""Pauses between attempts."""

from hypothesis import given
from hypothesis import strategies as st

from axis.core.retry import RetrySchedule


def test_delays_double_up_to_the_longest() -> None:
    """The first delay is the configured one, and no delay is longer than the longest."""
    schedule = RetrySchedule(first_seconds=0.5, longest_seconds=3.0)
    assert [schedule.delay_seconds(attempt) for attempt in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


@given(st.integers(0, 10**9))
def test_no_number_of_attempts_breaks_the_schedule(attempt: int) -> None:
    """After a week without a broker the delay is still the longest one."""
    schedule = RetrySchedule()
    assert schedule.first_seconds <= schedule.delay_seconds(attempt) <= schedule.longest_seconds
