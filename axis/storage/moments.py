"""Moments as text in a journal: in UTC, to the microsecond, in an order that is that of the text."""

from datetime import UTC, datetime


def text_of(at: datetime) -> str:
    """Return an aware moment as text."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def moment_of(text: str) -> datetime:
    """Return the moment that `text_of` wrote."""
    return datetime.fromisoformat(text)
