"""A small town with real keys, and a router task of its axis on a bus in memory."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from axis.consumers.decide import Batch, Decider, Judgement
from axis.consumers.equipment import Changelog, Equipment, Timings, Turn
from axis.consumers.examine import Candidate, Examiner
from axis.consumers.restore import DecisionChangelog
from axis.consumers.route import RouterTask
from axis.consumers.verify import VerifiedEnvelope, VerifiedReceipt, Verifier
from axis.core.addressing import Enrolment, Level, Organisation, OrganisationCode
from axis.core.directory import Directory
from axis.core.envelope import Envelope, Lane, Part
from axis.core.policy import AcceptancePolicy
from axis.core.retry import RetrySchedule
from axis.core.topics import LANES, QUARANTINE, RECEIPTS, ROUTER_STATE, inbox_topic
from axis.crypto.certificates import CertificateValidator, RevocationNotChecked
from axis.crypto.keys import load_identity
from axis.crypto.signing import CmsSigner
from axis.errors import Unavailable
from axis.ports import Append, PartitionId, Record, Transaction
from axis.schemas.avro import Decision
from axis.storage.blobs import BlobStore, open_store
from axis.storage.decisions import SqliteDecisions
from axis.testing.bus import MemoryGroupReader, MemoryReader, MemoryTransaction
from axis.testing.clock import SettableClock
from axis.testing.log import Listener, MemoryBus, deaf
from axis.testing.pki import DevelopmentPki
from tests.attack.forge import ENVIRONMENT, Forger

_T = TypeVar("_T")
_TICKS: Final = 10

NOW: Final = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
LANE_PARTITIONS: Final = 2
GROUP: Final = "axis-router"
NAME: Final = "axis-router-0"
AXIS, OFFICE, WARD, OTHER_WARD, STRANGER = "H56.A", "H56.1", "H56.3", "H56.4", "H56.2"
"""The axis; three organisations whose partition is 0; one whose partition is 1."""
EXPRESS: Final = PartitionId(LANES[Lane.EXPRESS], 0)
STANDARD: Final = PartitionId(LANES[Lane.STANDARD], 0)


class Killed(Exception):  # noqa: N818 - named as the event it stands for
    """The process is no more."""


class RememberingVerifier(Verifier):
    """Verifies each value once: the same history is played many times."""

    @cache  # noqa: B019 - it lives as long as the tests
    def verify(
        self, value: bytes | None, directory: Directory, at: datetime, *, as_signed: bool = False
    ) -> VerifiedEnvelope | VerifiedReceipt:
        """Verify a record value."""
        return super().verify(value, directory, at, as_signed=as_signed)


@dataclass(frozen=True, slots=True, repr=False)
class Town:
    """Who is there, and who can sign for them."""

    directory: Directory
    forgers: Mapping[str, Forger]
    verifier: Verifier

    def current(self) -> Directory:
        """Return the directory in force: the town is its own `axis.ports.DirectorySource`."""
        return self.directory

    def examiner(self, blobs: BlobStore | None = None) -> Examiner:
        """Return the examination of the town's axis."""
        return Examiner(
            environment=ENVIRONMENT,
            verifier=self.verifier,
            blobs=blobs or open_store("memory:", Path()),
            lane_partitions=LANE_PARTITIONS,
        )

    def decider(self, decisions: SqliteDecisions, now: datetime = NOW) -> Decider:
        """Return the decisions of the town's axis, at a moment."""
        return Decider(
            node=OrganisationCode(AXIS),
            environment=ENVIRONMENT,
            policy=AcceptancePolicy(),
            decisions=decisions,
            signer=self.forgers[AXIS].signer,
            clock=SettableClock(now),
            receipt_partitions=1,
            quarantine_partitions=1,
        )

    def letter(
        self, signer: str, /, *recipients: str, parts: Sequence[Part] = (), **changes: object
    ) -> Envelope:
        """A faultless document but for the changes."""
        forger = self.forgers[signer]
        if not parts:
            return forger.letter(recipients[0], NOW, recipients=recipients, **changes)
        return forger.seal(forger.header(recipients[0], NOW, recipients=recipients, **changes), parts, at=NOW)


