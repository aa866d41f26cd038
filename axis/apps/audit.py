"""Audit a running installation: read its history anew and verify every signature.

`replay` returns what stands there. `reconcile` asks the oracle whether it agrees. The history goes on while it is
read, so for the oracle a cut is made first:

    1  the router's committed positions: what stands before them is decided
    2  the ends of all outputs, once every transaction that was open at 1 is settled in all of them
    3  the ends of the submission lanes, so that whatever an output follows from is read as well
    4  when the receipts are read, the committed positions again: they have passed everything that was decided by 2

Every submission is examined anew by the router's own rules, so that an acceptance or a refusal can be compared with what
had to be decided.

Nothing is committed and no group is joined: reading disturbs nobody.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from axis.admin.kafka import Bound, TopicAdmin
from axis.apps import topics, wiring
from axis.apps.router import GROUP
from axis.connection import connect_as
from axis.consumers.establish import content_of, establish, place_of, quarantine_entry
from axis.consumers.examine import Candidate, Examiner
from axis.consumers.kafka import PartitionReader
from axis.consumers.replay import Period, Progress, Replayed, Replayer
from axis.consumers.verify import VerifiedEnvelope, Verifier
from axis.core.addressing import OrganisationCode
from axis.core.coverage import Coverage, Shortened
from axis.core.digest import Digest, sha256
from axis.core.directory import Directory
from axis.core.findings import Report
from axis.core.history import Content, Entry, Expectation, LaneScope, Rules, Unestablished
from axis.core.inbox_reconciliation import InboxReconciliation
from axis.core.policy import CLOCK_MARGIN, AcceptancePolicy
from axis.core.receipt import Outcome
from axis.core.reconciliation import Reconciliation
from axis.core.routing import consigned
from axis.core.topics import LANES, QUARANTINE, RECEIPTS, SUBMISSIONS_STANDARD, Declaration, inbox_topic
from axis.errors import Bilingual, ConfigurationError, Refused, Unavailable
from axis.ports import PartitionId, Record
from axis.settings import Settings
from axis.storage.blobs import open_store

KINDS: Final = ("submissions", "receipts", "quarantine", "inboxes")
"""The parts of a history that can be asked for by name."""

AUDITOR: Final = "admin"
"""The client whose certificate reads everything, unless another one is named."""

_LANES: Final = tuple(LANES.values())
_INBOXES_AT_ONCE: Final = 32
_FIRST_OFFSETS: Final = 64
"""Among so many offsets there is a record: ends of transactions and what was aborted have theirs as well."""

_SETTLE_SECONDS: Final = 180.0
_POLL_SECONDS: Final = 0.2


async def reconcile(
    settings: Settings,
    *,
    client: str = AUDITOR,
    since: datetime | None = None,
    until: datetime | None = None,
    progress: Progress | None = None,
) -> Report:
    """Compare submissions, deliveries and receipts of an installation.

    Args:
        settings: the installation.
        client: whose certificate reads; it needs the right to read all topics and to describe the router's group.
        since: judge submissions appended from this moment on; all that are kept when None.
        until: judge submissions appended before this moment only.
        progress: told how far reading is.

    Raises:
        ConfigurationError: a certificate, the directory or the declaration of the topics cannot be used.
        Unavailable: the cluster does not answer, or a transaction stays open for minutes.
    """
    policy, positions = AcceptancePolicy(), wiring.group_positions(settings, client, GROUP)
    declaration = topics.load_declaration(settings.folder / "topics.toml")
    cut = await _make_cut(settings, client, since, until)
    verifier, directory = wiring.verifier(settings, policy), wiring.directory(settings).current()
    coverage = Coverage(cut.scope, wiring.clock().now(), _shortened(cut, declaration), since)
    async with PartitionReader(connect_as(client, settings.broker, "audit")) as reader:
        reading = _Reading(
            reader=reader,
            cut=cut,
            verifier=verifier,
            examiner=Examiner(
                environment=settings.environment,
                verifier=verifier,
                # Examining asks for no blob; whether one was there when it was decided, nobody can look up today.
                blobs=open_store("memory:", settings.folder),
                lane_partitions=len(cut.of((SUBMISSIONS_STANDARD,))),
            ),
            directory=directory,
            comparison=Reconciliation(settings.node, Rules(directory.version, policy.version), coverage),
            progress=progress,
        )
        await reading.lanes()
        await reading.quarantine()
        await reading.receipts()
        # Settled: what a transaction decided can be read a moment before its positions can.
        last = await asyncio.to_thread(positions.committed, cut.of(_LANES), settled=True)
        coverage.positions = {(place.topic, place.partition): offset for place, offset in last.items()}
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
) -> list[Replayed]:
    """Return the records of a part of the history in the order of time; raises as `reconcile` does.

    Args:
        settings: the installation.
        chosen: names of topics or of `KINDS`; everything when empty.
        period: which part; its own topics are added.
        organisation: only what concerns it.
        client: whose certificate reads.
        progress: told how far reading is.
    """
    present = await asyncio.to_thread(wiring.topic_admin(settings, client).partitions)
    topics = tuple(sorted({*period.topics, *_topics(chosen or KINDS, present)}))
    async with PartitionReader(connect_as(client, settings.broker, "replay")) as reader:
        verifier = wiring.verifier(settings, AcceptancePolicy())
        replayer = Replayer(
            reader,
            verifier,
            wiring.directory(settings).current(),
            progress or _unseen,
            axis=settings.node,
            environment=settings.environment,
        )
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
        message = Bilingual(
            f"không có chủ đề {', '.join(unknown)}; cần {', '.join(kinds)}, tên làn, hộp thư, {RECEIPTS} hoặc {QUARANTINE}",
            f"no topic {', '.join(unknown)} to replay; expected {', '.join(kinds)}, or the name of a lane, an inbox or"
            f" {RECEIPTS} or {QUARANTINE}",
        )
        raise ConfigurationError(message)
    return [topic for each in chosen for topic in kinds.get(each, [each])]


@dataclass(frozen=True, slots=True)
class _Cut:
    """What is read and what is judged.

    Attributes:
        beginnings: first offset that is kept of every partition.
        starts: first offset to be read of every partition.
        ends: offset to stop before.
        scope: what is judged, per partition of the lanes.
    """

    beginnings: Mapping[PartitionId, int]
    starts: Mapping[PartitionId, int]
    ends: Mapping[PartitionId, int]
    scope: Mapping[tuple[str, int], LaneScope]

    def of(self, topics: Collection[str]) -> dict[PartitionId, int]:
        """Return the starts of the partitions of these topics."""
        return {place: start for place, start in self.starts.items() if place.topic in topics}

    def inbox_topics(self) -> list[str]:
        """Return the topics that are inboxes."""
        return sorted(place.topic for place in self.starts if place.topic.startswith(inbox_topic("")))


async def _make_cut(settings: Settings, client: str, since: datetime | None, until: datetime | None) -> _Cut:
    admin, positions = wiring.topic_admin(settings, client), wiring.group_positions(settings, client, GROUP)
    counts = await asyncio.to_thread(admin.partitions)
    missing = [topic for topic in (*_LANES, RECEIPTS, QUARANTINE) if topic not in counts]
    if missing:
        message = Bilingual(
            f"không có chủ đề {', '.join(missing)}: chạy `axis topics apply`, hoặc xem ở cụm Kafka khác",
            f"no topic {', '.join(missing)}: run `axis topics apply`, or look at another cluster",
        )
        raise Unavailable(message)
    places = [PartitionId(topic, number) for topic, count in counts.items() for number in range(count)]
    lanes = [place for place in places if place.topic in _LANES]
    inboxes = [place for place in places if place.topic.startswith(inbox_topic(""))]
    outputs = [place for place in places if place.topic in {RECEIPTS, QUARANTINE}] + inboxes
    committed = await asyncio.to_thread(positions.committed, lanes)
    ends = await _settled_ends(admin, outputs)

    def look() -> _Cut:
        present = admin.offsets(lanes, Bound.COMMITTED)
        beginnings = admin.offsets([*lanes, *outputs], Bound.BEGINNING)
        starts = beginnings
        if since is not None:
            # The receipts are read whole: they say what was decided about message ids before the period.
            early = [place for place in outputs if place.topic != RECEIPTS]
            starts = beginnings | admin.offsets(early, since - CLOCK_MARGIN)
            starts |= admin.offsets(lanes, since)
        limits = admin.offsets(lanes, until) if until is not None else present
        scope = {}
        for place in lanes:
            position = committed.get(place, beginnings[place])
            scope[place.topic, place.partition] = LaneScope(
                starts[place], min(limits[place], position), position, beginnings[place], present[place]
            )
        return _Cut(beginnings, starts, {**ends, **present}, scope)

    return await asyncio.to_thread(look)


def _shortened(cut: _Cut, declaration: Declaration) -> dict[tuple[str, int], Shortened]:
    """Return the partitions that begin behind their first record, with what is declared of their retention."""
    days = {topic.name: topic.retention_days for topic in declaration.topics}
    return {
        (place.topic, place.partition): Shortened(
            beginning,
            timedelta(days=kept)
            if (kept := days.get(place.topic, declaration.inbox.retention_days))
            else None,
        )
        for place, beginning in cut.beginnings.items()
        if beginning > 0
    }


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
            message = Bilingual(
                f"giao dịch ở {unsettled[0]} mở quá {_SETTLE_SECONDS:g} giây: tìm bộ định tuyến treo, hoặc hủy bằng kafka-transactions.sh",
                f"a transaction in {unsettled[0]} is open for more than {_SETTLE_SECONDS:g} s; look for a router that"
                " hangs, or abort it with kafka-transactions.sh, then repeat",
            )
            raise Unavailable(message)
        await asyncio.sleep(_POLL_SECONDS)


@dataclass(slots=True)
class _Reading:
    """Reads one topic after the other into the comparison; verification runs beside the event loop."""

    reader: PartitionReader
    cut: _Cut
    verifier: Verifier
    examiner: Examiner
    directory: Directory
    comparison: Reconciliation
    progress: Progress | None
    _known: dict[Digest, Content] = field(default_factory=dict)
    _expectations: dict[Expectation, Expectation] = field(default_factory=dict)

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
                inbox.saw(record.appended_at)
                if not inbox.recognise(place_of(record), value):
                    inbox.add(self._entry(record, value))

            await self._see_beginnings(open_)
            await self._read(f"inboxes {first + len(several)}/{len(topics)}", several, take)
            for inbox in open_.values():
                self.comparison.close(inbox)

    async def _see_beginnings(self, inboxes: Mapping[str, InboxReconciliation]) -> None:
        """See the first record of inboxes that are not read from their beginning: it tells since when they are there."""
        starts = {
            place: self.cut.beginnings[place]
            for place, start in self.cut.of(inboxes).items()
            if self.cut.beginnings[place] < start
        }
        ends = {place: min(self.cut.starts[place], start + _FIRST_OFFSETS) for place, start in starts.items()}
        async for records in self.reader.read_to_end(starts, ends):
            for record in records:
                inboxes[record.topic].saw(record.appended_at)

    async def _read(self, what: str, topics: Collection[str], take: Callable[[Record], None]) -> None:
        starts = self.cut.of(topics)
        ends = {place: self.cut.ends[place] for place in starts}
        total = sum(max(0, ends[place] - start) for place, start in starts.items())
        done = 0
        async for records in self.reader.read_to_end(starts, ends):
            await asyncio.to_thread(_each, take, records)
            for record in records:
                self.comparison.coverage.saw(record.appended_at)
            done += len(records)
            if self.progress is not None:
                self.progress(what, done, total)

    def _submission(self, record: Record) -> None:
        (candidate,) = self.examiner.examine((record,), self.directory)
        fault = candidate.fault
        if candidate.verified is None:
            assert fault is not None  # noqa: S101 - nobody established means a fault
            content, expected = content_of(fault), None
        else:
            content, expected = content_of(candidate.verified), self._shared(_expectation(candidate))
        value = sha256(record.value or b"")
        if isinstance(self._known.get(value, Unestablished("")), Unestablished):
            self._known[value] = content
        self.comparison.add_submission(Entry(place_of(record), value, content, expected), record.appended_at)

    def _shared(self, expected: Expectation) -> Expectation:
        """Return one object for equal expectations: there may be millions of them."""
        return self._expectations.setdefault(expected, expected)

    def _quarantined(self, record: Record) -> None:
        try:
            entry = quarantine_entry(record)
        except (Refused, ValueError) as error:
            self.comparison.add_unreadable_quarantine(place_of(record), str(error))
        else:
            self.comparison.add_quarantine(entry, record.appended_at)

    def _receipt(self, record: Record) -> None:
        entry = self._entry(record, sha256(record.value or b""))
        self.comparison.add_receipt(entry, record.appended_at)

    def _entry(self, record: Record, value: Digest) -> Entry:
        """Establish what a record is; a copy of submitted bytes is what they were when the broker first took them."""
        content = self._known.get(value)
        if content is None:
            content = establish(record, self.verifier, self.directory)
        return Entry(place_of(record), value, content)


def _expectation(candidate: Candidate) -> Expectation:
    """Return what must become of an examined submission."""
    if candidate.fault is not None:
        return Expectation(candidate.fault.reason)
    if not isinstance(candidate.verified, VerifiedEnvelope):
        return Expectation()
    envelope, outcomes = candidate.verified, candidate.outcomes
    return Expectation(
        consigned=consigned(outcomes),
        refused=tuple((o.recipient, o.reason) for o in outcomes if o.outcome is Outcome.REFUSED),
        expires_at=envelope.header.expires_at if envelope.header is not None else None,
        stored=any(part.content is None for part in envelope.envelope.parts),
    )


def _unseen(_what: str, _done: int, _total: int) -> None:
    """Stand for a progress display that nobody looks at."""


def _each(take: Callable[[Record], None], records: Sequence[Record]) -> None:
    for record in records:
        take(record)
