"""`axis router` as several processes: one address, one end, and the same promises."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from errno import EAGAIN
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from axis.apps import worker
from axis.apps.workers import RouterWorkers
from axis.errors import Unavailable
from axis.settings import FILE_NAME, RouterSettings, Settings, SignatureSettings, render
from tests.configuration import LANE_PARTITIONS
from tests.fault.installation import Installation, impatient
from tests.fault.judging import assert_both_hold, routed
from tests.fault.oracle import Oracle
from tests.fault.router_command import INSTANCE, router_command, scrape
from tests.fault.routers import READY_SECONDS, WatchedRouter, bury_dead_members, owners, routing
from tests.fault.sending import Senders
from tests.waiting import eventually

pytestmark = pytest.mark.kafka

WORKERS: Final = ("0", "1")
COMMAND_SECONDS: Final = 60


def gone(pids: Sequence[int]) -> bool:
    """Tell whether none of these processes runs."""
    return not any(map(runs, pids))


def runs(pid: int) -> bool:
    """Tell whether a process runs; one that ended and was not asked how does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def changed(settings: Settings, folder: Path, **sections: Any) -> Settings:  # noqa: ANN401 - of any kind
    """Return settings with other sections, in a folder of their own where the command finds them."""
    written = replace(settings, folder=folder, **sections)
    (folder / FILE_NAME).write_text(render(written), "utf-8")
    return written


