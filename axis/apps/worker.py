"""One router in a process of its own: what runs there, and the handle on it here.

The two ends of a pipe are what binds them. From there come the port of the telemetry, that the worker is ready, and an
exception that ended it; from here comes that it shall stop, by a message or by the end of the pipe.
"""

import asyncio
import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Final, Self, assert_never

import structlog

from axis.apps.router import Router
from axis.errors import AxisError, Bilingual, Unavailable
from axis.settings import Settings
from axis.telemetry.gathering import LOOPBACK

_STOP: Final = "stop"
_SAFE_PATH: Final = "PYTHONSAFEPATH"
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_LEAST_GRACE_SECONDS: Final = 45.0
_log = structlog.stdlib.get_logger("axis.worker")

ConfigureLogs = Callable[[], None]
"""Sets up the logs of a worker as those of the command; it must survive pickling."""


@dataclass(frozen=True, slots=True)
class _Listening:
    port: int


@dataclass(frozen=True, slots=True)
class _Ready:
    pass


_Told = _Listening | _Ready | Exception


class Worker:
    """The handle on a worker; an async context manager that starts its process and waits for its end.

    Args:
        settings: the installation.
        instance: the router's name.
        configure_logs: called first in the process.
        on_listening: told at which port of loopback the worker serves its telemetry, and None when it does no more.

    Attributes:
        ready: set when the worker is a member of the group and all its tasks are open.
        routes_no_more: set when it told what ended it, or its process is gone.
    """

    def __init__(
        self,
        settings: Settings,
        instance: str,
        configure_logs: ConfigureLogs,
        on_listening: Callable[[int | None], None],
    ) -> None:
        self._instance = instance
        self._on_listening = on_listening
        # A transaction in hand may take three requests, and at least half a minute.
        self._grace_seconds = max(_LEAST_GRACE_SECONDS, 4 * settings.broker.request_timeout_seconds)
        self._give_up_at: float | None = None
        self._killed = False
        # A fresh interpreter: threads, and with them locks, are not to be copied.
        context = multiprocessing.get_context("spawn")
        with self._faults_of_starting():
            self._link, self._far_end = context.Pipe()
        self._process = context.Process(
            target=_work,
            args=(settings, instance, self._far_end, configure_logs),
            name=f"router-{instance}",
            daemon=True,
        )
        self.ready = asyncio.Event()
        self.routes_no_more = asyncio.Event()
        self._ended = asyncio.Event()
        self._fault: Exception | None = None

    async def __aenter__(self) -> Self:
        try:
            with self._faults_of_starting():
                await asyncio.to_thread(_start, self._process)
        except Unavailable:
            self._link.close()
            raise
        finally:
            # With this copy closed, the link ends when the worker's process does.
            self._far_end.close()
        _log.info("worker.started", instance=self._instance, pid=self._process.pid)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._link.fileno(), self._hear)
        loop.add_reader(self._process.sentinel, self._bury)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ask_to_stop()
        try:
            # Whoever interrupts a second time does not want to wait for the transaction in hand.
            if not isinstance(error, asyncio.CancelledError):
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(self._give_up_at):
                        await self._ended.wait()
        finally:
            if not self._ended.is_set():
                self._killed = True
                _log.warning("worker.killed", instance=self._instance, pid=self._process.pid)
                self._process.kill()
                self._bury()
            self._link.close()

    def ask_to_stop(self) -> None:
        """Ask the worker to finish the transactions in hand and end; from then on it is given some time."""
        if self._give_up_at is None:
            self._give_up_at = asyncio.get_running_loop().time() + self._grace_seconds
            with suppress(OSError):
                self._link.send(_STOP)

    def check(self) -> None:
        """Return if the worker has ended in order.

        Raises:
            Exception: it has not; see `fault`.
        """
        if self._process.exitcode:
            raise self.fault()

    def fault(self) -> Exception:
        """Return why a worker ended that nobody had asked to, or that did not end in order: what it raised, if it said so."""
        if self._fault is not None:
            return self._fault
        name, status = f"router-{self._instance}", self._process.exitcode
        if self._killed:
            return Unavailable(
                Bilingual(
                    f"tiến trình {name} không dừng trong {self._grace_seconds:g} giây sau khi được yêu cầu, nên đã bị buộc dừng;"
                    " việc đang làm dở sẽ làm lại ở lần chạy sau; xem nhật ký trước đó",
                    f"worker {name} did not end within {self._grace_seconds:g} s after it was asked to, and was killed;"
                    " what was in hand is done again by the next start; see the log before that",
                )
            )
        killed = status is not None and status < 0
        return Unavailable(
            Bilingual(
                f"tiến trình {name} đã tự dừng, mã {status}"
                f"{' (bị tín hiệu dừng; -9 thường do thiếu bộ nhớ)' if killed else ''}; các tiến trình khác hoàn tất việc"
                " đang làm rồi dừng theo; nguyên nhân ở nhật ký; chạy lại là tiếp tục như cũ",
                f"worker {name} ended by itself with status {status}"
                f"{' (a signal; -9 often means too little memory)' if killed else ''}; the others finished what was in"
                " hand and ended; the log tells why; started again, the router continues where it was",
            )
        )

    def _hear(self) -> bool:
        """Take in what the worker tells; False at the end."""
        try:
            told: _Told = self._link.recv()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._link.fileno())
            return False
        match told:
            case _Listening(port):
                self._on_listening(port)
            case _Ready():
                self.ready.set()
            case Exception():
                self._fault = told
                # An interpreter may hang on its way out: from here on it has the time of one that was asked to stop.
                self.ask_to_stop()
                self.routes_no_more.set()
            case _:
                assert_never(told)
        return True

    def _bury(self) -> None:
        """Take in the end of the process, and what it told last."""
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        while self._hear():
            pass
        self._process.join()
        # Whoever listens there next is somebody else.
        self._on_listening(None)
        _log.info("worker.ended", instance=self._instance, exit_code=self._process.exitcode)
        self._ended.set()
        self.routes_no_more.set()

    @contextmanager
    def _faults_of_starting(self) -> Iterator[None]:
        """Turn what is missing on this machine to start a process into `Unavailable`."""
        try:
            yield
        # Of a thread that cannot be started Python says it in this way.
        except (OSError, RuntimeError) as error:
            told = getattr(error, "strerror", None) or str(error)
            raise Unavailable(
                Bilingual(
                    f"không chạy thêm được tiến trình router-{self._instance}: {told}; tăng giới hạn tiến trình, tệp mở"
                    " hoặc bộ nhớ, hoặc giảm --workers",
                    f"worker router-{self._instance} cannot be started: {told}; raise the limit of processes, open files or"
                    " memory, or give fewer --workers",
                )
            ) from error


