"""One owner for a broker's data directory, also after an owner that was killed."""

import fcntl
import os
from pathlib import Path
from time import monotonic, sleep

from axis.errors import Bilingual, ConfigurationError
from axis.testing.broker.node import GRACE_SECONDS

LOCK_NAME = "lock"
_POLL_SECONDS = 0.1


def lock(path: Path) -> int:
    """Opens and locks the file, and returns its descriptor: to close it is to let go.

    The leashes of embedded nodes inherit the lock, so it lasts as long as their JVMs; containers wait for it to be let go.
    The file names the owner. Where the owner lives the directory is in use; where it was just killed, its nodes get
    the time to end.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = monotonic() + GRACE_SECONDS + 1
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = path.read_text(encoding="ascii")
            if (owner and Path(f"/proc/{owner}").exists()) or monotonic() > deadline:
                os.close(descriptor)
                raise ConfigurationError(
                    Bilingual(
                        f"{path.parent} đang được Kafka của tiến trình {owner or 'không rõ'} dùng; dừng tiến trình đó hoặc"
                        " chọn thư mục khác",
                        f"{path.parent} is in use by a broker of process {owner or 'unknown'}; "
                        "stop that one or give another directory",
                    )
                ) from error
            sleep(_POLL_SECONDS)
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            return descriptor
