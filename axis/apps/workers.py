"""Runs a router as several processes under one command, because one Python process computes on one core only.

    axis router ─┬─ worker 0   a router of its own: group member, decision store, telemetry on loopback
                 └─ worker 1   …
      telemetry ────┴──────────what all of them tell, each series with a label `worker`

They start, are ready and stop together. When one of them ends by itself the others finish what is in hand and end, so
that whoever supervises the command sees it; when the command is killed they do the same.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Final, Self

import structlog
from prometheus_client import CollectorRegistry

from axis.apps.router import Router
from axis.errors import AxisError, Bilingual, Unavailable
from axis.settings import Settings
from axis.telemetry.exposition import TelemetryServer
from axis.telemetry.gathering import Gathering

_MOST_BY_DEFAULT: Final = 4
_LOOPBACK: Final = "127.0.0.1"
_STOP: Final = "stop"
_log = structlog.stdlib.get_logger("axis.workers")

ConfigureLogs = Callable[[], None]
"""Sets up the logs of a worker as those of the command; it must survive pickling."""


def worker_count(asked: int) -> int:
    """Return how many processes a router has on this machine: as many as asked for, or for 0 one per core, at most four."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return asked or min(cores, _MOST_BY_DEFAULT)


@dataclass(frozen=True, slots=True)
class _Listening:
    port: int


@dataclass(frozen=True, slots=True)
class _Ready:
    pass


_Told = _Listening | _Ready | AxisError


class RouterWorkers:
    """Several router processes as one; stands beside `axis.apps.router.Router`, which runs in this process.

    Args:
        settings: the installation.
        instance: name among the routers of the installation; the workers' names begin with it.
        count: how many workers.
        configure_logs: called first in every worker.
    """

    def __init__(self, settings: Settings, instance: str, count: int, configure_logs: ConfigureLogs) -> None:
        self._settings = settings
        self._instance = instance
        self._configure_logs = configure_logs
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
                    for worker in workers:
                        worker.ask_to_stop()
            for worker in workers:
                worker.check()
        finally:
            server.stop()

    def _worker(self, name: str) -> "_Worker":
        def listening(port: int) -> None:
            self._gathering.listens(name, port)

        return _Worker(self._settings, f"{self._instance}-{name}", self._configure_logs, listening)

    async def _unless_ended(self, wanted: Awaitable[object], workers: Sequence["_Worker"]) -> bool:
        """Wait for something; tell whether it came before `stop` was called.

        Raises:
            AxisError: a worker ended first, of this or for no reason that it gave.
        """
        waits = [asyncio.ensure_future(wanted), asyncio.ensure_future(self._stopping.wait())]
        ends = [asyncio.ensure_future(worker.ended.wait()) for worker in workers]
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


class _Worker:
    """One router in a process of its own; an async context manager that waits for its end.

    Attributes:
        ready: set when the worker is a member of the group and all its tasks are open.
        ended: set when its process is gone.
    """

    def __init__(
        self,
        settings: Settings,
        instance: str,
        configure_logs: ConfigureLogs,
        on_listening: Callable[[int], None],
    ) -> None:
        self._instance = instance
        self._on_listening = on_listening
        # A fresh interpreter: threads, and with them locks, are not to be copied.
        context = multiprocessing.get_context("spawn")
        self._link, self._far_end = context.Pipe()
        self._process = context.Process(
            target=_work,
            args=(settings, instance, self._far_end, configure_logs),
            name=f"router-{instance}",
            daemon=True,
        )
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()
        self._fault: AxisError | None = None

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._process.start)
        # With this copy closed, the link ends when the worker's process does.
        self._far_end.close()
        _log.info("worker.started", instance=self._instance, pid=self._process.pid)
        asyncio.get_running_loop().add_reader(self._link.fileno(), self._hear)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # Whoever interrupts a second time does not want to wait for the transaction in hand.
            if not isinstance(error, asyncio.CancelledError):
                await self.ended.wait()
        finally:
            asyncio.get_running_loop().remove_reader(self._link.fileno())
            self._process.kill()
            self._process.join()
            self._link.close()

    def ask_to_stop(self) -> None:
        """Ask the worker to finish the transactions in hand and end."""
        with suppress(OSError):
            self._link.send(_STOP)

    def check(self) -> None:
        """Return if the worker has ended in order.

        Raises:
            AxisError: it has not.
        """
        if self._process.exitcode:
            raise self.fault()

    def fault(self) -> AxisError:
        """Return why a worker ended that nobody had asked to, or that did not end in order."""
        if self._fault is not None:
            return self._fault
        self._process.join()
        name, status = f"router-{self._instance}", self._process.exitcode
        return Unavailable(
            Bilingual(
                f"tiến trình {name} đã tự dừng (mã {status}; số âm là tín hiệu, -9 thường do thiếu bộ nhớ), các tiến trình"
                " khác hoàn tất việc đang làm rồi dừng theo; nguyên nhân ở nhật ký của nó; chạy lại là tiếp tục như cũ",
                f"worker {name} ended by itself with status {status} (below 0 it is a signal; -9 often means too little"
                " memory), the others finished what was in hand and ended; its log tells why; started again, the router"
                " continues where it was",
            )
        )

    def _hear(self) -> None:
        try:
            told: _Told = self._link.recv()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._link.fileno())
            self.ended.set()
            return
        match told:
            case _Listening(port):
                self._on_listening(port)
            case _Ready():
                self.ready.set()
            case AxisError():
                self._fault = told


def _work(settings: Settings, instance: str, link: Connection, configure_logs: ConfigureLogs) -> None:
    """Be a worker: the whole life of its process."""
    configure_logs()
    structlog.contextvars.bind_contextvars(instance=instance)
    # At a terminal Ctrl-C reaches every process; that of the command decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        asyncio.run(_route(settings, instance, link))
    except AxisError as error:
        _tell(link, error)
        raise SystemExit(1) from None
    except Exception as error:  # noqa: BLE001 - the one place where a failure becomes a log event and a status
        _log.critical("worker.failed", exc_info=error)
        raise SystemExit(1) from None


async def _route(settings: Settings, instance: str, link: Connection) -> None:
    router = Router(settings, instance, address=(_LOOPBACK, 0))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, router.stop)

    def asked() -> None:
        # The link's end is readable as well: without the command nobody would ask.
        loop.remove_reader(link.fileno())
        router.stop()

    loop.add_reader(link.fileno(), asked)
    await router.run(
        on_ready=lambda _: _tell(link, _Ready()), on_listening=lambda port: _tell(link, _Listening(port))
    )


def _tell(link: Connection, told: _Told) -> None:
    # Nobody hears it where the command is gone; the worker then ends anyway.
    with suppress(OSError):
        link.send(told)
