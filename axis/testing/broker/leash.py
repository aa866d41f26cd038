"""Runs one child and ends it when the parent is gone, however the parent ended.

Started by file name, so only the standard library is imported. The parent holds the write end of this program's
standard input and never writes to it: end of file means that the parent stopped, crashed or was killed. The child
is then asked to end (SIGTERM) and killed after a grace. Should this program itself be killed, the kernel kills the
child (`prctl(2)`, PR_SET_PDEATHSIG).

Usage: leash.py GRACE_SECONDS COMMAND [ARGUMENT...]. The child's pid is the only line on standard output; the exit
status is the child's (128 + N where signal N ended it).
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading

_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_after_parent(child: subprocess.Popen[bytes], grace_seconds: float) -> None:
    # Not through sys.stdin: its lock would be held at interpreter shutdown.
    while os.read(0, 1):
        pass
    child.terminate()
    child.send_signal(signal.SIGCONT)  # a stopped child would not see the SIGTERM
    try:
        child.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        child.kill()


def main() -> int:
    """Runs the command until it ends or the parent is gone; returns the exit status."""
    grace_seconds, command = float(sys.argv[1]), sys.argv[2:]
    # The kernel sends it to a group that loses its parent while a member is stopped: the end is to be in order even then.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - safe: no other thread exists yet
    )
    sys.stdout.write(f"{child.pid}\n")
    sys.stdout.flush()
    threading.Thread(target=_end_after_parent, args=(child, grace_seconds), daemon=True).start()
    status = child.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
