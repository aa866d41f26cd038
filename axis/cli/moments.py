"""Times as people write and read them: Vietnamese time, dd/MM/yyyy HH:mm; for machines UTC, ISO 8601."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from axis.core.addressing import LOCAL_TIME
from axis.errors import Bilingual, ConfigurationError

ZONE: Final = "+07:00"
FORMS: Final = "24h, 2026-11-22, 22/11/2026, 22/11/2026 14:30, 2026-11-22T14:30:00+07:00"
"""One example of each form that `parse_moment` reads."""

_SPAN: Final = re.compile(r"(\d{1,6})(m|h|d)")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
_DAY_FORMS: Final = ("%Y-%m-%d", "%d/%m/%Y")
_MINUTE_FORM: Final = "%d/%m/%Y %H:%M"


def shown_moment(at: datetime, *, zone: bool = True) -> str:
    """Return a moment for people; `zone` says whether the offset stands beside it or in the column's heading."""
    try:
        text = at.astimezone(LOCAL_TIME).strftime(_MINUTE_FORM)
    except OverflowError:  # in the calendar's last hours, which Vietnamese time has no year for
        return utc_text(at)
    return f"{text} ({ZONE})" if zone else text


def utc_text(at: datetime) -> str:
    """Return a moment for machines, e.g. `2026-11-22T07:30:00.123Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_moment(text: str, now: datetime, *, ahead: bool = False, end_of_day: bool = False) -> datetime:
    """Return, in UTC, a moment that is written in any of `FORMS`; what names no zone is Vietnamese time.

    Args:
        text: as typed.
        now: the present, for spans such as `24h`.
        ahead: whether a span counts into the future; otherwise into the past.
        end_of_day: whether a day alone means its last second; otherwise its first.

    Raises:
        ConfigurationError: it is in none of these forms.
    """
    try:
        if span := _SPAN.fullmatch(text):
            length = timedelta(**{_UNITS[span[2]]: int(span[1])})
            return now + length if ahead else now - length
        for form in _DAY_FORMS:
            if (day := _matched(text, form)) is not None:
                return _in_utc(day.replace(hour=23, minute=59, second=59) if end_of_day else day)
        minute = _matched(text, _MINUTE_FORM)
        return _in_utc(datetime.fromisoformat(text) if minute is None else minute)
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(
            Bilingual(
                f"{text!a:.40} không phải là thời gian; ghi như: {FORMS}",
                f"got {text!a:.40} as a time, expected one like: {FORMS}",
            )
        ) from error


def parse_period(
    since: str | None, until: str | None, now: datetime
) -> tuple[datetime | None, datetime | None]:
    """Return the ends of a period of the past; None for one that is not given.

    Raises:
        ConfigurationError: one is no moment, or the period can hold nothing: who mistyped it would read that all is well.
    """
    begin, end = (parse_moment(each, now) if each else None for each in (since, until))
    if begin is not None and begin >= min(end or now, now):
        ending = "--until" if end is not None and end <= now else "bây giờ (now)"
        raise ConfigurationError(
            Bilingual(
                f"khoảng thời gian rỗng: --since {since!a:.40} không trước {ending}; --since 24h là từ 24 giờ trước",
                f"got an empty period: --since {since!a:.40} is not before {ending}; --since 24h is 24 hours ago",
            )
        )
    return begin, end


def _in_utc(moment: datetime) -> datetime:
    return (moment if moment.tzinfo else moment.replace(tzinfo=LOCAL_TIME)).astimezone(UTC)


def _matched(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)  # noqa: DTZ007 - the callers add the zone
    except ValueError:
        return None
