"""A router as a child process, so that it can be frozen and killed as a power cut would."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from axis.errors import Unavailable
from axis.testing.broker import leash

# One process: it is to be frozen and killed in the middle of what it does.
_COMMAND = ("-P", "-m", "axis.cli.main", "router", "--workers", "1", "--telemetry-port", "0", "--data")
_READY = b"ready "
_READY_SECONDS = 90.0
_GRACE_SECONDS = 10
_LOOK_SECONDS = 0.05
_LAST_LINES = 8


class RouterProcess:
    """`axis router` on a leash: however the demo ends, no router stays behind.

    Args:
        folder: the site's data folder; the router's output goes to `router.log` in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._leash: subprocess.Popen[bytes] | None = None
        self._output_from = 0
        self.log = folder / "router.log"
        self.pid = 0

    def start(self) -> None:
        """Start the process; `ready` waits until it routes."""
        command = [sys.executable, *_COMMAND, str(self._folder)]
        with self.log.open("ab") as output:
            self._output_from = output.tell()
            # Its own process group: an interrupt at the terminal reaches the demo, which then stops the router in order.
            self._leash = subprocess.Popen(
                [sys.executable, "-I", leash.__file__, str(_GRACE_SECONDS), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                process_group=0,
            )
        assert self._leash.stdout is not None  # noqa: S101 - a pipe was asked for
        self.pid = int(self._leash.stdout.readline())

    async def ready(self) -> None:
        """Wait until the router says that it has joined its group and opened its tasks.

        Raises:
            Unavailable: it ended, or did not say so in time; shows its last log lines.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + _READY_SECONDS
        while not any(line.startswith(_READY) for line in self._output()):
            if loop.time() > end or self._leash is None or self._leash.poll() is not None:
                last = b"\n".join(self._output()[-_LAST_LINES:]).decode(errors="replace")
                raise Unavailable(f"the router is not ready, see {self.log}; its last lines:\n{last}")
            await asyncio.sleep(_LOOK_SECONDS)

    def freeze(self) -> None:
        """Hold the process still (SIGSTOP), in the middle of whatever it does."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Hold the process still for the length of the block."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def kill(self) -> None:
        """End the process at once (SIGKILL), as it stands."""
        os.kill(self.pid, signal.SIGKILL)
        self._gone()

    def stop(self) -> None:
        """Ask the process to finish its batches and end; does nothing where it does not run."""
        self._gone()

    def _gone(self) -> None:
        if self._leash is None:
            return
        # End of file tells the leash that its owner is done: SIGTERM, and SIGKILL after the grace.
        self._leash.communicate()
        self._leash = None

    def _output(self) -> list[bytes]:
        with self.log.open("rb") as log:
            log.seek(self._output_from)
            return log.read().splitlines()