def found_town(folder: Path, others: Iterable[str] = ()) -> Town:
    """Issue keys to everybody."""
    pki = DevelopmentPki.create_or_open(folder, now=NOW)
    organisations, enrolments, forgers = [], [], {}
    for code in (AXIS, OFFICE, WARD, OTHER_WARD, STRANGER):
        identity = load_identity(pki.signing(code, code).read_bytes())
        certificate: x509.Certificate = identity.certificate
        enrolments.append(
            Enrolment(
                certificate.fingerprint(hashes.SHA256()),
                OrganisationCode(code),
                certificate.not_valid_before_utc,
                certificate.not_valid_after_utc,
            )
        )
        forgers[code] = Forger(code, CmsSigner(identity))
    for code in (AXIS, OFFICE, WARD, OTHER_WARD, STRANGER, *others):
        level = Level.AXIS if code == AXIS else Level.PROVINCE
        organisations.append(
            Organisation(OrganisationCode(code), f"Cơ quan {code}", level, None, None, date(2025, 7, 1), None)
        )
    validator = CertificateValidator([pki.ca_path.read_bytes()], revocation=RevocationNotChecked())
    directory = Directory(tuple(organisations), (), tuple(enrolments))
    return Town(directory, forgers, RememberingVerifier(validator, AcceptancePolicy()))


class Submissions(MemoryGroupReader):
    """A group member that hands out as much as its broker happens to have fetched, and tells when nothing waits.

    Args:
        site: whose submissions; nothing waits when everything that was taken is committed and no lane has more.
        sizes: how many records of each partition one fetch brings at most.
    """

    def __init__(self, site: "Site", sizes: Iterable[int]) -> None:
        super().__init__(site.bus, GROUP, (EXPRESS, STANDARD))
        self._site = site
        self._sizes = iter(sizes)
        self._asking: set[PartitionId] = set()

    async def take(self, place: PartitionId, limit: int, wait_seconds: float) -> Sequence[Record]:
        """Return what was fetched; where there is nothing, return what comes when nothing else happens any more."""
        del wait_seconds
        self._asking.add(place)
        try:
            while not self._waiting(place):
                await asyncio.sleep(0)
                if self._asking == {EXPRESS, STANDARD} and not self._site.notes.in_hand:
                    self._site.idle()
                    break
        finally:
            self._asking.discard(place)
        return await super().take(place, min(limit, next(self._sizes, limit)), 0)


class ListenedDecisions(SqliteDecisions):
    """The decision store, in memory, whose calls tell the bus's listener."""

    def __init__(self, bus: MemoryBus) -> None:
        super().__init__(":memory:", "changelog")
        self._bus = bus

    def lookup(self, keys: Iterable[str]) -> Mapping[str, Decision]:
        """Return the decisions known for these keys."""
        with self._bus.call("lookup"):
            return super().lookup(keys)

    def apply(self, partition: int, decisions: Sequence[tuple[str, Decision]], position: int) -> None:
        """Store decisions and the changelog position behind them."""
        with self._bus.call("apply"):
            super().apply(partition, decisions, position)


@dataclass(frozen=True, slots=True)
class OwnBench:
    """Implements `axis.consumers.equipment.Workbench` without a thread: what happens meanwhile is up to the listener.

    Standard work takes so long that express work which arrives at its beginning is examined before its end.
    """

    bus: MemoryBus

    async def run(self, turn: Turn, work: Callable[[], _T], number: int = 0) -> _T:
        """Run the work."""
        del number
        lane = Lane.EXPRESS if turn is Turn.EXPRESS else Lane.STANDARD
        self.bus.listener(f"before {lane} work")
        if lane is Lane.STANDARD:
            for _ in range(_TICKS):
                await asyncio.sleep(0)
        result = work()
        self.bus.listener(f"after {lane} work")
        return result


@dataclass(slots=True)
class Notes:
    """Implements `axis.consumers.equipment.Observer`."""

    judgements: list[Judgement] = field(default_factory=list)
    failures: list[Unavailable] = field(default_factory=list)
    retries: list[float] = field(default_factory=list)
    restored: list[int] = field(default_factory=list)
    delays: list[Unavailable] = field(default_factory=list)
    in_hand: set[tuple[PartitionId, int]] = field(default_factory=set)

    def taken(self, task: int, records: Sequence[Record]) -> None:
        """Records are in hand."""
        del task
        self.in_hand.update((record.place, record.offset) for record in records)

    def committed(self, task: int, judgements: Sequence[Judgement], timings: Timings) -> None:
        """A batch was committed."""
        del task, timings
        self.judgements += judgements
        self.in_hand.difference_update((each.record.place, each.record.offset) for each in judgements)

    def decided(self, task: int, judgements: Sequence[Judgement]) -> None:
        """Some of its submissions were decided."""

    def failed(self, task: int, error: Unavailable, retry_in_seconds: float) -> None:
        """An incarnation was given up."""
        del task
        self.failures.append(error)
        self.retries.append(retry_in_seconds)
        self.in_hand.clear()

    def delayed(self, task: int, error: Unavailable, retry_in_seconds: float) -> None:
        """An examination waits."""
        del task, retry_in_seconds
        self.delays.append(error)

    def resumed(self, task: int) -> None:
        """It waits no more."""
        del task
        self.delays.clear()

    def opened(self, task: int, restored: int) -> None:
        """An incarnation is ready."""
        del task
        self.restored.append(restored)


