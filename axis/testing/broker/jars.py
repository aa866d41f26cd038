"""The broker's jars: resolved once by Maven into a cache that all runs on a machine share."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from axis.errors import Bilingual, ConfigurationError, Unavailable

_RESOLVE_SECONDS = 600


def cache_root() -> Path:
    """The cache directory: `$AXIS_CACHE`, else `$XDG_CACHE_HOME/axis`, else `~/.cache/axis`."""
    if chosen := os.environ.get("AXIS_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "axis"


def cached_jars() -> Path | None:
    """The directory of the jars when they are in the cache, else None."""
    directory = _directory(_pom())
    return directory if directory.is_dir() else None


def resolve_jars(java_home: Path) -> Path:
    """Returns the directory that holds the broker's jars, filling the cache on first use (44 MB).

    Two runs that come at once do not collide: one resolves, the other waits for it. A directory in the cache is
    whole, because it is filled under another name and renamed.

    Args:
        java_home: the Java that Maven runs on.

    Raises:
        ConfigurationError: the jars are not cached and Maven is not installed.
        Unavailable: Maven could not fetch the jars; its own words are in the message.
    """
    pom = _pom()
    directory = _directory(pom)
    if directory.is_dir():
        return directory
    maven = shutil.which("mvn")
    if maven is None:
        raise ConfigurationError(
            Bilingual(
                f"không có các tệp jar của Kafka trong {directory.parent} và không có mvn trong PATH; cài bằng: apt-get"
                " install maven (hoặc chạy Kafka trong Docker: AXIS_TEST_BROKER=docker)",
                f"the broker's jars are not in {directory.parent} and mvn is not on PATH; install it with: "
                "apt-get install maven (or choose the Docker back end: AXIS_TEST_BROKER=docker)",
            )
        )
    directory.parent.mkdir(parents=True, exist_ok=True)
    with only_one(directory.parent / "lock"):
        if not directory.is_dir():
            _fill(directory, pom, maven, java_home)
    return directory


def _pom() -> bytes:
    return resources.files(__package__).joinpath("pom.xml").read_bytes()


def _directory(pom: bytes) -> Path:
    return cache_root() / "broker" / hashlib.sha256(pom).hexdigest()[:16]


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Lets one run at a time into the block."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fill(directory: Path, pom: bytes, maven: str, java_home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=directory.parent) as scratch:
        project = Path(scratch)
        (project / "pom.xml").write_bytes(pom)
        try:
            subprocess.run(
                [
                    maven,
                    "-q",
                    "-B",
                    "dependency:copy-dependencies",
                    "-DincludeScope=runtime",
                    f"-DoutputDirectory={project / 'jars'}",
                ],
                cwd=project,
                env={**os.environ, "JAVA_HOME": str(java_home)},
                check=True,
                timeout=_RESOLVE_SECONDS,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        except subprocess.CalledProcessError as error:
            raise Unavailable(
                Bilingual(
                    "Maven không tải được các tệp jar của Kafka; lý do do Maven báo ở dưới đây",
                    f"Maven could not fetch the broker's jars:\n{error.output[-2000:]}",
                )
            ) from error
        except subprocess.TimeoutExpired as error:
            raise Unavailable(
                Bilingual(
                    f"sau {_RESOLVE_SECONDS} giây Maven vẫn chưa tải xong các tệp jar của Kafka",
                    f"Maven did not fetch the broker's jars within {_RESOLVE_SECONDS} s",
                )
            ) from error
        (project / "jars").rename(directory)
