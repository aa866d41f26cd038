"""What a real router tells those who watch it: its metrics, scraped over HTTP, and its log, read line by line."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from axis.apps.router import NewTransaction, Router
from axis.clock import SystemClock
from axis.core.envelope import Lane
from axis.core.partitioning import partition_of
from axis.core.topics import SUBMISSIONS_STANDARD
from axis.crypto.keys import load_certificates
from axis.errors import Unavailable
from axis.ports import Transaction
from tests.configuration import LANE_PARTITIONS
from tests.fault.installation import Installation
from tests.fault.judging import assert_holds, routed
from tests.fault.oracle import Oracle
from tests.fault.router_command import INSTANCE, router_command, value
from tests.fault.routers import READY_SECONDS
from tests.fault.sending import BIM_SON, DIEN_LU, OFFICE, Senders, append_all
from tests.waiting import eventually

pytestmark = pytest.mark.kafka


async def lag(port: int, unit: str, topic: str = "submissions-standard") -> float | None:
    """Return the lag of a lane in records or seconds."""
    return await value(port, f"axis_consumer_lag_{unit}", group="router", topic=topic)


@dataclass(slots=True)
class Held:
    """Stands for a transaction that waits at one step, or fails there once, until it is let go on."""

    inner: Transaction
    step: str
    gate: asyncio.Event
    failures: list[Unavailable]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        call = getattr(self.inner, name)
        return partial(self._held, call) if name == self.step else call

    async def _held(self, call: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
        if self.failures:
            raise self.failures.pop()
        await self.gate.wait()
        return await call(*arguments)


class HeldRouter(Router):
    """A router whose transactions of the first incarnation, or of the later ones, wait at a step."""

    def hold(self, gate: asyncio.Event, *steps: str, failures: list[Unavailable]) -> None:
        """Let the first transaction object of each task wait at the first step, the next one at the next."""
        self._gate, self._steps, self._failures = gate, steps, failures

    def _kafka_transactions(self, *arguments: Any) -> NewTransaction:  # noqa: ANN401 - handed on
        make = super()._kafka_transactions(*arguments)
        steps: dict[tuple[int, Lane], list[str]] = {}

        def held(number: int, lane: Lane) -> Transaction:
            left = steps.setdefault((number, lane), list(self._steps))
            step = left.pop(0) if len(left) > 1 else left[0]
            return Held(make(number, lane), step, self._gate, self._failures if step == "commit" else [])

        return held


@asynccontextmanager
async def serving(router: Router) -> AsyncIterator[int]:
    """Run a router in this process; give its telemetry port when it is ready."""
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(router.run(ready.set_result))
    try:
        yield await asyncio.wait_for(ready, READY_SECONDS)
    finally:
        router.stop()
        await asyncio.wait_for(running, READY_SECONDS)


async def test_what_is_in_hand_counts_until_it_is_committed(site: Installation, oracle: Oracle) -> None:
    """While a commit hangs, the lag shows its records, those behind them and their age; once it ends, there is none."""
    gate = asyncio.Event()
    router = HeldRouter(site.settings, "lag")
    router.hold(gate, "commit", failures=[])
    async with Senders.open(site.settings, (OFFICE,)) as senders:
        documents = [await senders.prepare(OFFICE, (DIEN_LU,)) for _ in range(3)]
        express = await senders.prepare(OFFICE, (DIEN_LU,), Lane.EXPRESS)
        async with serving(router) as port:
            try:
                began = SystemClock().now()
                await append_all(documents)

                async def shown() -> bool:
                    return await lag(port, "records") == 3

                await eventually(shown, "the lag shows three records")
                await express.append()

                async def shown_behind() -> bool:
                    return await lag(port, "records", "submissions-express") == 1

                await eventually(shown_behind, "the lag shows what waits to be taken")
                first = await lag(port, "seconds") or 0

                async def aged() -> bool:
                    return (await lag(port, "seconds") or 0) > first

                await eventually(aged, "the oldest record gets older")
                assert (await lag(port, "seconds") or 0) <= (SystemClock().now() - began).total_seconds()
            finally:
                gate.set()
            await routed(oracle)
            await _none_waits(port)
    await assert_holds(oracle)


async def test_what_a_failed_task_held_counts_until_it_is_taken_again(
    site: Installation, oracle: Oracle
) -> None:
    """A failed batch is not committed: it counts while the task cannot open again, and afterwards no more."""
    gate = asyncio.Event()
    router = HeldRouter(site.settings, "lag")
    failures: list[Unavailable] = []
    router.hold(gate, "commit", "open", failures=failures)
    async with Senders.open(site.settings, (OFFICE,)) as senders:
        documents = [await senders.prepare(OFFICE, (DIEN_LU,)) for _ in range(3)]
        async with serving(router) as port:
            try:
                failures += [Unavailable("the test cuts the commit off")] * len(documents)
                await append_all(documents)

                async def failed() -> bool:
                    return await value(port, "axis_transactions_total", result="aborted") == 1

                await eventually(failed, "the commit fails")
                measured = await lag(port, "seconds") or 0

                async def still_shown() -> bool:
                    records, seconds = await lag(port, "records"), await lag(port, "seconds") or 0
                    return bool(records and 1 <= records <= 3 and seconds > measured)

                await eventually(still_shown, "what the failed task held is shown, and gets older")
                assert await value(port, "axis_ready") == 0
            finally:
                gate.set()
            await routed(oracle)
            await _none_waits(port)
    await assert_holds(oracle)


async def test_a_router_that_has_lost_its_broker_says_so_though_nothing_waits(
    site: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nobody can submit anything either, it is not ready and shows no lag; afterwards both are as before."""
    monkeypatch.setattr("axis.apps.router.silence_limit", lambda _: 2.0)
    monkeypatch.setattr("axis.apps.gauges._MEASURE_SECONDS", 0.5)

    async def shown(ready: float, records: float | None) -> bool:
        return (await value(port, "axis_ready"), await lag(port, "records")) == (ready, records)

    async with serving(Router(site.settings, "idle")) as port:
        await eventually(lambda: shown(1, 0), "an idle router is ready, without a lag")
        await asyncio.to_thread(site.broker.kill, 1)
        try:
            await eventually(lambda: shown(0, None), "it is not, and the lag is unknown")
        finally:
            await asyncio.to_thread(site.broker.restart, 1)
        await eventually(lambda: shown(1, 0), "it is again")


