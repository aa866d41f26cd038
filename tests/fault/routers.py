"""Routers to be tested: in this process, where they can be watched, and in processes of their own, to be killed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import psutil
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.protocol.group import LeaveGroupRequest
from confluent_kafka.admin import AdminClient

from axis.apps.router import GROUP, Router
from axis.connection import connect_as, librdkafka_options
from axis.consumers.decide import Judgement
from axis.consumers.equipment import Equipment, Observer, Timings
from axis.errors import Unavailable
from axis.ports import Record
from axis.settings import Settings
from axis.testing.broker import ADMIN_NAME

_ROOT: Final = Path(__file__).parents[2]
READY_SECONDS: Final = 60.0


@dataclass(slots=True)
class Watch:
    """Implements `axis.consumers.equipment.Observer`: notes what it is told and passes it on."""

    inner: Observer
    restored: dict[int, int] = field(default_factory=dict)
    failures: list[Unavailable] = field(default_factory=list)
    failed_tasks: list[int] = field(default_factory=list)

    def taken(self, task: int, records: Sequence[Record]) -> None:
        """Records are in hand."""
        self.inner.taken(task, records)

    def committed(self, task: int, judgements: Sequence[Judgement], timings: Timings) -> None:
        """A batch was committed."""
        self.inner.committed(task, judgements, timings)

    def decided(self, task: int, judgements: Sequence[Judgement]) -> None:
        """Some of its submissions were decided."""
        self.inner.decided(task, judgements)

    def failed(self, task: int, error: Unavailable, retry_in_seconds: float) -> None:
        """An incarnation was given up."""
        self.failures.append(error)
        self.failed_tasks.append(task)
        self.inner.failed(task, error, retry_in_seconds)

    def opened(self, task: int, restored: int) -> None:
        """An incarnation is ready."""
        self.restored[task] = restored
        self.inner.opened(task, restored)

    def delayed(self, task: int, error: Unavailable, retry_in_seconds: float) -> None:
        """An examination waits."""
        self.inner.delayed(task, error, retry_in_seconds)

    def resumed(self, task: int) -> None:
        """It waits no more."""
        self.inner.resumed(task)


class WatchedRouter(Router):
    """A router that can be asked what its tasks met."""

    watch: Watch

    async def _equipment(self, *arguments: Any) -> Equipment:  # noqa: ANN401 - handed on
        equipment = await super()._equipment(*arguments)
        self.watch = Watch(equipment.observer)
        return replace(equipment, observer=self.watch)


@asynccontextmanager
async def routing(router: Router) -> AsyncIterator[None]:
    """Run a router in this process; it is ready when the block begins and stopped in order at its end."""
    ready = asyncio.Event()
    running = asyncio.create_task(router.run(lambda _port: ready.set()))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({running, waiting}, timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        if running.done():
            running.result()
        assert ready.is_set(), f"the router was not ready within {READY_SECONDS:g} s"
        yield
    finally:
        router.stop()
        await asyncio.wait_for(running, READY_SECONDS)


class RouterChild:
    """A router in a process of its own; an asynchronous context manager that leaves no process behind.

    Args:
        settings: the installation; the child reads them from its folder.
        instance: the router's instance.
        trap: step, when and nth call at which it sends itself the signal; none: it runs until told to stop.
        number: the signal.
        batch_records: most submissions of a batch, of a router that decides an express batch amid a standard one.
    """

    def __init__(
        self,
        settings: Settings,
        instance: str,
        *trap: str,
        number: signal.Signals = signal.SIGKILL,
        batch_records: int | None = None,
    ) -> None:
        self._folder = settings.folder
        self._instance = instance
        self._trap = (*trap, number.name) if trap else ()
        if batch_records is not None:
            self._trap += (str(batch_records),)
        self._log = self._folder / f"router-child-{instance}.log"

    async def __aenter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.fault.router_child",
                str(self._folder),
                self._instance,
                *self._trap,
                cwd=_ROOT,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self.send(signal.SIGKILL)
            self.send(signal.SIGCONT)
        await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self._process.pid, number)

    async def ready(self) -> None:
        """Return when every task that it owns is open."""
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), READY_SECONDS)
        assert line == b"ready\n", f"router {self._instance} ended before it was ready, see {self._folder}"

    def paused(self) -> bool:
        """Tell whether SIGSTOP has stopped it."""
        return bool(psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED)

    def logged(self, text: str) -> bool:
        """Tell whether a text stands in its log."""
        return text in self._log.read_text("utf-8")

    async def ended(self) -> int:
        """Return its exit status when it has ended; minus the signal's number if one ended it."""
        return await asyncio.wait_for(self._process.wait(), READY_SECONDS)


def owners(settings: Settings) -> dict[str, set[int]]:
    """Return which member, by its client id, has which partition numbers."""
    admin = AdminClient({**librdkafka_options(ADMIN_NAME, settings.broker), "log_level": "0"})
    group = admin.describe_consumer_groups([GROUP])[GROUP].result()
    return {
        member.client_id: {tp.partition for tp in member.assignment.topic_partitions}
        for member in group.members
    }


async def bury_dead_members(settings: Settings) -> None:
    """Tell the group's coordinator that every member has left, so that nobody waits for the dead ones' sessions to end.

    To be called when no router lives.
    """
    admin = AdminClient({**librdkafka_options(ADMIN_NAME, settings.broker), "log_level": "0"})
    waiting = admin.describe_consumer_groups([GROUP])[GROUP]
    described = await asyncio.to_thread(waiting.result)
    connection = connect_as(settings.node, settings.broker, "test")
    client = AIOKafkaClient(
        bootstrap_servers=connection.bootstrap_servers, security_protocol="SSL", ssl_context=connection.tls
    )
    await client.bootstrap()
    try:
        coordinator = await client.coordinator_lookup(CoordinationType.GROUP, GROUP)
        for member in described.members:
            await client.send(coordinator, LeaveGroupRequest(GROUP, member.member_id))
    finally:
        await client.close()
