"""Vietnamese words exist for everything that the axis may have to say."""

import pytest

from axis.cli import words
from axis.core.consignment import State
from axis.core.disposition import Reason
from axis.core.envelope import Urgency
from axis.core.receipt import Event, Outcome


@pytest.mark.parametrize(
    ("table", "terms"),
    [
        (words.URGENCIES, Urgency),
        (words.STATES, State),
        (words.OUTCOMES, Outcome),
        (words.EVENTS, Event),
        (words.REASONS, Reason),
    ],
    ids=["urgency", "state", "outcome", "event", "reason"],
)
def test_no_term_is_left_without_words(table: dict[object, str], terms: type) -> None:
    """A term that is added to the core must get its words here."""
    assert set(terms) <= set(table)  # type: ignore[call-overload] # enumerations are iterable


def test_a_reason_of_a_later_version_is_shown_as_it_is() -> None:
    """A code that this version does not know is not hidden and does not fail."""
    assert words.reason_words("from-the-future") == "from-the-future"
    assert words.reason_words(Reason.EXPIRED) == "đã quá hạn hiệu lực (expired)"