def _start(process: BaseProcess) -> None:
    with _without_working_folder():
        # Signals wait until the worker can hear them: by default they would end it while it starts. The tracker of
        # multiprocessing would undo that, so it must run before.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _without_working_folder() -> Iterator[None]:
    """Let interpreters that start within the block import nothing from the working folder, whoever may write there.

    The command itself does not, but multiprocessing starts them with `-c`, which does.
    """
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before


def _work(settings: Settings, instance: str, link: Connection, configure_logs: ConfigureLogs) -> None:
    """Be a worker: the whole life of its process."""
    try:
        configure_logs()
        structlog.contextvars.bind_contextvars(instance=instance)
        asyncio.run(_route(settings, instance, link))
    except Exception as error:  # noqa: BLE001 - the one place where a failure becomes a log event and a status
        if isinstance(error, AxisError):
            _log.error("worker.failed", error=error)
        else:
            _log.critical("worker.failed", exc_info=error)
        if _travels(error):
            _tell(link, error)
        raise SystemExit(1) from None


async def _route(settings: Settings, instance: str, link: Connection) -> None:
    router = Router(settings, instance, address=(LOOPBACK, 0))
    loop = asyncio.get_running_loop()
    # At a terminal Ctrl-C reaches every process; that of the command decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    loop.add_signal_handler(signal.SIGTERM, router.stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

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


def _travels(error: Exception) -> bool:
    """Tell whether an exception arrives at another process as it is; of a library's, some do not."""
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)  # noqa: S301 - our own bytes
    except Exception:  # noqa: BLE001 - whatever it is, it does not
        return False
