"""When to try again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Doubling delays between a first and a longest one, in seconds."""

    first_seconds: float = 0.25
    longest_seconds: float = 10.0

    def delay_seconds(self, attempt: int) -> float:
        """Return the delay after the attempt with this number, counted from 0."""
        return min(self.longest_seconds, self.first_seconds * 2.0 ** min(attempt, 30))
