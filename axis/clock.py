"""The one place that reads the wall clock."""

from datetime import UTC, datetime


class SystemClock:
    """Implements `axis.ports.Clock` with the machine's clock."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - this is the one place
