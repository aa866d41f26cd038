"""The leash: no JVM of the broker outlives its owner, and one whose owner was killed ends in order."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from axis.testing.broker import leash as leash_module
from tests.waiting import until

WAIT_SECONDS = 30.0
OWNER = """
import subprocess, sys, time
leash = subprocess.Popen([sys.executable, "-I", *sys.argv[1:]], stdin=subprocess.PIPE, process_group=0)
time.sleep(600)
"""
OBEDIENT = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path(sys.argv[1]).write_text("in order"), sys.exit()))
while True:
    signal.pause()
"""
DEAF = "trap '' TERM; echo $$ >&2; while :; do sleep 1; done"


@pytest.mark.parametrize("cut", ["owner", "leash"])
def test_the_leash_ends_a_child_that_ignores_sigterm(cut: str) -> None:
    """A child that does not end when asked is killed, whether the owner or the leash itself is gone."""
    with subprocess.Popen(
        [sys.executable, "-I", leash_module.__file__, "0.2", "sh", "-c", DEAF],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as leash:
        assert leash.stdin is not None
        assert leash.stdout is not None
        assert leash.stderr is not None
        child = psutil.Process(int(leash.stdout.readline()))
        assert int(leash.stderr.readline()) == child.pid  # its trap is set
        if cut == "owner":
            leash.stdin.close()
        else:
            leash.kill()
        _, alive = psutil.wait_procs([child], timeout=WAIT_SECONDS)
    assert alive == []
    assert leash.returncode == (128 + signal.SIGKILL if cut == "owner" else -signal.SIGKILL)


@pytest.mark.parametrize("stopped", [False, True])
def test_a_child_ends_in_order_when_its_owner_is_killed(tmp_path: Path, stopped: bool) -> None:
    """By SIGTERM, within its grace; also a child that is stopped (SIGSTOP) then."""
    told = tmp_path / "told"
    command = [leash_module.__file__, "20", sys.executable, "-I", "-c", OBEDIENT, str(told)]
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, *command], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        child = psutil.Process(int(owner.stdout.readline()))
        leashed = child.parent()
        assert leashed is not None
        until(lambda: _hears_sigterm(child.pid), "the child can tell that it was asked to end")
        if stopped:
            child.suspend()
        owner.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs([child, leashed], timeout=WAIT_SECONDS)
    assert alive == []
    assert told.read_text() == "in order"


def _hears_sigterm(pid: int) -> bool:
    caught = next(
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt:")
    )
    return bool(int(caught.split()[1], 16) & 1 << (signal.SIGTERM - 1))
