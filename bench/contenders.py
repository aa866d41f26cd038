"""The programs that are compared, each a child process of its own, the router with its workers."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self

import psutil

from axis.apps.router import GROUP
from axis.apps.workers import worker_count
from axis.errors import Unavailable
from bench.documents import Authors, Signed
from bench.ground import Ground
from bench.instruments import Appender, Positions

MEBIBYTE: Final = 1024 * 1024
_STOP_SECONDS: Final = 20.0
_READY_SECONDS: Final = 90.0
_LOOK_SECONDS: Final = 0.005


@dataclass(frozen=True, slots=True)
class Contender:
    """A program that forwards documents.

    Attributes:
        name: as in the figures.
        module: what is run.
        group: whose committed positions tell how far it is.
        arguments: of its command line, after the site's folder.
        members: how many processes of it share the partitions.
    """

    name: str
    module: str
    group: str
    arguments: tuple[str, ...] = ()
    members: int = 1

    def command(self, folder: Path) -> list[str]:
        """Return its command line."""
        return [sys.executable, "-m", self.module, str(folder), *self.arguments]


def _router(name: str, workers: int) -> Contender:
    return Contender(name, "bench.router", GROUP, ("--workers", str(workers)), members=workers)


ROUTER: Final = _router("router", worker_count(0))
"""`axis router` as it is started by default here: a worker per core."""
ONE_WORKER: Final = _router("one_worker", 1)
"""The same as a single process, which the floor is."""
FLOOR: Final = Contender("floor", "bench.floor", "bench-floor", ("--group", "bench-floor"))
LOOP: Final = Contender("loop", "bench.floor", "bench-loop", ("--group", "bench-loop", "--unverified", "one"))
LOOP_TO_ALL: Final = Contender(
    "loop", "bench.floor", "bench-loop", ("--group", "bench-loop", "--unverified", "all")
)


class MemoryWatch:
    """Notes the largest resident memory of processes together while the block runs, by looking every 5 ms."""

    def __init__(self, *processes: psutil.Process) -> None:
        self._processes = processes
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, name="memory", daemon=True)
        self.idle_bytes = 0
        self.peak_bytes = 0

    def __enter__(self) -> Self:
        self.idle_bytes = self.peak_bytes = self._resident()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    @property
    def extra_mb(self) -> float:
        """How far the peak was above idle, MiB."""
        return (self.peak_bytes - self.idle_bytes) / MEBIBYTE

    def _look(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            self.peak_bytes = max(self.peak_bytes, self._resident())

    def _resident(self) -> int:
        return sum(int(each.memory_info().rss) for each in self._processes)


class Running:
    """A contender that runs, ready: every partition is open, every topic known, one batch of each has gone through.

    Attributes:
        processes: its own and those that it started, to ask for their use of CPU and memory.
    """

    def __init__(self, contender: Contender, pid: int) -> None:
        self.contender = contender
        own = psutil.Process(pid)
        self.processes: Sequence[psutil.Process] = (own, *own.children(recursive=True))

    def suspend(self) -> None:
        """Stop it where it is, while work is laid out."""
        for each in self.processes:
            each.suspend()

    def resume(self, *, sampling: bool = False) -> None:
        """Let it go on; from here on its time is sampled, where that is asked for."""
        if sampling:
            self.processes[0].send_signal(signal.SIGUSR1)
        for each in self.processes:
            each.resume()

    def cpu_seconds(self) -> float:
        """Return the CPU time it has used so far."""
        return sum(cpu_seconds(each) for each in self.processes)


class Stable:
    """Starts contenders on a ground, one at a time.

    Args:
        ground: where.
        authors: write the documents that warm a contender up.
    """

    def __init__(self, ground: Ground, authors: Authors) -> None:
        self.ground = ground
        self.authors = authors
        self.appender = Appender(ground)
        self.positions = Positions(ground)

    @contextmanager
    def running(self, contender: Contender, *, samples: Path | None = None) -> Iterator[Running]:
        """Run a contender from the present end of the lanes on, and stop it at the end.

        Raises:
            Unavailable: it does not become ready, or did not stop in order.
        """
        self.positions.skip_to_end(contender.group)
        with self._child(contender, samples) as child:
            if contender.members > 1:
                self.positions.await_members(contender.group, contender.members, _READY_SECONDS)
            self._warm_up(contender)
            yield Running(contender, child.pid)
            _end_input(child)
            if child.wait(_STOP_SECONDS) != 0:
                raise Unavailable(f"{contender.name} ended with {child.returncode}; see {self.ground.output}")

    @contextmanager
    def _child(self, contender: Contender, samples: Path | None) -> Iterator["subprocess.Popen[bytes]"]:
        command = contender.command(self.ground.settings.folder)
        if samples is not None:
            command += ["--samples", str(samples)]
        with (self.ground.output / f"{contender.name}.log").open("wb") as log:
            child = _started(command, log)
            try:
                yield child
            finally:
                if child.poll() is None:
                    child.kill()
                    child.wait()

    def _warm_up(self, contender: Contender) -> None:
        documents = self.authors.write(4 * self.ground.lane_partitions)
        self.appender.load(documents)
        self.positions.await_drained(contender.group, documents, _READY_SECONDS)

    def laid_out(self, running: Running, documents: list[Signed], *, sampling: bool = False) -> float:
        """Append documents while a contender stands still, let it go, and return when (monotonic seconds)."""
        running.suspend()
        try:
            self.appender.load(documents)
        finally:
            began = time.monotonic()
            running.resume(sampling=sampling)
        return began


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time that a process has used so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _started(command: list[str], log: IO[bytes]) -> "subprocess.Popen[bytes]":
    # The child ends with its input, so also when this program is killed. A process group of its own keeps Ctrl-C from it;
    # in a session of its own Linux would share processors out between it and the broker whatever either asks for.
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, process_group=0
    )


def _end_input(child: "subprocess.Popen[bytes]") -> None:
    assert child.stdin is not None
    child.stdin.close()
