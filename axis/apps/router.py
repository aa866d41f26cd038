"""The router role: joins the group, runs one task per partition number it owns, lets go on rebalance and on stop."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

import structlog

from axis.apps import wiring
from axis.apps.observer import RouterObserver
from axis.apps.workbench import PriorityWorkbench
from axis.connection import Connection, connect_as
from axis.consumers.decide import Decider
from axis.consumers.examine import LANES, Examiner
from axis.consumers.kafka import GroupReader, PartitionReader
from axis.consumers.restore import DecisionChangelog
from axis.consumers.route import Equipment, RouterTask
from axis.core.policy import AcceptancePolicy
from axis.core.retry import RetrySchedule
from axis.core.topics import (
    QUARANTINE,
    RECEIPTS,
    ROUTER_STATE,
    SUBMISSIONS_EXPRESS,
    SUBMISSIONS_STANDARD,
    inbox_topic,
)
from axis.errors import ConfigurationError
from axis.ports import PartitionId, Transaction
from axis.producers.kafka import KafkaTransaction
from axis.settings import Settings
from axis.storage.decisions import SqliteDecisions
from axis.telemetry.exposition import TelemetryServer, process_registry
from axis.telemetry.health import Health
from axis.telemetry.metrics import Metrics
from axis.telemetry.vocabulary import GroupClass, TopicClass

GROUP: Final = "axis-router"
_MEASURE_SECONDS: Final = 5.0
_log = structlog.stdlib.get_logger("axis.router")

NewTransaction = Callable[[int], Transaction]


@dataclass(slots=True)
class Router:
    """One router process.

    Args:
        settings: the installation.
        instance: name of this process among the routers of the installation; its decision store lies under it.
        new_transaction: makes the transaction object of a task; the default is Kafka's.
    """

    settings: Settings
    instance: str = "0"
    new_transaction: NewTransaction | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _running: dict[int, tuple[RouterTask, "asyncio.Task[None]"]] = field(default_factory=dict)

    def stop(self) -> None:
        """Ask the process to finish the batches in hand and return from `run`."""
        self.stopping.set()

    async def run(self, on_ready: Callable[[int], None] | None = None) -> None:
        """Route until stopped.

        Args:
            on_ready: called once with the telemetry port when it listens.

        Raises:
            ConfigurationError: settings, keys or topics are not usable.
            Unavailable: no broker answers at the start.
        """
        settings = self.settings
        connection = connect_as(settings.node, settings.broker, f"router-{self.instance}")
        registry = process_registry()
        metrics = Metrics(registry)
        health = Health("router", {"group": "a member", "tasks": "open"}, metrics)
        server = TelemetryServer(
            settings.router.telemetry_host, settings.router.telemetry_port, registry, health
        )
        server.start()
        try:
            if on_ready is not None:
                on_ready(server.port)
            await self._route(connection, metrics, health)
        finally:
            server.stop()

    async def _route(self, connection: Connection, metrics: Metrics, health: Health) -> None:
        store = SqliteDecisions(self._store_path(), await asyncio.to_thread(self._changelog_identity))
        try:
            async with PartitionReader(connection) as changelog_reader:
                reader = GroupReader(connection, list(LANES.values()), GROUP, self._revoke)
                with PriorityWorkbench() as bench:
                    equipment = await self._equipment(reader, changelog_reader, store, bench, metrics)
                    await reader.start()
                    health.report("group", passed=True, got="a member")
                    try:
                        await self._supervise(connection, reader, equipment, metrics, health)
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
        metrics: Metrics,
    ) -> Equipment:
        settings, clock, policy = self.settings, wiring.clock(), AcceptancePolicy()
        directory, verifier = wiring.directory(settings), wiring.verifier(settings, policy)
        counts = {
            topic: len(await changelog_reader.partitions(topic))
            for topic in (*LANES.values(), ROUTER_STATE, RECEIPTS, QUARANTINE)
        }
        if len({counts[topic] for topic in (*LANES.values(), ROUTER_STATE)}) != 1:
            raise ConfigurationError(
                f"both lanes and {ROUTER_STATE} must have the same number of partitions, got {counts}"
            )
        return Equipment(
            submissions=reader,
            changelog=DecisionChangelog(changelog_reader, store),
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
            observer=RouterObserver(metrics, clock, directory),
            retry=RetrySchedule(),
            batch_records=settings.router.batch_records,
        )

    async def _supervise(
        self,
        connection: Connection,
        reader: GroupReader,
        equipment: Equipment,
        metrics: Metrics,
        health: Health,
    ) -> None:
        """Keep one task per owned partition number until stopped; a task that fails by a defect ends the process."""
        make = self.new_transaction or self._kafka_transactions(connection, equipment)
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(health.keep_beating())
            measuring = group.create_task(self._measure(reader, metrics))
            while not self.stopping.is_set():
                reader.changed.clear()
                self._start_missing(group, reader, equipment, make)
                metrics.router_tasks.set(len(self._running))
                health.report("tasks", passed=True, got=f"{len(self._running)} open")
                await _either(reader.changed, self.stopping)
            await self._stop_tasks(self._running.keys())
            beating.cancel()
            measuring.cancel()

    def _start_missing(
        self, group: asyncio.TaskGroup, reader: GroupReader, equipment: Equipment, make: NewTransaction
    ) -> None:
        owned = reader.assignment()
        for number in sorted({place.partition for place in owned} - self._running.keys()):
            if all(PartitionId(topic, number) in owned for topic in LANES.values()):
                task = RouterTask(number, equipment, lambda number=number: make(number))  # type: ignore[misc] # bound per task
                self._running[number] = (task, group.create_task(task.run()))

    async def _revoke(self, places: Collection[PartitionId]) -> None:
        await self._stop_tasks({place.partition for place in places})

    async def _stop_tasks(self, numbers: Collection[int]) -> None:
        leaving = [self._running.pop(number) for number in list(numbers) if number in self._running]
        for task, _ in leaving:
            task.stop()
        if leaving:
            await asyncio.wait([running for _, running in leaving])

    async def _measure(self, reader: GroupReader, metrics: Metrics) -> None:
        while True:
            for topic, kind in (
                (SUBMISSIONS_EXPRESS, TopicClass.SUBMISSIONS_EXPRESS),
                (SUBMISSIONS_STANDARD, TopicClass.SUBMISSIONS_STANDARD),
            ):
                lag = sum(reader.lag(place) for place in reader.assignment() if place.topic == topic)
                metrics.consumer_lag_records[GroupClass.ROUTER, kind].set(lag)
            await asyncio.sleep(_MEASURE_SECONDS)

    def _kafka_transactions(self, connection: Connection, equipment: Equipment) -> NewTransaction:
        def make(number: int) -> Transaction:
            inboxes = [inbox_topic(each.code) for each in equipment.directory.current().organisations]
            topics = [*inboxes, RECEIPTS, ROUTER_STATE, QUARANTINE]
            return KafkaTransaction(connection, f"{GROUP}-{number}", GROUP, topics)

        return make

    def _store_path(self) -> str:
        folder = self.settings.folder / f"router-{self.instance}"
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder / "decisions.db")

    def _changelog_identity(self) -> str:
        return wiring.topic_admin(self.settings, self.settings.node).topic_id(ROUTER_STATE)


async def _either(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
