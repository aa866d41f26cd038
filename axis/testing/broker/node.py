"""One node of the embedded broker: a JVM on a leash."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from os import kill
from pathlib import Path
from time import monotonic, sleep

from axis.errors import AxisError, Bilingual, ConfigurationError, Unavailable

_LEASH = Path(__file__).with_name("leash.py")
_STARTED = "Kafka Server started"
_TOO_NEW = "UnsupportedVersionException: Can't read version"
_POLL_SECONDS = 0.05
_LAST_LINES = 15

GRACE_SECONDS = 15.0
"""How long a node may take to end after SIGTERM before it is killed."""


class Node:
    """Starts a broker's JVM such that it cannot outlive this program.

    Args:
        number: the node's number, for messages.
        command: the JVM's command line.
        log: file that takes the JVM's output; the one of the start before is kept as `<name>.1`.
        lock: descriptor that the leash keeps open for as long as the JVM lives.
    """

    def __init__(self, number: int, command: Sequence[str], log: Path, lock: int) -> None:
        self._number = number
        self._log = log
        if log.exists():
            log.replace(log.with_name(log.name + ".1"))
        with log.open("wb") as output:
            # Its own process group: an interrupt at the terminal reaches the owner, who then stops the node in order.
            # Not a session: Linux shares processors out by session first (`sched_autogroup_enabled`), and a router
            # beside it in the owner's could not give way to it by being nicer.
            self._leash = subprocess.Popen(
                [sys.executable, "-I", str(_LEASH), str(GRACE_SECONDS), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                process_group=0,
                pass_fds=(lock,),
            )
        if self._leash.stdout is None or self._leash.stdin is None:
            raise AssertionError("the leash was started with pipes")
        self._stdin = self._leash.stdin
        self._stdout = self._leash.stdout
        announced = self._stdout.readline()
        if not announced:
            raise self._ended_early()
        self.pid = int(announced)

    def await_started(self, deadline: float) -> None:
        """Returns once the node says that it has started.

        Args:
            deadline: on the scale of `time.monotonic`.

        Raises:
            Unavailable: the JVM ended, or the deadline passed; shows its last log lines.
        """
        while _STARTED not in self._log.read_text(encoding="utf-8", errors="replace"):
            self.check()
            if monotonic() > deadline:
                raise Unavailable(
                    Bilingual(
                        f"nút Kafka {self._number} không khởi động kịp thời hạn; xem cuối nhật ký của nút dưới đây",
                        f"node {self._number} did not start in time; {self._last_lines()}",
                    )
                )
            sleep(_POLL_SECONDS)

    def check(self) -> None:
        """Returns at once while the JVM lives.

        Raises:
            Unavailable: it has ended; shows its last log lines.
            ConfigurationError: it has ended because a later Kafka wrote its data.
        """
        if not self.running():
            raise self._ended_early()

    def running(self) -> bool:
        """Whether the JVM has not ended."""
        return self._leash.poll() is None

    def kill(self) -> None:
        """Kills the JVM (SIGKILL) and returns when it is gone."""
        if self.running():
            # The leash may have reaped it a moment ago.
            with suppress(ProcessLookupError):
                kill(self.pid, signal.SIGKILL)
        self.wait()

    def ask_to_stop(self) -> None:
        """Lets go of the leash: the JVM gets SIGTERM, and SIGKILL after the grace."""
        self._stdin.close()

    def wait(self) -> None:
        """Returns when the JVM has ended and nothing of it is left."""
        self._leash.wait()
        self._stdin.close()
        self._stdout.close()

    def _ended_early(self) -> AxisError:
        status = self._leash.wait()
        self.wait()
        said = self._log.read_text(encoding="utf-8", errors="replace")
        if _TOO_NEW in said and _STARTED not in said:
            return ConfigurationError(
                Bilingual(
                    f"nút Kafka {self._number}: một bản Kafka mới hơn đã ghi {self._log.parent}, bản này không đọc được; hãy dùng"
                    " lại phiên bản của trục đã ghi thư mục đó (thư mục mới sẽ không có gì của thư mục cũ)",
                    f"node {self._number}: a later Kafka has written {self._log.parent}, which this one cannot read; go on"
                    " with the version of the axis that wrote it (a new folder would have nothing of what is there)",
                )
            )
        return Unavailable(
            Bilingual(
                f"nút Kafka {self._number} đã dừng với mã {status}; xem cuối nhật ký của nút dưới đây",
                f"node {self._number} ended with status {status}; {self._last_lines()}",
            )
        )

    def _last_lines(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
        return "\n".join([f"the end of {self._log}:", *lines])
