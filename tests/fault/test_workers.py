"""`axis router` as several processes: one address, one end, and the same promises."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import psutil
import pytest

from axis.settings import FILE_NAME, render
from tests.configuration import LANE_PARTITIONS
from tests.fault.installation import Installation
from tests.fault.judging import assert_both_hold, routed
from tests.fault.oracle import Oracle
from tests.fault.router_command import INSTANCE, router_command, scrape
from tests.fault.routers import WatchedRouter, bury_dead_members, eventually, owners, routing
from tests.fault.sending import Senders

pytestmark = pytest.mark.kafka

WORKERS: Final = ("0", "1")
COMMAND_SECONDS: Final = 60


def gone(pids: Sequence[int]) -> bool:
    """Tell whether none of these processes runs."""
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids)


async def test_workers_share_the_partitions_and_show_themselves_at_one_address(
    site: Installation, oracle: Oracle, tmp_path: Path
) -> None:
    """Each has a part of the tasks, a store of its own and a label; what is told to stop ends in order with all of them."""
    async with router_command(site.settings, tmp_path / "log", workers=len(WORKERS)) as command:
        pids = command.workers()
        assert len(pids) == len(WORKERS)
        async with Senders.open(site.settings) as senders:
            await senders.publish_batch()
        await routed(oracle)

        async def shared() -> bool:
            samples = await asyncio.to_thread(scrape, command.port)
            tasks = [samples.get(("axis_router_tasks", frozenset({("worker", each)}))) for each in WORKERS]
            ready = [samples.get(("axis_ready", frozenset({("worker", each)}))) for each in WORKERS]
            return ready == [1, 1] and tasks == [LANE_PARTITIONS / len(WORKERS)] * len(WORKERS)

        await eventually(shared, "every worker has its part of the tasks")
        owned = await asyncio.to_thread(owners, site.settings)
        # In the order of their names: after a restart each finds in its store what it needs.
        assert [min(owned[name]) for name in sorted(owned)] == [0, LANE_PARTITIONS // 2]
        committed = {
            dict(labels)["worker"]
            for (name, labels), number in (await asyncio.to_thread(scrape, command.port)).items()
            if name == "axis_transactions_total" and ("result", "committed") in labels and number
        }
        assert committed == set(WORKERS)
        instances = {each["instance"] for each in command.events() if each["event"] == "task_opened"}
        assert instances == {f"{INSTANCE}-{each}" for each in WORKERS}
        for instance in instances:
            assert (site.settings.folder / f"router-{instance}" / "decisions.db").is_file()
    assert gone(pids)
    await assert_both_hold(oracle)


async def test_a_worker_that_dies_ends_the_others_in_order(
    site: Installation, oracle: Oracle, tmp_path: Path
) -> None:
    """Whoever supervises the command sees status 7 and which worker it was; the next start finishes its batches."""
    async with Senders.open(site.settings) as senders, senders.publishing():
        async with router_command(site.settings, tmp_path / "log", workers=2, status=7) as command:
            victim, other = command.workers()
            os.kill(victim, signal.SIGKILL)
            assert await command.ended() == 7
            assert gone([other])
        told = (tmp_path / "log").read_text("utf-8")
        assert f"worker router-{INSTANCE}-0 ended by itself with status -9" in told
        assert "worker.failed" not in told
        await bury_dead_members(site.settings)
    async with routing(WatchedRouter(site.settings)):
        await routed(oracle)
    await assert_both_hold(oracle)


async def test_workers_outlive_a_killed_command_only_to_finish(
    site: Installation, oracle: Oracle, tmp_path: Path
) -> None:
    """When the command gets SIGKILL, its workers commit what is in hand and end by themselves."""
    async with (
        Senders.open(site.settings) as senders,
        senders.publishing(),
        router_command(site.settings, tmp_path / "log", workers=2, status=-signal.SIGKILL) as command,
    ):
        pids = command.workers()
        command.child.kill()
        assert await command.ended() == -signal.SIGKILL
        await eventually(lambda: gone(pids), "its workers have ended")
    async with routing(WatchedRouter(site.settings)):
        await routed(oracle)
    await assert_both_hold(oracle)


async def test_an_interrupt_at_the_terminal_is_heard_once(site: Installation, tmp_path: Path) -> None:
    """Ctrl-C reaches the workers too, and only the command acts on it: all end in order, with 0."""
    async with router_command(site.settings, tmp_path / "log", workers=2) as command:
        pids = command.workers()
        command.send(signal.SIGINT)
        assert await command.ended() == 0
    assert gone(pids)
    # Every line is an event: none of a traceback.
    assert "worker.failed" not in {each["event"] for each in command.events()}


async def test_a_second_interrupt_waits_for_nobody(site: Installation, tmp_path: Path) -> None:
    """Workers that cannot finish do not hold the command up when it is interrupted again."""
    async with router_command(site.settings, tmp_path / "log", workers=2, status=130) as command:
        pids = command.workers()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        command.child.send_signal(signal.SIGINT)
        await eventually(
            lambda: any(each["event"] == "role.stopping" for each in command.events()), "it is heard"
        )
        command.child.send_signal(signal.SIGINT)
        assert await command.ended() == 130
        assert gone(pids)
    await bury_dead_members(site.settings)


async def test_a_worker_that_is_killed_while_it_finishes_is_told(site: Installation, tmp_path: Path) -> None:
    """What was asked to stop and did not end in order is no success."""
    async with router_command(site.settings, tmp_path / "log", workers=2, status=7) as command:
        pid = command.workers()[0]
        os.kill(pid, signal.SIGSTOP)
        command.child.terminate()
        await eventually(
            lambda: any(each["event"] == "role.stopping" for each in command.events()), "it is heard"
        )
        os.kill(pid, signal.SIGKILL)
        assert await command.ended() == 7
    assert f"worker router-{INSTANCE}-0 ended by itself with status -9" in (tmp_path / "log").read_text(
        "utf-8"
    )
    await bury_dead_members(site.settings)


async def test_a_fault_that_every_worker_meets_is_told_once(site: Installation, tmp_path: Path) -> None:
    """A signing key that is missing ends the command with 2 and one message; no worker stays behind."""
    signatures = replace(site.settings.signatures, keys=tmp_path)
    broken = replace(site.settings, signatures=signatures, router=replace(site.settings.router, workers=2))
    (tmp_path / FILE_NAME).write_text(render(broken), "utf-8")
    ran = await asyncio.to_thread(
        subprocess.run,
        (sys.executable, "-m", "axis.cli.main", "router", "--data", str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    faults = [line for line in ran.stderr.splitlines() if line.startswith("  - ")]
    assert len(faults) == 1
    assert str(tmp_path / f"{site.settings.node}.pem") in faults[0]
