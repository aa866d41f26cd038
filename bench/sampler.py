"""Where the time of each thread of a program goes, by looking every few milliseconds.

A sampling thread costs the program little, where a tracing profiler (cProfile) doubles the cost of small Python
functions and so shows another program than the one that is measured. Waiting is shown as well: the share of `select`
in the event loop's thread is its idle time.
"""

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

_INTERVAL_SECONDS: Final = 0.002
# A thread that computes in Python lets go of the interpreter lock after this time. With the usual 5 ms the sampler would
# mostly wake when a thread lets go by itself, and would show locks and OpenSSL instead of where the time goes.
_SWITCH_SECONDS: Final = 0.0001
_SHOWN: Final = 25


@dataclass(slots=True)
class _Thread:
    own: Counter[CodeType] = field(default_factory=Counter)
    below: Counter[CodeType] = field(default_factory=Counter)
    samples: int = 0
    cpu_began: float = 0.0
    cpu_seconds: float = 0.0

    def add(self, frame: FrameType) -> None:
        self.samples += 1
        self.own[frame.f_code] += 1
        stack: set[CodeType] = set()
        at: FrameType | None = frame
        while at is not None:
            stack.add(at.f_code)
            at = at.f_back
        self.below.update(stack)


@dataclass(frozen=True, slots=True)
class _Listed:
    """What is written of a thread; a function is (own share, share with what it calls, name), shares in percent."""

    cpu_seconds: float
    functions: list[tuple[float, float, str]]


@contextmanager
def sampled(path: Path) -> Iterator[Callable[[], None]]:
    """Sample the threads of this program, and write what was seen to a JSON file when the block ends.

    Yields:
        What begins the sampling.
    """
    threads: dict[str, _Thread] = {}
    stopping = threading.Event()
    sampler = threading.Thread(target=_sample, args=(threads, stopping), name="sampler", daemon=True)
    try:
        yield sampler.start
    finally:
        stopping.set()
        if sampler.is_alive():
            sampler.join()
        path.write_text(json.dumps({name: asdict(_listed(each)) for name, each in threads.items()}), "utf-8")


def table(path: Path) -> str:
    """Return the sampled functions of each thread, most own time first, as text."""
    lines = []
    for name, thread in json.loads(path.read_text("utf-8")).items():
        rows = thread["functions"]
        lines += [
            f"\nthread {name}: {thread['cpu_seconds']:.2f} s of CPU",
            f"{'own %':>7} {'total %':>8}  function",
        ]
        lines += [f"{own:7.1f} {total:8.1f}  {function}" for own, total, function in rows]
    return "\n".join(lines)


def _sample(threads: dict[str, _Thread], stopping: threading.Event) -> None:
    sys.setswitchinterval(_SWITCH_SECONDS)
    this = threading.get_ident()
    while not stopping.wait(_INTERVAL_SECONDS):
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():  # noqa: SLF001 - the only way to see other threads
            if ident == this or ident not in names:
                continue
            used = time.clock_gettime(time.pthread_getcpuclockid(ident))
            thread = threads.setdefault(names[ident], _Thread(cpu_began=used))
            thread.cpu_seconds = used - thread.cpu_began
            thread.add(frame)


def _listed(thread: _Thread) -> _Listed:
    share = 100 / max(1, thread.samples)
    return _Listed(
        cpu_seconds=thread.cpu_seconds,
        functions=[
            (count * share, thread.below[code] * share, _named(code))
            for code, count in thread.own.most_common(_SHOWN)
        ],
    )


def _named(code: CodeType) -> str:
    return f"{'/'.join(Path(code.co_filename).parts[-3:])}:{code.co_firstlineno} {code.co_qualname}"
