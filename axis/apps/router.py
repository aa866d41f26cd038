"""The router role: joins the group, runs one task per partition number it owns, lets go on rebalance and on stop."""

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from structlog.contextvars import bound_contextvars

from axis.admin.positions import GroupPositions
from axis.apps import wiring
from axis.apps.gauges import BROKER_CHECK, RouterGauges, show_transport_certificate
from axis.apps.interpreter import tune_interpreter
from axis.apps.observer import RouterObserver
from axis.apps.silence import silence_limit
from axis.apps.workbench import PriorityWorkbench
from axis.connection import Connection, connect_as
from axis.consumers.decide import Decider
from axis.consumers.equipment import Equipment
from axis.consumers.examine import Examiner
from axis.consumers.kafka import GroupReader, PartitionReader
from axis.consumers.restore import DecisionChangelog
from axis.consumers.route import RouterTask
from axis.core.envelope import Lane
from axis.core.policy import AcceptancePolicy
from axis.core.retry import RetrySchedule
from axis.core.topics import (
    LANES,
    QUARANTINE,
    RECEIPTS,
    ROUTER_STATE,
    inbox_topic,
)
from axis.errors import Bilingual, ConfigurationError
from axis.ports import PartitionId, Transaction
from axis.producers.kafka import KafkaTransaction
from axis.settings import Settings, config_hash
from axis.storage.decisions import SqliteDecisions
from axis.storage.directory_files import DirectoryFiles
from axis.telemetry.exposition import TelemetryServer, process_registry
from axis.telemetry.health import Health
from axis.telemetry.logs import counted_events
from axis.telemetry.metrics import Metrics

GROUP: Final = "axis-router"
_LOOK_SECONDS: Final = 0.2
_MOST_ASKING: Final = 32

NewTransaction = Callable[[int, Lane], Transaction]


