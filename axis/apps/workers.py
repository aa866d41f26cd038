"""Runs a router as several processes under one command, because one Python process computes on one core only.

    axis router ─┬─ worker 0   a router of its own: group member, decision store, telemetry on loopback
                 └─ worker 1   …
      telemetry ────┴──────────what all of them tell, each series with a label `worker`

They start, are ready and stop together. When one of them ends by itself the others finish what is in hand and end, so
that whoever supervises the command sees it; when the command is killed they do the same. One that stands still is given
some time, and is killed then.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final

from prometheus_client import CollectorRegistry

from axis.apps.router import Router
from axis.apps.worker import Worker
from axis.settings import Settings
from axis.telemetry.exposition import TelemetryServer
from axis.telemetry.gathering import Gathering
from axis.telemetry.logs import logs_in_force

_MOST_BY_DEFAULT: Final = 4


def worker_count(asked: int) -> int:
    """Return how many processes a router has on this machine: as many as asked for, or for 0 one per core, at most four."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return asked or min(cores, _MOST_BY_DEFAULT)


def new_router(settings: Settings, instance: str = "0") -> "Router | RouterWorkers":
    """Return the router of an installation: in this process, or in as many as its settings say."""
    count = worker_count(settings.router.workers)
    return Router(settings, instance) if count == 1 else RouterWorkers(settings, instance, count)


class RouterWorkers:
    """Several router processes as one; stands beside `axis.apps.router.Router`, which runs in this process.

    Args:
        settings: the installation.
        instance: name among the routers of the installation; the workers are `<instance>-0`, `<instance>-1`, …
        count: how many workers.
    """

    def __init__(self, settings: Settings, instance: str, count: int) -> None:
        self._settings = settings
        self._instance = instance
        self._gathering = Gathering("router", [str(number) for number in range(count)])
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ask all workers to finish the transactions in hand, and `run` to return."""
        self._stopping.set()

    async def run(self, on_ready: Callable[[int], None] | None = None) -> None:
        """Route until stopped.

        Args:
            on_ready: called once, with the telemetry port, when every worker is ready.

        Raises:
            ConfigurationError: settings, keys, topics or the telemetry address are not usable.
            Unavailable: no broker answers at the start, or a worker ended by itself.
        """
        router = self._settings.router
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self._gathering)
        server = TelemetryServer(router.telemetry_host, router.telemetry_port, registry, self._gathering)
        server.start()
        try:
            async with AsyncExitStack() as stack:
                workers = [
                    await stack.enter_async_context(self._worker(name)) for name in self._gathering.names
                ]
                try:
                    ready = asyncio.gather(*(worker.ready.wait() for worker in workers))
                    if await self._unless_ended(ready, workers) and on_ready is not None:
                        on_ready(server.port)
                    await self._unless_ended(self._stopping.wait(), workers)
                finally:
                    # All at once, before one is waited for.
                    for worker in workers:
                        worker.ask_to_stop()
            for worker in workers:
                worker.check()
        finally:
            server.stop()

    def _worker(self, name: str) -> Worker:
        def listening(port: int | None) -> None:
            self._gathering.listens(name, port)

        return Worker(self._settings, f"{self._instance}-{name}", logs_in_force(), listening)

    async def _unless_ended(self, wanted: Awaitable[object], workers: Sequence[Worker]) -> bool:
        """Wait for something; tell whether it came before `stop` was called.

        Raises:
            Exception: a worker ended first; what it raised, or `Unavailable` when it did not say.
        """
        waits = [asyncio.ensure_future(wanted), asyncio.ensure_future(self._stopping.wait())]
        ends = [asyncio.ensure_future(worker.routes_no_more.wait()) for worker in workers]
        try:
            await asyncio.wait([*waits, *ends], return_when=asyncio.FIRST_COMPLETED)
            if not self._stopping.is_set():
                for worker, end in zip(workers, ends, strict=True):
                    if end.done():
                        raise worker.fault()
            return waits[0].done()
        finally:
            for each in (*waits, *ends):
                each.cancel()
            await asyncio.gather(*waits, *ends, return_exceptions=True)
