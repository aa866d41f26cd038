"""Times as people type and read them."""

from datetime import UTC, datetime

import pytest

from axis.cli.moments import parse_moment, shown_moment, utc_text
from axis.errors import Bilingual, ConfigurationError

NOW = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90m", datetime(2026, 11, 22, 6, tzinfo=UTC)),
        ("24h", datetime(2026, 11, 21, 7, 30, tzinfo=UTC)),
        ("7d", datetime(2026, 11, 15, 7, 30, tzinfo=UTC)),
        ("2026-11-22", datetime(2026, 11, 21, 17, tzinfo=UTC)),
        ("22/11/2026", datetime(2026, 11, 21, 17, tzinfo=UTC)),
        ("22/11/2026 14:30", datetime(2026, 11, 22, 7, 30, tzinfo=UTC)),
        ("2026-11-22T14:30", datetime(2026, 11, 22, 7, 30, tzinfo=UTC)),
        ("2026-11-22T07:30:00Z", datetime(2026, 11, 22, 7, 30, tzinfo=UTC)),
    ],
)
def test_each_form_is_read_as_vietnamese_time_and_returned_in_utc(text: str, moment: datetime) -> None:
    """What names no zone is Vietnamese time, spans count back, and the result is in UTC."""
    parsed = parse_moment(text, NOW)
    assert (parsed, parsed.tzinfo) == (moment, UTC)


def test_a_span_ahead_and_the_end_of_a_day() -> None:
    """For a due time a span counts forward, and a day alone means its last second."""
    assert parse_moment("24h", NOW, ahead=True) == datetime(2026, 11, 23, 7, 30, tzinfo=UTC)
    assert parse_moment("2026-11-22", NOW, end_of_day=True) == datetime(2026, 11, 22, 16, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "24", "31/02/2026", "24h ", "9999999h", "999999d", "0001-01-01", "\x1b[31m"]
)
def test_another_form_is_refused_with_examples(text: str) -> None:
    """A time that cannot be read is a usage error that shows the forms and nothing that a terminal would obey."""
    with pytest.raises(ConfigurationError, match="expected one like: 24h") as caught:
        parse_moment(text, NOW)
    (fault,) = caught.value.faults
    assert isinstance(fault, Bilingual)
    assert "không phải là thời gian" in fault.vietnamese
    assert (fault + fault.vietnamese).isprintable()


def test_people_see_vietnamese_time_and_machines_utc() -> None:
    """The same moment is dd/MM/yyyy HH:mm with its zone for people, ISO 8601 in UTC for machines."""
    assert shown_moment(NOW) == "22/11/2026 14:30 (+07:00)"
    assert shown_moment(NOW, zone=False) == "22/11/2026 14:30"
    assert utc_text(NOW) == "2026-11-22T07:30:00.000Z"


@pytest.mark.parametrize("zone", [True, False])
def test_every_moment_that_a_sender_can_state_is_shown(*, zone: bool) -> None:
    """The calendar's last hours are no moments in Vietnamese time; they are shown in UTC instead of failing."""
    last = datetime.max.replace(tzinfo=UTC)
    assert shown_moment(last, zone=zone) == "9999-12-31T23:59:59.999Z"
    assert shown_moment(datetime.min.replace(tzinfo=UTC), zone=zone).startswith("01/01/")
