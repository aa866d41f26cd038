"""How much of a history there is to be judged, so that a reconciliation of nothing never holds.

Four things would take submissions out of the comparison in silence: a router's position that is lost or set back, a lane
that was shortened before its time, a submission that waits for ever, and a receipt about what stands nowhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from axis.core.findings import Finding, FindingKind
from axis.core.history import LaneScope, shown
from axis.core.receipt import Source

LONGEST_WAIT: Final = timedelta(days=1)
"""How long a submission may wait for its decision."""

Lane = tuple[str, int]
"""Topic and partition."""


@dataclass(frozen=True, slots=True)
class Shortened:
    """A partition that does not begin with its first record any more.

    Attributes:
        beginning: the first offset that is kept.
        retention: the age at which its records may go, as declared; None: never.
    """

    beginning: int
    retention: timedelta | None


@dataclass(slots=True)
class Coverage:
    """Collects what tells how much was judged.

    Args:
        scope: what is judged, per partition of the submission lanes.
        at: when the history was cut.
        shortened: the partitions of any topic that do not begin at 0.

    Attributes:
        positions: the router's committed positions, read when all its receipts were; a lane without one is left out.
    """

    scope: Mapping[Lane, LaneScope]
    at: datetime
    shortened: Mapping[Lane, Shortened] = field(default_factory=dict)
    positions: Mapping[Lane, int] = field(init=False)
    _decided: dict[Lane, int] = field(default_factory=dict)
    _waiting: dict[Lane, tuple[Source, datetime]] = field(default_factory=dict)
    _decided_removed_at: dict[Lane, datetime] = field(default_factory=dict)
    _oldest: datetime | None = None

    def __post_init__(self) -> None:
        self.positions = {lane: scope.committed for lane, scope in self.scope.items()}

    def saw(self, appended_at: datetime) -> None:
        """Take the append time of any record: it tells how old the history is."""
        if self._oldest is None or appended_at < self._oldest:
            self._oldest = appended_at

    def submitted(self, place: Source, appended_at: datetime) -> None:
        """Take a record of a lane."""
        self.saw(appended_at)
        lane = (place.topic, place.partition)
        if place.offset >= self.scope[lane].committed and (
            lane not in self._waiting or appended_at < self._waiting[lane][1]
        ):
            self._waiting[lane] = (place, appended_at)

    def was_decided(self, source: Source, appended_at: datetime | None = None) -> None:
        """Take the source of a decision; `appended_at`: when the broker took its receipt."""
        lane = (source.topic, source.partition)
        self._decided[lane] = max(source.offset, self._decided.get(lane, -1))
        if appended_at is not None and source.offset < self.scope[lane].beginning:
            self._decided_removed_at[lane] = max(appended_at, self._decided_removed_at.get(lane, appended_at))

    def may_be_decided(self, source: Source) -> bool:
        """Tell whether the router may have decided what is not judged: it stands behind the period, or was just decided."""
        lane = (source.topic, source.partition)
        scope = self.scope.get(lane)
        return scope is not None and scope.until <= source.offset < self.positions.get(lane, 0)

    def findings(self) -> Iterator[Finding]:
        """Yield what kept submissions from being judged."""
        for (topic, partition), last in sorted(self._decided.items()):
            position = self.positions.get((topic, partition))
            if last >= (position or 0):
                got = "no position" if position is None else f"position {position}"
                yield Finding(
                    FindingKind.POSITION_LOST,
                    f"{topic}/{partition}",
                    f"the router has {got} here, although it decided {last}: nothing from there on is judged",
                )
        for place, since in self._waiting.values():
            if since < self.at - LONGEST_WAIT:
                detail = f"waits since {since.isoformat()}, for more than {LONGEST_WAIT.days} day"
                yield Finding(FindingKind.SUBMISSION_STALLED, shown(place), detail)
        for lane, shortened in sorted(self.shortened.items()):
            if (fault := self._removed_early(lane, shortened)) is not None:
                place = Source(*lane, shortened.beginning)
                detail = f"what stood before was removed, {fault}"
                yield Finding(FindingKind.RECORDS_REMOVED, shown(place), detail)

    def _removed_early(self, lane: Lane, shortened: Shortened) -> str | None:
        """Return why it cannot have been age that removed records; None where it can."""
        if shortened.retention is None:
            return "and is to be kept for ever"
        # A submission is older than its receipt by as long as it waited.
        young = self.at - shortened.retention + LONGEST_WAIT
        kept = f"expected {shortened.retention.days} days"
        if self._oldest is None or self._oldest > young:
            return f"although no record at all is that old, {kept}"
        decided_at = self._decided_removed_at.get(lane)
        if decided_at is not None and decided_at > young:
            return f"although it was decided at {decided_at.isoformat()}, {kept}"
        return None