class Site:
    """The bus of the town's axis with its router task 0.

    Args:
        town: whose axis it is.
        listener: is told each moment of each call that the task makes.
        sizes: how many records of each lane one fetch brings at most; as many as are asked for when it ends.
        batch_records: how many records the task asks for at most.
    """

    def __init__(
        self,
        town: Town,
        *,
        listener: Listener = deaf,
        sizes: Iterable[int] = repeat(1000),
        batch_records: int = 500,
    ) -> None:
        self.town = town
        topics = {ROUTER_STATE: LANE_PARTITIONS, RECEIPTS: 1, QUARANTINE: 1}
        topics |= dict.fromkeys(LANES.values(), LANE_PARTITIONS)
        topics |= {inbox_topic(each.code): 1 for each in town.directory.organisations}
        self.bus = MemoryBus(SettableClock(NOW), topics, listener)
        self.notes = Notes()
        self.decisions = ListenedDecisions(self.bus)
        self.on_idle: Callable[[], None] | None = None
        self.new_transaction: Callable[[Lane], Transaction] = lambda lane: MemoryTransaction(
            self.bus, f"{NAME}-{lane}", GROUP
        )
        self.changes: dict[str, object] = {}
        self._listener_of_the_living: Listener = listener
        self._sizes = sizes
        self._batch_records = batch_records
        self.task = self.new_task()

    def submit(self, value: bytes, place: PartitionId = STANDARD) -> Record:
        """Put a record into a lane."""
        return self.bus.append(Append(place.topic, place.partition, b"sender", value))

    def new_task(self) -> RouterTask:
        """Make the task as a new process would, around the decision store that there is."""
        self.notes.in_hand.clear()
        if self.bus.listener is _dead:
            self.bus.listener = self._listener_of_the_living
        self.submissions = Submissions(self, self._sizes)
        changelog: Changelog = DecisionChangelog(MemoryReader(self.bus))
        equipment = Equipment(
            submissions=self.submissions,
            changelog=changelog,
            decisions=self.decisions,
            directory=self.town,
            examiner=self.town.examiner(),
            decider=self.town.decider(self.decisions),
            workbench=OwnBench(self.bus),
            observer=self.notes,
            retry=RetrySchedule(0, 0),
            batch_records=self._batch_records,
        )
        self.task = RouterTask(0, replace(equipment, **self.changes), self.new_transaction)  # type: ignore[arg-type] # the test names fields
        return self.task

    def kill(self) -> None:
        """End the process: nothing of it does anything any more.

        Raises:
            Killed: always.
        """
        self._listener_of_the_living, self.bus.listener = self.bus.listener, _dead
        raise Killed

    def lose_disk(self) -> None:
        """Forget everything but what is on the bus."""
        self.decisions.close()
        self.decisions = ListenedDecisions(self.bus)

    async def route(self) -> None:
        """Route until nothing waits; a process that is killed is followed by another one."""
        while True:
            try:
                await self.new_task().run()
            except Killed:
                continue
            # One that is killed while it stops may end as if it had not been.
            if self.bus.listener is not _dead:
                return

    def inbox(self, code: str) -> list[bytes]:
        """Return the values in an inbox."""
        return [record.value or b"" for record in self.bus.records(inbox_topic(code))]

    def idle(self) -> None:
        """Nothing waits: stop, or do what the test wants to happen now."""
        (self.on_idle or self.task.stop)()


class DecidedPieces:
    """Stands for a decider and calls it; tells when the first piece is decided."""

    def __init__(self, decider: Decider, on_first: Callable[[], object]) -> None:
        self._extend = decider.extend
        self._on_first: Callable[[], object] | None = on_first

    def extend(self, batch: Batch, candidates: Sequence[Candidate], limit_bytes: int) -> int:
        """Decide about more of a batch."""
        decided = self._extend(batch, candidates, limit_bytes)
        if self._on_first is not None:
            self._on_first()
            self._on_first = None
        return decided


def _dead(moment: str) -> None:
    del moment
    raise Killed
