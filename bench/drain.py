"""How fast a backlog is drained: documents to one recipient each, and documents to 166."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import psutil

from bench.contenders import (
    FLOOR,
    LOOP,
    LOOP_TO_ALL,
    MEBIBYTE,
    ONE_WORKER,
    ROUTER,
    Contender,
    MemoryWatch,
    Stable,
    cpu_seconds,
)
from bench.documents import Signed

_DEADLINE_SECONDS: Final = 180.0


@dataclass(frozen=True, slots=True)
class Drained:
    """One drain.

    Attributes:
        deliveries_per_second: deliveries per second, from the release to the last commit.
        cpu_per_1000: CPU seconds of the contender per 1,000 deliveries.
        broker_cpu_per_1000: of the broker; 0 where it is no child of this program.
        peak_mb: largest resident memory of the contender, MiB.
    """

    deliveries_per_second: float
    cpu_per_1000: float
    broker_cpu_per_1000: float
    peak_mb: float


def drain(stable: Stable, contender: Contender, documents: list[Signed], *, profile: bool = False) -> Drained:
    """Lay documents out for a contender that is ready, release it, and measure until its last commit."""
    broker = psutil.Process(stable.ground.broker_pid) if stable.ground.broker_pid else None
    samples = stable.ground.output / "router-samples.json" if profile else None
    with stable.running(contender, samples=samples) as running, MemoryWatch(*running.processes) as memory:
        used = running.cpu_seconds()
        began = stable.laid_out(running, documents, sampling=profile)
        broker_used = cpu_seconds(broker) if broker else 0.0
        ended = stable.positions.await_drained(contender.group, documents, _DEADLINE_SECONDS)
        deliveries = sum(len(each.inboxes) for each in documents)
        return Drained(
            deliveries_per_second=deliveries / (ended - began),
            cpu_per_1000=(running.cpu_seconds() - used) / deliveries * 1000,
            broker_cpu_per_1000=((cpu_seconds(broker) if broker else 0.0) - broker_used) / deliveries * 1000,
            peak_mb=memory.peak_bytes / MEBIBYTE,
        )


def point_to_point(stable: Stable, *, count: int, rounds: int) -> dict[str, float]:
    """Documents to one recipient each: floor, router, and a router of one process as the floor is, in turn.

    Args:
        stable: runs the contenders.
        count: documents of one drain.
        rounds: how often each contender runs.
    """
    contenders = [FLOOR, ROUTER, ONE_WORKER]
    drained = _rounds(stable, contenders, count, rounds, broadcast=False)
    figures = _figures("point_to_point", drained, "docs_per_s", [each.name for each in contenders])
    return figures | {"point_to_point.ratio_one_worker": statistics.median(_ratios(drained, ONE_WORKER))}


def broadcast(stable: Stable, *, count: int, rounds: int) -> dict[str, float]:
    """Documents to 166 recipients each: floor and router in turn; the arguments are those of `point_to_point`."""
    contenders = [FLOOR, ROUTER]
    drained = _rounds(stable, contenders, count, rounds, broadcast=True)
    return _figures("broadcast", drained, "deliveries_per_s", [each.name for each in contenders])


def bare_loop(stable: Stable, *, count: int, broadcasts: int, rounds: int) -> dict[str, float]:
    """Both kinds of document through the loop that verifies nothing; the arguments are those of `point_to_point`."""
    figures: dict[str, float] = {}
    for section, contender, documents in (
        ("point_to_point", LOOP, stable.authors.write(count)),
        ("broadcast", LOOP_TO_ALL, stable.authors.write(broadcasts, broadcast=True)),
    ):
        runs = [drain(stable, contender, documents) for _ in range(rounds)]
        unit = "docs_per_s" if contender is LOOP else "deliveries_per_s"
        figures |= _medians(f"{section}.{contender.name}", runs, unit)
    return figures


def _rounds(
    stable: Stable, contenders: Sequence[Contender], count: int, rounds: int, *, broadcast: bool
) -> dict[str, list[Drained]]:
    # The broker's first seconds under load are slower than its later ones; nobody is to pay for that.
    for contender in contenders:
        drain(stable, contender, stable.authors.write(max(50, count // 4), broadcast=broadcast))
    drained: dict[str, list[Drained]] = defaultdict(list)
    for number in range(rounds):
        # Forth and back (A B B A), so that a machine that gets faster or slower favours nobody.
        for contender in contenders if number % 2 == 0 else reversed(contenders):
            one = drain(stable, contender, stable.authors.write(count, broadcast=broadcast))
            drained[contender.name].append(one)
            print(f"… {contender.name} {one.deliveries_per_second:,.0f} deliveries/s", flush=True)
    return drained


def _figures(
    section: str, drained: dict[str, list[Drained]], unit: str, names: Sequence[str]
) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name in names:
        figures |= _medians(f"{section}.{name}", drained[name], unit)
    ratios = _ratios(drained, ROUTER)
    figures[f"ratio.{section}"] = statistics.median(ratios)
    # Less at the mercy of what else runs on the machine than rates are.
    figures[f"{section}.ratio_cpu"] = (
        figures[f"{section}.router_cpu_s_per_1000"] / figures[f"{section}.floor_cpu_s_per_1000"]
    )
    figures[f"{section}.ratio_lowest"], figures[f"{section}.ratio_highest"] = min(ratios), max(ratios)
    return figures


def _ratios(drained: dict[str, list[Drained]], contender: Contender) -> list[float]:
    """Return how fast a contender was beside the floor, round by round."""
    pairs = zip(drained[contender.name], drained[FLOOR.name], strict=True)
    return [one.deliveries_per_second / floor.deliveries_per_second for one, floor in pairs]


def _medians(prefix: str, runs: Sequence[Drained], unit: str) -> dict[str, float]:
    def median(attribute: str) -> float:
        return float(statistics.median(getattr(each, attribute) for each in runs))

    return {
        f"{prefix}_{unit}": median("deliveries_per_second"),
        f"{prefix}_cpu_s_per_1000": median("cpu_per_1000"),
        f"{prefix}_broker_cpu_s_per_1000": median("broker_cpu_per_1000"),
        f"{prefix}_peak_mb": median("peak_mb"),
    }