async def members(settings: Settings) -> set[str]:
    """Return which routers are members of the group: one that is killed stays until its session ends."""
    return {name.removeprefix("axis-router-") for name in await asyncio.to_thread(owners, settings)}


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
    assert command.statuses() == [0, 0]
    assert await members(site.settings) == set()
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
            assert command.statuses() == [-signal.SIGKILL, 0]
            assert f"{INSTANCE}-1-{site.settings.node}" not in await members(site.settings)
            assert f"worker router-{INSTANCE}-0 ended by itself with status -9 (a signal" in command.text()
            assert not command.has_logged("worker.failed")
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
        assert await members(site.settings) == set()
    async with routing(WatchedRouter(site.settings)):
        await routed(oracle)
    await assert_both_hold(oracle)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_to_all_of_them_is_heard_once(
    site: Installation, tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C at a terminal, or a supervisor that tells every process: all end in order, with 0."""
    async with router_command(site.settings, tmp_path / "log", workers=2) as command:
        pids = command.workers()
        command.send(number)
        assert await command.ended() == 0
    assert gone(pids)
    assert command.statuses() == [0, 0]
    assert await members(site.settings) == set()
    assert "Traceback" not in command.text()


async def test_a_signal_while_the_workers_start_waits_for_them(site: Installation, tmp_path: Path) -> None:
    """A worker that cannot hear yet is not ended by what it will hear."""
    async with router_command(site.settings, tmp_path / "log", workers=2, ready=False) as command:
        await eventually(lambda: len(command.workers()) == 2, "both workers are started")
        command.send(signal.SIGTERM)
        assert await command.ended() == 0
    assert command.statuses() == [0, 0]
    assert "Traceback" not in command.text()


async def test_a_second_signal_waits_for_nobody(site: Installation, tmp_path: Path) -> None:
    """Workers that cannot finish do not hold the command up when it is told again, and do not stay behind."""
    # By themselves they would be given four minutes.
    broker = replace(site.settings.broker, request_timeout_seconds=60.0)
    settings = changed(site.settings, tmp_path, broker=broker)
    async with router_command(settings, tmp_path / "log", workers=2, status=130) as command:
        pids = command.workers()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        command.child.terminate()
        await eventually(lambda: command.has_logged("role.stopping"), "it is heard")
        command.child.terminate()
        assert await command.ended() == 130
        assert gone(pids)
    await bury_dead_members(site.settings)


async def test_a_worker_that_is_killed_while_it_finishes_is_told(site: Installation, tmp_path: Path) -> None:
    """What was asked to stop and did not end in order is no success."""
    async with router_command(site.settings, tmp_path / "log", workers=2, status=7) as command:
        pid = command.workers()[0]
        os.kill(pid, signal.SIGSTOP)
        command.child.terminate()
        await eventually(lambda: command.has_logged("role.stopping"), "it is heard")
        os.kill(pid, signal.SIGKILL)
        assert await command.ended() == 7
    assert f"worker router-{INSTANCE}-0 ended by itself with status -9" in command.text()
    await bury_dead_members(site.settings)


async def test_a_worker_that_stands_still_is_not_waited_for_for_ever(
    site: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When one dies and another cannot end, the router ends after a while, with both of them."""
    monkeypatch.setattr(worker, "_LEAST_GRACE_SECONDS", 1.0)
    router = RouterWorkers(impatient(site.settings), "still", 2)
    running = await serving(router)
    dying, still = children()
    os.kill(still, signal.SIGSTOP)
    os.kill(dying, signal.SIGKILL)
    with pytest.raises(Unavailable, match="worker router-still-0 ended by itself with status -9"):
        await asyncio.wait_for(running, READY_SECONDS)
    assert gone([dying, still])
    await bury_dead_members(site.settings)


async def test_a_worker_that_does_not_end_is_not_said_to_have_died(
    site: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who had to be killed after a stop is told so: an administrator looks for what held it, not for memory."""
    monkeypatch.setattr(worker, "_LEAST_GRACE_SECONDS", 1.0)
    router = RouterWorkers(impatient(site.settings), "slow", 2)
    running = await serving(router)
    still, _ = children()
    os.kill(still, signal.SIGSTOP)
    router.stop()
    with pytest.raises(
        Unavailable, match=r"worker router-slow-0 did not end within \d+ s after it was asked"
    ):
        await asyncio.wait_for(running, READY_SECONDS)
    assert gone([still])
    await bury_dead_members(site.settings)


async def test_a_worker_that_cannot_be_started_takes_the_others_along(
    site: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without room for another process is told, and nothing routes unseen."""
    start, started = worker._start, list[object]()

    def start_one(process: object) -> None:
        if started:
            raise BlockingIOError(EAGAIN, "Resource temporarily unavailable")
        started.append(process)
        start(process)  # type: ignore[arg-type] # it is handed on

    monkeypatch.setattr(worker, "_start", start_one)
    router = RouterWorkers(site.settings, "alone", 2)
    with pytest.raises(Unavailable, match="worker router-alone-1 cannot be started: Resource temporarily"):
        await asyncio.wait_for(router.run(), READY_SECONDS)
    assert children() == []


async def serving(router: RouterWorkers) -> "asyncio.Task[None]":
    """Run a router in this process; return its task when every worker is ready."""
    ready = asyncio.Event()
    running = asyncio.create_task(router.run(lambda _port: ready.set()))
    await asyncio.wait_for(ready.wait(), READY_SECONDS)
    return running


def children() -> list[int]:
    """Return the workers of this process, in the order in which they were started."""
    own = psutil.Process().children()
    found = [each for each in own if any("spawn_main" in word for word in each.cmdline())]
    return [each.pid for each in sorted(found, key=psutil.Process.create_time)]


def keyless(site: Installation, folder: Path) -> SignatureSettings:
    """Return where keys are, and are not."""
    return replace(site.settings.signatures, keys=folder)


def run_router(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run `axis router` to its end."""
    return subprocess.run(
        (sys.executable, "-m", "axis.cli.main", "router", "--data", str(folder)),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


async def test_a_router_whose_reader_has_gone_goes_on(site: Installation, tmp_path: Path) -> None:
    """That nobody reads that it is ready does not end it; it ends when it is told to."""
    async with router_command(site.settings, tmp_path / "log", workers=2, ready=False) as command:
        command.close_output()
        await eventually(lambda: command.has_logged("telemetry.started"), "it serves its telemetry")
        command.port = next(each["port"] for each in command.events() if each["event"] == "telemetry.started")

        async def ready() -> bool:
            samples = await asyncio.to_thread(scrape, command.port)
            return all(samples.get(("axis_ready", frozenset({("worker", each)}))) for each in WORKERS)

        await eventually(ready, "every worker is ready")
        command.child.terminate()
        assert await command.ended() == 0
    assert command.has_logged("role.stopping")


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_fault_that_every_worker_meets_is_told_once(
    site: Installation, tmp_path: Path, workers: int
) -> None:
    """A signing key that is missing ends the command with 2 and one message, whatever the number of workers."""
    router = RouterSettings(workers=workers, telemetry_port=0)
    settings = changed(site.settings, tmp_path, signatures=keyless(site, tmp_path), router=router)
    ran = await asyncio.to_thread(run_router, tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    faults = [line for line in ran.stderr.splitlines() if line.startswith("  - ")]
    assert len(faults) == 1
    assert str(tmp_path / f"{settings.node}.pem") in faults[0]


async def test_a_worker_imports_nothing_from_the_working_folder(site: Installation, tmp_path: Path) -> None:
    """Who can write where the command is run does not run there what he likes, with the axis's keys."""
    for module in ("signal", "struct", "pickle"):
        (tmp_path / f"{module}.py").write_text("open('ran', 'w').close()\nraise SystemExit(99)\n", "utf-8")
    changed(
        site.settings,
        tmp_path,
        router=RouterSettings(workers=2, telemetry_port=0),
        signatures=keyless(site, tmp_path),
    )
    program = Path(sys.executable).with_name("axis")
    ran = await asyncio.to_thread(
        subprocess.run,
        (program, "router", "--data", str(tmp_path)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )
    assert ran.returncode == 2, ran.stderr
    assert not (tmp_path / "ran").exists()


async def test_the_working_folder_may_be_gone(site: Installation, tmp_path: Path) -> None:
    """The command does not need the folder in which it was run: it comes as far as the key that is missing."""
    changed(
        site.settings,
        tmp_path,
        router=RouterSettings(workers=2, telemetry_port=0),
        signatures=keyless(site, tmp_path),
    )
    (tmp_path / "gone").mkdir()
    program = Path(sys.executable).with_name("axis")
    ran = await asyncio.to_thread(
        subprocess.run,
        ("sh", "-c", f"rmdir '{tmp_path}/gone' && exec '{program}' router --data '{tmp_path}'"),
        cwd=tmp_path / "gone",
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )
    assert (ran.returncode, "Traceback" in ran.stderr) == (2, False), ran.stderr
    assert str(tmp_path / f"{site.settings.node}.pem") in ran.stderr


@pytest.mark.parametrize(("workers", "closed"), [(1, "2>&-"), (2, "2>&-"), (2, "<&- >&- 2>&-")])
async def test_a_closed_standard_error_ends_nothing(
    site: Installation, tmp_path: Path, workers: int, closed: str
) -> None:
    """Who wants to hear nothing gets the status all the same: that of the key that is missing."""
    changed(
        site.settings,
        tmp_path,
        router=RouterSettings(workers=workers, telemetry_port=0),
        signatures=keyless(site, tmp_path),
    )
    program = Path(sys.executable).with_name("axis")
    command = ("sh", "-c", f"exec '{program}' router --data '{tmp_path}' {closed}")
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=COMMAND_SECONDS)
    assert (ran.returncode, ran.stdout) == (2, b"")


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_fault_of_the_disk_is_told_as_it_is(site: Installation, tmp_path: Path, workers: int) -> None:
    """A file where a store's folder should be ends the command with 2 and its name, whatever the number of workers."""
    changed(site.settings, tmp_path, router=RouterSettings(workers=workers, telemetry_port=0))
    for name in ("router-0", "router-0-0", "router-0-1"):
        (tmp_path / name).touch()
    ran = await asyncio.to_thread(run_router, tmp_path)
    assert ran.returncode == 2
    assert str(tmp_path / "router-0") in ran.stderr