async def _none_waits(port: int) -> None:
    async def none() -> bool:
        lags = [
            await lag(port, unit, f"submissions-{lane}")
            for unit in ("records", "seconds")
            for lane in ("express", "standard")
        ]
        return lags == [0, 0, 0, 0]

    await eventually(none, "no lag is shown")


async def test_a_router_names_each_submission_and_counts_its_own_events(
    site: Installation, oracle: Oracle, tmp_path: Path
) -> None:
    """Every submission has one event with its ids; warnings are counted; certificates and restored decisions are shown."""
    settings, partition = site.settings, partition_of(OFFICE, LANE_PARTITIONS)
    async with Senders.open(settings, (OFFICE,)) as senders:
        good = await senders.prepare(OFFICE, (BIM_SON, DIEN_LU))
        async with router_command(settings, tmp_path / "first.log") as process:
            await append_all([good])
            await append_all([good])
            await senders.append_garbage()
            await routed(oracle)

            async def told() -> bool:
                return (
                    len([each for each in process.events() if each["event"].startswith("submission_")]) == 3
                )

            await eventually(told, "the log names three submissions")
            events = process.events()

            async def counted() -> bool:
                shown = await value(process.port, "axis_log_events_total", level="warning")
                warnings = len([each for each in process.events() if each["level"] == "warning"])
                return shown == warnings >= 1

            await eventually(counted, "as many warnings are counted as the log has")
            of_transport = {"subject": settings.node, "usage": "transport"}
            shown = await value(process.port, "axis_certificate_not_after_timestamp_seconds", **of_transport)
            own = load_certificates(settings.broker.credential(settings.node).read_bytes())[0]
            assert shown == own.not_valid_after_utc.timestamp()
        first, second, garbage = (each for each in events if each["event"].startswith("submission_"))
        place = {"topic": SUBMISSIONS_STANDARD, "partition": partition, "task": partition}
        ids = {"message_id": good.submission.message_id, "sender": OFFICE}
        assert first.items() >= {**place, **ids, "result": "accepted", "recipients": 2}.items()
        assert second.items() >= {**place, **ids, "result": "duplicate", "recipients": 0}.items()
        assert garbage.items() >= {**place, "result": "quarantined", "reason": "schema-unknown"}.items()
        assert [each["level"] for each in (first, second, garbage)] == ["debug", "debug", "warning"]
        assert first["offset"] < second["offset"] < garbage["offset"]
        (settings.folder / f"router-{INSTANCE}" / "decisions.db").unlink()
        async with router_command(settings, tmp_path / "second.log") as process:
            restored = sum(each.get("restored_decisions", 0) for each in process.events())
            replayed = await value(process.port, "axis_replayed_records_total", purpose="recovery")
            assert replayed == restored >= 1
    await assert_holds(oracle)
