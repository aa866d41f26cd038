"""Whether a role lives and whether it is ready to serve.

A role *lives* while its event loop turns. It is *ready* when it lives and every check that it announced passes; a check
that nobody has reported yet does not pass. Written by the event loop's thread, read by the thread of
`axis.telemetry.exposition.TelemetryServer`, which therefore can answer even when the loop stands still.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from axis.errors import IllegalTransition
from axis.telemetry.metrics import Metrics

STALL_SECONDS: Final = 10.0
"""Longest silence of an event loop that still counts as turning; a busy verification takes milliseconds."""

BEAT_SECONDS: Final = 1.0
EVENT_LOOP_CHECK: Final = "event_loop"


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of readiness.

    Attributes:
        got: what was found, in a few words, without content or secrets.
        expected: what must be found.
    """

    name: str
    passed: bool
    got: str
    expected: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """All checks of a role at one moment."""

    role: str
    checks: tuple[Check, ...]

    @property
    def failing(self) -> tuple[Check, ...]:
        """The checks that do not pass; none means ready."""
        return tuple(check for check in self.checks if not check.passed)


class Health:
    """The state of one role, for `/healthz`, `/readyz` and `axis_ready`.

    Args:
        role: the role's name, e.g. "router".
        expected: for each check, by name, what must be found; e.g. `{"broker": "connected"}`.
        metrics: `axis_ready` is bound to this object.
        monotonic: seconds that never go back.
    """

    def __init__(
        self,
        role: str,
        expected: Mapping[str, str],
        metrics: Metrics,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._role = role
        self._monotonic = monotonic
        self._last_beat: float | None = None
        self._checks = {name: Check(name, False, "not reported yet", text) for name, text in expected.items()}
        metrics.ready.set_function(lambda: float(not self.readiness().failing))

    def report(self, name: str, *, passed: bool, got: str) -> None:
        """Record what a check found.

        Raises:
            IllegalTransition: the role did not announce this check.
        """
        known = self._checks.get(name)
        if known is None:
            raise IllegalTransition(f"got a report on {name!r}; expected one of {sorted(self._checks)}")
        self._checks[name] = Check(name, passed, got, known.expected)

    def beat(self) -> None:
        """Record that the event loop turned."""
        self._last_beat = self._monotonic()

    async def keep_beating(self) -> None:
        """Beat every second until cancelled; the role's task group owns this task."""
        while True:
            self.beat()
            await asyncio.sleep(BEAT_SECONDS)

    def liveness(self) -> Check:
        """Return whether the event loop turned lately."""
        expected = f"a turn within {STALL_SECONDS:g} s"
        if self._last_beat is None:
            return Check(EVENT_LOOP_CHECK, False, "no turn yet", expected)
        age = self._monotonic() - self._last_beat
        return Check(EVENT_LOOP_CHECK, age <= STALL_SECONDS, f"last turn {age:.1f} s ago", expected)

    def readiness(self) -> Readiness:
        """Return all checks, the event loop first."""
        return Readiness(self._role, (self.liveness(), *self._checks.values()))
