"""A clock for tests: it stands still until it is set."""

from datetime import UTC, datetime, timedelta


class SettableClock:
    """Implements `axis.ports.Clock` without time passing by itself.

    Args:
        now: the moment that it shows first, aware.

    Raises:
        ValueError: a moment without a zone is no moment.
    """

    def __init__(self, now: datetime) -> None:
        self.set(now)

    def now(self) -> datetime:
        """Return the moment that was set, aware, in UTC."""
        return self._now

    def set(self, now: datetime) -> None:
        """Show another moment, be it an earlier one: real clocks are set back as well."""
        if now.tzinfo is None:
            raise ValueError(f"got {now.isoformat()} without a zone, expected an aware moment")
        self._now = now.astimezone(UTC)

    def pass_by(self, duration: timedelta) -> None:
        """Let time pass."""
        self._now += duration
