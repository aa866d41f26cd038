"""How long a document takes from its submission until it can be read in an inbox."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from axis.core.envelope import Urgency
from axis.errors import Unavailable
from bench.contenders import FLOOR, ROUTER, Contender, MemoryWatch, Running, Stable
from bench.documents import Signed
from bench.instruments import Arrivals

DOCUMENTS_PER_SECOND: Final = 50.0
_ARRIVE_SECONDS: Final = 60.0
_DRAIN_SECONDS: Final = 240.0
_LEAST_DOCUMENTS: Final = 10
"""Beside a backlog, for percentiles to mean anything at all."""


def latency(stable: Stable, *, seconds: float, rounds: int) -> dict[str, float]:
    """Submit -> readable at 50 standard documents a second, floor and router in turn.

    Args:
        stable: runs the contenders.
        seconds: how long one run lasts.
        rounds: how often each contender runs.
    """
    measured: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for number in range(rounds):
        pair: Sequence[Contender] = (FLOOR, ROUTER) if number % 2 == 0 else (ROUTER, FLOOR)
        for contender in pair:
            documents = stable.authors.write(int(seconds * DOCUMENTS_PER_SECOND))
            with stable.running(contender):
                p50, p95, p99 = percentiles(_paced(stable, documents).values())
            measured[contender.name].append((p50, p95, p99))
            print(f"… {contender.name} p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms", flush=True)
    figures: dict[str, float] = {}
    for name, runs in measured.items():
        for position, percentile in enumerate(("p50", "p95", "p99")):
            figures[f"latency.{name}_{percentile}_ms"] = statistics.median(run[position] for run in runs)
    pairs = zip(measured[ROUTER.name], measured[FLOOR.name], strict=True)
    figures["ratio.latency_p99"] = statistics.median(router[2] / floor[2] for router, floor in pairs)
    return figures


def express(stable: Stable, *, seconds: float, backlog: int, rounds: int) -> dict[str, float]:
    """Submit -> readable of express documents: the router idle, then with a backlog of standard documents waiting.

    In turn, and the documents of all rounds counted together: few pass beside one backlog. Only express documents that
    were submitted while some of the backlog was still waiting are counted. Another router then drains a backlog twice
    as large: what it holds in memory must not be more.

    Args:
        stable: runs the router.
        seconds: how long express documents are submitted at most, each time.
        backlog: standard documents that wait.
        rounds: how often.
    """
    count = int(seconds * DOCUMENTS_PER_SECOND)
    alone: list[float] = []
    beside: list[float] = []
    waited: list[float] = []
    rises_mb: list[float] = []
    with stable.running(ROUTER) as running:
        for _ in range(rounds):
            alone += _paced(stable, stable.authors.write(count, urgency=Urgency.FLASH)).values()
            passed, drained_in, rise_mb = _beside_backlog(stable, running, count, backlog)
            beside += passed.values()
            waited.append(drained_in)
            rises_mb.append(rise_mb)
            print(f"… {len(passed)} express documents beside a backlog", flush=True)
    if len(beside) < _LEAST_DOCUMENTS:
        raise Unavailable(f"the backlogs were gone when {len(beside)} express documents had been submitted")
    idle, busy = percentiles(alone), percentiles(beside)
    with stable.running(ROUTER) as running, MemoryWatch(*running.processes) as memory:
        waiting = stable.authors.write(2 * backlog)
        stable.laid_out(running, waiting)
        stable.positions.await_drained(ROUTER.group, waiting, deadline_seconds=_DRAIN_SECONDS)
    return {
        "express.idle_p50_ms": idle[0],
        "express.idle_p99_ms": idle[2],
        "express.backlog_p50_ms": busy[0],
        "express.backlog_p99_ms": busy[2],
        "express.documents_under_backlog": len(beside),
        "express.backlog_documents": backlog,
        "ratio.express_p99_under_backlog": busy[2] / idle[2],
        "backlog.router_docs_per_s": backlog / statistics.median(waited),
        # Later backlogs find the memory that the first one took.
        "memory.router_backlog_extra_mb": rises_mb[0],
        "memory.router_twice_the_backlog_extra_mb": memory.extra_mb,
        "memory.ratio_twice_the_backlog": memory.extra_mb / rises_mb[0],
    }


def percentiles(milliseconds: Iterable[float]) -> tuple[float, float, float]:
    """Return the 50th, 95th and 99th percentile."""
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


def _beside_backlog(
    stable: Stable, running: Running, count: int, backlog: int
) -> tuple[dict[str, float], float, float]:
    """Return express latencies (ms), seconds that the backlog took, and how far memory rose (MiB)."""
    waiting = stable.authors.write(backlog)
    documents = stable.authors.write(count, urgency=Urgency.FLASH)
    with MemoryWatch(*running.processes) as memory, ThreadPoolExecutor(1) as watcher:
        began = stable.laid_out(running, waiting)
        drained = watcher.submit(
            stable.positions.await_drained, ROUTER.group, waiting, deadline_seconds=_DRAIN_SECONDS
        )
        taken = _paced(stable, documents, enough=drained.done)
        ended = drained.result()
    return taken, ended - began, memory.extra_mb


def _paced(
    stable: Stable, documents: Sequence[Signed], enough: Callable[[], bool] = lambda: False
) -> dict[str, float]:
    """Submit documents evenly, until there is enough, and return for each how long it took, ms.

    An even pace that does not wait for answers: a stall makes all documents late that are due meanwhile.
    """
    submitted: dict[str, float] = {}
    sent: list[Signed] = []
    with Arrivals(stable.ground, {inbox for each in documents for inbox in each.inboxes}) as arrivals:
        began = time.monotonic()
        for number, document in enumerate(documents):
            due = began + number / DOCUMENTS_PER_SECOND
            time.sleep(max(0.0, due - time.monotonic()))
            if enough():
                break
            submitted[document.message_id] = due
            stable.appender.append(document)
            sent.append(document)
        arrivals.await_all(sent, _ARRIVE_SECONDS)
        return {
            each.message_id: (arrivals.at[inbox, each.message_id.encode()] - submitted[each.message_id])
            * 1000
            for each in sent
            for inbox in each.inboxes
        }
