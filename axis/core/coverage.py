"""How much of a history there is to be judged, so that a reconciliation of nothing never holds.

Four things would take submissions out of the comparison in silence: a router's position that is lost or set back, a lane
that was shortened before its time, a submission that waits for ever, and a receipt about what stands nowhere.

How young the first kept record is proves nothing: before it there may have been silence for months. So what is gone is
dated by the receipts and the quarantine, which outlive it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from axis.core.findings import Finding, FindingKind
from axis.core.history import LaneScope, shown
from axis.core.receipt import Source

LONGEST_WAIT: Final = timedelta(days=1)
"""How long a submission may wait for its decision."""

_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)

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
        since: from which moment on the lanes are read; None: all that is kept.

    Attributes:
        positions: the router's committed positions, read when all its receipts were; a lane without one is left out.
    """

    scope: Mapping[Lane, LaneScope]
    at: datetime
    shortened: Mapping[Lane, Shortened] = field(default_factory=dict)
    since: datetime | None = None
    positions: Mapping[Lane, int] = field(init=False)
    _decided: dict[Lane, int] = field(default_factory=dict)
    _waiting: dict[Lane, tuple[Source, datetime]] = field(default_factory=dict)
    _removed_at: dict[Lane, datetime] = field(default_factory=dict)
    _first_at: dict[Lane, datetime] = field(default_factory=dict)
    _unread_at: datetime = _EARLIEST
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
        self._first_at[lane] = min(appended_at, self._first_at.get(lane, appended_at))
        if place.offset >= self.scope[lane].committed and (
            lane not in self._waiting or appended_at < self._waiting[lane][1]
        ):
            self._waiting[lane] = (place, appended_at)

    def was_decided(self, source: Source, appended_at: datetime) -> None:
        """Take the source of a decision; `appended_at`: when the broker took its receipt or what was parked."""
        lane = (source.topic, source.partition)
        self._decided[lane] = max(source.offset, self._decided.get(lane, -1))
        if source.offset < self.scope[lane].first:
            self._unread_at = max(appended_at, self._unread_at)
        if source.offset < self.scope[lane].beginning:
            self.was_removed(lane, appended_at)

    def was_removed(self, lane: Lane, decided_at: datetime) -> None:
        """Take that a partition lacks a record from before its first one; `decided_at`: when it was decided."""
        self._removed_at[lane] = max(decided_at, self._removed_at.get(lane, decided_at))

    def known_from(self) -> datetime:
        """Return the moment behind which whatever was decided was submitted in what is read."""
        known = max((self._known_from(lane) for lane in self.scope), default=_EARLIEST)
        # Behind an outage submissions are decided that waited for longer, all of them at once.
        return known if known == _EARLIEST else max(known, self._unread_at) + LONGEST_WAIT

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
        undecided = {
            lane for lane, scope in self.scope.items() if self.positions.get(lane, 0) < scope.beginning
        }
        for lane in sorted(undecided):
            place = Source(*lane, self.scope[lane].beginning)
            detail = (
                f"what stood from {self.positions.get(lane, 0)} on was removed before the router decided it"
            )
            yield Finding(FindingKind.RECORDS_REMOVED, shown(place), detail)
        for lane, shortened in sorted(self.shortened.items()):
            fault = self._removed_early(lane, shortened)
            if fault is not None and lane not in undecided:
                place = Source(*lane, shortened.beginning)
                detail = f"what stood before was removed, {fault}"
                yield Finding(FindingKind.RECORDS_REMOVED, shown(place), detail)

    def _known_from(self, lane: Lane) -> datetime:
        """Return since when the submissions of a lane are read."""
        scope, shortened = self.scope[lane], self.shortened.get(lane)
        if scope.first == 0:
            return _EARLIEST
        if self.since is not None and scope.first > scope.beginning:
            return self.since
        first = self._first_at.get(lane, self.at)
        if shortened is None or shortened.retention is None:
            return first
        return min(first, self.at - shortened.retention)

    def _removed_early(self, lane: Lane, shortened: Shortened) -> str | None:
        """Return why it cannot have been age that removed records; None where it can."""
        if shortened.retention is None:
            return "and is to be kept for ever"
        # A submission is older than its receipt by as long as it waited.
        young = self.at - shortened.retention + LONGEST_WAIT
        kept = f"expected {shortened.retention.days} days"
        if self._oldest is None or self._oldest > young:
            return f"although no record at all is that old, {kept}"
        decided_at = self._removed_at.get(lane)
        if decided_at is not None and decided_at > young:
            return f"although it was decided at {decided_at.isoformat()}, {kept}"
        return None
