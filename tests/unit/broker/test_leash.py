"""The leash: no JVM of the broker outlives its owner."""

import signal
import subprocess
import sys

import psutil
import pytest

from axis.testing.broker import leash as leash_module

WAIT_SECONDS = 30.0
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