@dataclass(slots=True)
class Router:
    """One router process.

    Args:
        settings: the installation.
        instance: name of this process among the routers of the installation; its decision store lies under it.
        new_transaction: makes the transaction object of a task; the default is Kafka's.
        new_decisions: opens the decision store from a path and the changelog's identity.
        address: host and port of its telemetry; the default is that of the settings.
    """

    settings: Settings
    instance: str = "0"
    new_transaction: NewTransaction | None = None
    new_decisions: Callable[[str, str], SqliteDecisions] = SqliteDecisions
    address: tuple[str, int] | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _observer: RouterObserver = field(init=False)
    _running: dict[int, tuple[RouterTask, "asyncio.Task[None]"]] = field(default_factory=dict)

    def stop(self) -> None:
        """Ask the process to finish the transactions in hand and return from `run`."""
        self.stopping.set()

    async def run(
        self,
        on_ready: Callable[[int], None] | None = None,
        on_listening: Callable[[int], None] | None = None,
    ) -> None:
        """Route until stopped.

        Args:
            on_ready: called once, with the telemetry port, when the process is a member of the group and every task that
                it owns is open.
            on_listening: called before that, with the port, as soon as telemetry answers.

        Raises:
            ConfigurationError: settings, keys or topics are not usable.
            Unavailable: no broker answers at the start.
        """
        settings = self.settings
        connection = connect_as(settings.node, settings.broker, f"router-{self.instance}")
        registry = process_registry()
        metrics = Metrics(registry, config_hash=config_hash(settings))
        show_transport_certificate(settings, metrics)
        answering = f"an answer within {silence_limit(connection.request_timeout_seconds):g} s"
        expected = {"group": "a member", BROKER_CHECK: answering, "tasks": "all open"}
        health = Health("router", expected, metrics)
        address = self.address or (settings.router.telemetry_host, settings.router.telemetry_port)
        server = TelemetryServer(*address, registry, health)
        server.start()
        health.beat()
        if on_listening is not None:
            on_listening(server.port)
        tune_interpreter()
        try:
            with counted_events(metrics):
                await self._route(
                    connection, metrics, health, lambda: on_ready(server.port) if on_ready else None
                )
        finally:
            server.stop()

    async def _route(
        self, connection: Connection, metrics: Metrics, health: Health, on_ready: Callable[[], None]
    ) -> None:
        identity = await asyncio.to_thread(self._changelog_identity)
        store = self.new_decisions(self._store_path(), identity)
        try:
            async with PartitionReader(connection) as changelog_reader:
                asking = _Asking(wiring.group_positions(self.settings, self.settings.node, GROUP))
                reader = GroupReader(connection, list(LANES.values()), GROUP, self._revoke, asking.committed)
                directory = wiring.directory(self.settings)
                self._observer = RouterObserver(metrics, health, wiring.clock(), directory)
                with PriorityWorkbench() as bench:
                    equipment = await self._equipment(reader, changelog_reader, store, bench, directory)
                    await reader.start()
                    try:
                        gauges = RouterGauges(
                            reader,
                            self._observer.uncommitted,
                            directory,
                            wiring.clock(),
                            metrics,
                            health,
                            silence_limit(connection.request_timeout_seconds),
                        )
                        await self._supervise(connection, reader, equipment, health, gauges, on_ready)
                    finally:
                        await reader.stop()
        finally:
            store.close()

    async def _equipment(
        self,
        reader: GroupReader,
        changelog_reader: PartitionReader,
        store: SqliteDecisions,
        bench: PriorityWorkbench,
        directory: DirectoryFiles,
    ) -> Equipment:
        settings, clock, policy = self.settings, wiring.clock(), AcceptancePolicy()
        verifier = wiring.verifier(settings, policy)
        counts = {
            topic: len(await changelog_reader.partitions(topic))
            for topic in (*LANES.values(), ROUTER_STATE, RECEIPTS, QUARANTINE)
        }
        if len({counts[topic] for topic in (*LANES.values(), ROUTER_STATE)}) != 1:
            raise ConfigurationError(
                Bilingual(
                    f"hai làn và {ROUTER_STATE} phải có cùng số phân vùng, nhưng là {counts}; xem `axis topics drift`",
                    f"both lanes and {ROUTER_STATE} must have the same number of partitions, got {counts}; see `axis"
                    " topics drift`",
                )
            )
        return Equipment(
            submissions=reader,
            changelog=DecisionChangelog(changelog_reader),
            decisions=store,
            directory=directory,
            examiner=Examiner(
                environment=settings.environment,
                verifier=verifier,
                blobs=wiring.blobs(settings),
                lane_partitions=counts[ROUTER_STATE],
            ),
            decider=Decider(
                node=settings.node,
                environment=settings.environment,
                policy=policy,
                decisions=store,
                signer=wiring.signer(settings, settings.node),
                clock=clock,
                receipt_partitions=counts[RECEIPTS],
                quarantine_partitions=counts[QUARANTINE],
            ),
            workbench=bench,
            observer=self._observer,
            retry=RetrySchedule(),
            batch_records=settings.router.batch_records,
        )

    async def _supervise(
        self,
        connection: Connection,
        reader: GroupReader,
        equipment: Equipment,
        health: Health,
        gauges: RouterGauges,
        on_ready: Callable[[], None],
    ) -> None:
        """Keep one task per owned partition number until stopped; a task that fails by a defect ends the process."""
        make = self.new_transaction or self._kafka_transactions(connection, equipment)
        announced = False
        async with asyncio.TaskGroup() as group:
            background = [group.create_task(health.keep_beating()), group.create_task(gauges.measure())]
            while not self.stopping.is_set():
                reader.changed.clear()
                self._start_missing(group, reader, equipment, make)
                health.report("group", passed=reader.joined, got="a member" if reader.joined else "joining")
                if reader.joined and not announced and self._observer.all_open:
                    announced = True
                    on_ready()
                await _either(reader.changed, self.stopping, seconds=_LOOK_SECONDS)
            await self._stop_tasks(list(self._running))
            for task in background:
                task.cancel()

    def _start_missing(
        self, group: asyncio.TaskGroup, reader: GroupReader, equipment: Equipment, make: NewTransaction
    ) -> None:
        owned = reader.assignment()
        for number in sorted({place.partition for place in owned} - self._running.keys()):
            if all(PartitionId(topic, number) in owned for topic in LANES.values()):
                task = RouterTask(number, equipment, lambda lane, number=number: make(number, lane))  # type: ignore[misc] # bound per task
                # What Kafka's client has to say about a task's transactions names the task's partition.
                with bound_contextvars(partition=number):
                    self._running[number] = (task, group.create_task(task.run()))
        self._observer.owns(self._running)

    async def _revoke(self, places: Collection[PartitionId]) -> None:
        await self._stop_tasks({place.partition for place in places})
        self._observer.owns(self._running)

    async def _stop_tasks(self, numbers: Collection[int]) -> None:
        leaving = [self._running.pop(number) for number in list(numbers) if number in self._running]
        for task, _ in leaving:
            task.stop()
        if leaving:
            await asyncio.wait([running for _, running in leaving])

    def _kafka_transactions(self, connection: Connection, equipment: Equipment) -> NewTransaction:
        def make(number: int, lane: Lane) -> Transaction:
            inboxes = [inbox_topic(each.code) for each in equipment.directory.current().organisations]
            topics = [*inboxes, RECEIPTS, ROUTER_STATE, QUARANTINE]
            name = f"{GROUP}-{number}" if lane is Lane.STANDARD else f"{GROUP}-{lane}-{number}"
            return KafkaTransaction(connection, name, GROUP, topics)

        return make

    def _store_path(self) -> str:
        folder = self.settings.folder / f"router-{self.instance}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        store = folder / "decisions.db"
        store.touch(mode=0o600)
        return str(store)

    def _changelog_identity(self) -> str:
        return wiring.topic_admin(self.settings, self.settings.node).topic_id(ROUTER_STATE)


class _Asking:
    """Asks for the positions of a task that opens, beside the event loop."""

    def __init__(self, positions: GroupPositions) -> None:
        self._positions = positions
        # Of its own: who waits for an undecided transaction keeps nothing else from a thread.
        self._threads = ThreadPoolExecutor(_MOST_ASKING, "axis-positions")

    async def committed(self, places: Collection[PartitionId]) -> Mapping[PartitionId, int]:
        """Return the positions that no transaction can move any more.

        When a task asks, the transactions of its earlier incarnations have ended. One that has lost its end on the way
        (Kafka 4.3.0 and 4.3.1, KAFKA-20734) leaves its positions undecided: the task must not begin at the old ones.
        """
        given_up = threading.Event()
        ask = partial(self._positions.committed, places, settled=True, wanted=lambda: not given_up.is_set())
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        finally:
            given_up.set()


async def _either(*events: asyncio.Event, seconds: float) -> None:
    """Return when one of the events is set, or after a while."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
