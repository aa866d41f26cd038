"""Audit a running installation: read its history anew and verify every signature.

`replay` returns what stands there. `reconcile` asks the oracle whether it agrees. The history goes on while it is
read, so for the oracle a cut is made first:

    1  the router's committed positions: what stands before them is decided
    2  the ends of all outputs, once every transaction that was open at 1 is settled in all of them
    3  the ends of the submission lanes, so that whatever an output follows from is read as well

Nothing is committed and no group is joined: reading disturbs nobody.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from axis.admin.kafka import Bound, TopicAdmin
from axis.apps import wiring
from axis.apps.router import GROUP
from axis.connection import connect_as
from axis.consumers.establish import establish, place_of, quarantine_entry
from axis.consumers.kafka import PartitionReader
from axis.consumers.replay import Period, Progress, Replayed, Replayer
from axis.consumers.verify import Verifier
from axis.core.addressing import Directory, OrganisationCode
from axis.core.digest import Digest, sha256
from axis.core.findings import Report
from axis.core.history import Content, Entry, LaneScope
from axis.core.inbox_reconciliation import InboxReconciliation
from axis.core.policy import AcceptancePolicy
from axis.core.reconciliation import Reconciliation
from axis.core.topics import QUARANTINE, RECEIPTS, SUBMISSIONS_EXPRESS, SUBMISSIONS_STANDARD, inbox_topic
from axis.errors import ConfigurationError, Refused, Unavailable
from axis.ports import PartitionId, Record
from axis.settings import Settings
from axis.telemetry.metrics import Metrics
from axis.telemetry.vocabulary import ReplayPurpose

KINDS: Final = ("submissions", "receipts", "quarantine", "inboxes")
"""The parts of a history that can be asked for by name."""

AUDITOR: Final = "admin"
"""The client whose certificate reads everything, unless another one is named."""

_LANES: Final = (SUBMISSIONS_EXPRESS, SUBMISSIONS_STANDARD)
_INBOXES_AT_ONCE: Final = 32
_BROKER_CLOCK_MARGIN: Final = timedelta(minutes=5)
_SETTLE_SECONDS: Final = 180.0
_POLL_SECONDS: Final = 0.2


async def reconcile(
    settings: Settings,
    *,
    client: str = AUDITOR,
    since: datetime | None = None,
    until: datetime | None = None,
    progress: Progress | None = None,
    metrics: Metrics | None = None,
) -> Report:
    """Compare submissions, deliveries and receipts of an installation.

    Args:
        settings: the installation.
        client: whose certificate reads; it needs the right to read all topics and to describe the router's group.
        since: judge submissions appended from this moment on; all that are kept when None.
        until: judge submissions appended before this moment only.
        progress: told how far reading is.
        metrics: counts the records read.

    Raises:
        ConfigurationError: a certificate or the directory cannot be used.
        Unavailable: the cluster does not answer, or a transaction stays open for minutes.
    """
    admin = wiring.topic_admin(settings, client)
    cut = await _make_cut(admin, since, until)
    verifier = wiring.verifier(settings, AcceptancePolicy())
    directory = wiring.directory(settings).current()
    async with PartitionReader(connect_as(client, settings.broker, "audit")) as reader:
        reading = _Reading(
            reader=reader,
            cut=cut,
            verifier=verifier,
            directory=directory,
            comparison=Reconciliation(settings.node, cut.scope),
            progress=progress,
            metrics=metrics,
        )
        await reading.lanes()
        await reading.quarantine()
        await reading.receipts()
        await reading.inboxes()
        return await asyncio.to_thread(reading.comparison.report)


async def replay(
    settings: Settings,
    chosen: Collection[str],
    period: Period,
    *,
    organisation: OrganisationCode | None = None,
    client: str = AUDITOR,
    progress: Progress | None = None,
    metrics: Metrics | None = None,
) -> list[Replayed]:
    """Return the records of a part of the history in the order of time; raises as `reconcile` does.

    Args:
        settings: the installation.
        chosen: names of topics or of `KINDS`; everything when empty.
        period: which part; its own topics are added.
        organisation: only what concerns it.
        client: whose certificate reads.
        progress: told how far reading is.
        metrics: counts the records read.
    """
    present = await asyncio.to_thread(wiring.topic_admin(settings, client).partitions)
    topics = tuple(sorted({*period.topics, *_topics(chosen or KINDS, present)}))
    counted = 0

    def note(what: str, done: int, total: int) -> None:
        nonlocal counted
        if metrics is not None:
            metrics.replayed_records[ReplayPurpose.AUDIT].inc(done - counted)
        counted = done
        if progress is not None:
            progress(what, done, total)

    async with PartitionReader(connect_as(client, settings.broker, "replay")) as reader:
        verifier = wiring.verifier(settings, AcceptancePolicy())
        replayer = Replayer(reader, verifier, wiring.directory(settings).current(), note)
        return await replayer.replay(replace(period, topics=topics), organisation)


def _topics(chosen: Collection[str], present: Collection[str]) -> list[str]:
    """Return the topics that are meant by names of topics or kinds.

    Raises:
        ConfigurationError: one of them is neither.
    """
    inboxes = [topic for topic in present if topic.startswith(inbox_topic(""))]
    kinds = {
        "submissions": list(_LANES),
        "receipts": [RECEIPTS],
        "quarantine": [QUARANTINE],
        "inboxes": inboxes,
    }
    readable = {topic for topics in kinds.values() for topic in topics}
    unknown = sorted(each for each in chosen if each not in kinds and each not in readable)
    if unknown:
        raise ConfigurationError(
            f"no topic {', '.join(unknown)} to replay; expected {', '.join(kinds)}, or the name of a lane, an inbox or"
            f" {RECEIPTS} or {QUARANTINE}"
        )
    return [topic for each in chosen for topic in kinds.get(each, [each])]


@dataclass(frozen=True, slots=True)
class _Cut:
    """What is read and what is judged.

    Attributes:
        starts: first offset to be read of every partition.
        ends: offset to stop before.
        scope: what is judged, per partition of the lanes.
    """

    starts: Mapping[PartitionId, int]
    ends: Mapping[PartitionId, int]
    scope: Mapping[tuple[str, int], LaneScope]

    def of(self, topics: Collection[str]) -> dict[PartitionId, int]:
        """Return the starts of the partitions of these topics."""
        return {place: start for place, start in self.starts.items() if place.topic in topics}

    def inbox_topics(self) -> list[str]:
        """Return the topics that are inboxes."""
        return sorted(place.topic for place in self.starts if place.topic.startswith(inbox_topic("")))


async def _make_cut(admin: TopicAdmin, since: datetime | None, until: datetime | None) -> _Cut:
    counts = await asyncio.to_thread(admin.partitions)
    missing = [topic for topic in (*_LANES, RECEIPTS, QUARANTINE) if topic not in counts]
    if missing:
        raise Unavailable(
            f"no topic {', '.join(missing)}: run `axis topics apply`, or look at another cluster"
        )
    places = [PartitionId(topic, number) for topic, count in counts.items() for number in range(count)]
    lanes = [place for place in places if place.topic in _LANES]
    inboxes = [place for place in places if place.topic.startswith(inbox_topic(""))]
    outputs = [place for place in places if place.topic in {RECEIPTS, QUARANTINE}] + inboxes
    committed = await asyncio.to_thread(admin.committed, GROUP)
    ends = await _settled_ends(admin, outputs)

    def look() -> _Cut:
        present = admin.offsets(lanes, Bound.COMMITTED)
        beginnings = admin.offsets([*lanes, *outputs], Bound.BEGINNING)
        starts = beginnings
        if since is not None:
            # The receipts are read whole: they say what was decided about message ids before the period.
            early = [place for place in outputs if place.topic != RECEIPTS]
            starts = beginnings | admin.offsets(early, since - _BROKER_CLOCK_MARGIN)
            starts |= admin.offsets(lanes, since)
        limits = admin.offsets(lanes, until) if until is not None else present
        scope = {}
        for place in lanes:
            position = committed.get(place, beginnings[place])
            limit = min(limits[place], position)
            scope[place.topic, place.partition] = LaneScope(starts[place], limit, position)
        return _Cut(starts, {**ends, **present}, scope)

    return await asyncio.to_thread(look)


async def _settled_ends(admin: TopicAdmin, places: Sequence[PartitionId]) -> dict[PartitionId, int]:
    """Return the committed ends of partitions, when nothing written until now is undecided any more."""
    written = await asyncio.to_thread(admin.offsets, places, Bound.WRITTEN)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _SETTLE_SECONDS
    while True:
        ends = await asyncio.to_thread(admin.offsets, places, Bound.COMMITTED)
        unsettled = sorted(place.topic for place in places if ends[place] < written[place])
        if not unsettled:
            return ends
        if loop.time() > deadline:
            raise Unavailable(
                f"a transaction in {unsettled[0]} is open for more than {_SETTLE_SECONDS:g} s; look for a router that"
                " hangs, or abort it with kafka-transactions.sh, then repeat"
            )
        await asyncio.sleep(_POLL_SECONDS)


@dataclass(slots=True)
class _Reading:
    """Reads one topic after the other into the comparison; verification runs beside the event loop."""

    reader: PartitionReader
    cut: _Cut
    verifier: Verifier
    directory: Directory
    comparison: Reconciliation
    progress: Progress | None
    metrics: Metrics | None
    _known: dict[Digest, Content] = field(default_factory=dict)

    async def lanes(self) -> None:
        """Read the submissions."""
        await self._read("submissions", _LANES, self._submission)

    async def quarantine(self) -> None:
        """Read the quarantine."""
        await self._read("quarantine", (QUARANTINE,), self._quarantined)

    async def receipts(self) -> None:
        """Read the receipts."""
        await self._read("receipts", (RECEIPTS,), self._receipt)

    async def inboxes(self) -> None:
        """Read the inboxes, several at once: an inbox costs memory while it is open."""
        topics = self.cut.inbox_topics()
        for first in range(0, len(topics), _INBOXES_AT_ONCE):
            several = topics[first : first + _INBOXES_AT_ONCE]
            open_ = {topic: self.comparison.inbox(topic.removeprefix(inbox_topic(""))) for topic in several}

            def take(record: Record, open_: Mapping[str, InboxReconciliation] = open_) -> None:
                inbox, value = open_[record.topic], sha256(record.value or b"")
                if not inbox.recognise(place_of(record), value):
                    inbox.add(self._entry(record, value))

            await self._read(f"inboxes {first + len(several)}/{len(topics)}", several, take)
            for inbox in open_.values():
                self.comparison.close(inbox)

    async def _read(self, what: str, topics: Collection[str], take: Callable[[Record], None]) -> None:
        starts = self.cut.of(topics)
        ends = {place: self.cut.ends[place] for place in starts}
        total = sum(max(0, ends[place] - start) for place, start in starts.items())
        done = 0
        async for records in self.reader.read_to_end(starts, ends):
            await asyncio.to_thread(_each, take, records)
            done += len(records)
            if self.metrics is not None:
                self.metrics.replayed_records[ReplayPurpose.AUDIT].inc(len(records))
            if self.progress is not None:
                self.progress(what, done, total)

    def _submission(self, record: Record) -> None:
        entry = self._entry(record, sha256(record.value or b""))
        self._known[entry.value] = entry.content
        self.comparison.add_submission(entry)

    def _quarantined(self, record: Record) -> None:
        try:
            entry = quarantine_entry(record)
        except (Refused, ValueError) as error:
            self.comparison.add_unreadable_quarantine(place_of(record), str(error))
        else:
            self.comparison.add_quarantine(entry)

    def _receipt(self, record: Record) -> None:
        self.comparison.add_receipt(self._entry(record, sha256(record.value or b"")))

    def _entry(self, record: Record, value: Digest) -> Entry:
        """Establish what a record is; a copy of submitted bytes is what they were when the broker first took them."""
        content = self._known.get(value)
        if content is None:
            content = establish(record, self.verifier, self.directory)
        return Entry(place_of(record), value, content)


def _each(take: Callable[[Record], None], records: Sequence[Record]) -> None:
    for record in records:
        take(record)
