"""What the leash promises to who started a child on it: the child ends in order, however its owner ended."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from axis.testing.broker import leash
from tests.waiting import until

WAIT_SECONDS = 30
OWNER = """
import subprocess, sys, time
leash = subprocess.Popen([sys.executable, "-I", *sys.argv[1:]], stdin=subprocess.PIPE, process_group=0)
time.sleep(600)
"""
CHILD = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path(sys.argv[1]).write_text("in order"), sys.exit()))
while True:
    signal.pause()
"""


@pytest.mark.parametrize("stopped", [False, True])
def test_a_child_ends_in_order_when_its_owner_is_killed(tmp_path: Path, stopped: bool) -> None:
    """By SIGTERM, within its grace; also a child that is stopped (SIGSTOP) then."""
    told = tmp_path / "told"
    command = [leash.__file__, "20", sys.executable, "-I", "-c", CHILD, str(told)]
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
