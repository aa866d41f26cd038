"""Running the broker's main classes on a Java runtime."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Self

from axis.errors import Bilingual, Unavailable
from axis.testing.broker.jars import resolve_jars
from axis.testing.broker.java import find_java

_FORMAT_SECONDS = 60

# slf4j-simple writes to standard error, hence to the node's log file.
_LOGGING = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)
_SERVER = (
    "-Xms64m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    # Kafka puts each PEM key into a key store that never leaves its memory. Stretching a password for it, for each
    # listener, protects nothing there and is a good part of a start's work.
    "-Dkeystore.pkcs12.keyPbeIterationCount=1",
)
SHORT_LIVED = ("-XX:TieredStopAtLevel=1",)
"""Compiles sooner and worse: a third less processor time to start, less throughput later."""
_TOOL = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:-UsePerfData", *SHORT_LIVED)


@dataclass(frozen=True, slots=True)
class Runtime:
    """A Java runtime and the broker's jars.

    Attributes:
        java_home: home of Java 17 or newer.
        jars: directory of the jars.
        archive: class data archive (JEP 350): the classes that a broker loads, read and verified once, with which it
            starts a third sooner. Empty where this Java cannot make one.
        recording: whether a server writes the archive when it ends, instead of reading it.
    """

    java_home: Path
    jars: Path
    archive: Path
    recording: bool = False

    @classmethod
    def find(cls) -> Self:
        """Returns the runtime of this machine, fetching the jars on first use.

        Raises:
            ConfigurationError: Java, or Maven on first use, is missing; names the command that mends it.
            Unavailable: Maven could not fetch the jars.
        """
        java_home = find_java()
        jars = resolve_jars(java_home)
        return cls(java_home, jars, jars.with_name(f"{jars.name}-{_build(java_home)}.jsa"))

    def recorder(self, archive: Path) -> Self:
        """Returns the same runtime, whose server writes that archive when it ends."""
        return replace(self, archive=archive, recording=True)

    def server(self, properties: Path, *, short_lived: bool) -> list[str]:
        """Returns the command line of one node.

        Args:
            properties: its configuration file.
            short_lived: whether a quick start matters more than throughput.
        """
        # A report of its crash belongs beside its log; by itself, Java writes it where the command was run.
        jvm = [*_SERVER, f"-XX:ErrorFile={properties.with_name('hs_err_pid%p.log')}"]
        if short_lived:
            jvm += SHORT_LIVED
        if self.recording:
            jvm.append(f"-XX:ArchiveClassesAtExit={self.archive}")
        return self._command(jvm, "kafka.Kafka", str(properties))

    def format(self, cluster_id: str, properties: Sequence[Path]) -> None:
        """Formats the log directories that the given nodes' properties name; the formatted ones stay untouched.

        Raises:
            Unavailable: the tool failed; its words are in the message.
        """
        running = [
            subprocess.Popen(
                self._command(
                    _TOOL,
                    "kafka.tools.StorageTool",
                    "format",
                    "--ignore-formatted",
                    f"--cluster-id={cluster_id}",
                    f"--config={path}",
                ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for path in properties
        ]
        faults = []
        for tool in running:
            try:
                output, _ = tool.communicate(timeout=_FORMAT_SECONDS)
            except subprocess.TimeoutExpired:
                tool.kill()
                output, _ = tool.communicate()
            if tool.returncode != 0:
                faults.append(output[-2000:])
        if faults:
            raise Unavailable(
                Bilingual(
                    "không định dạng được nơi lưu trữ của Kafka; lý do do công cụ của Kafka báo ở dưới đây",
                    "the broker's storage could not be formatted:\n" + "\n".join(faults),
                )
            )

    def _command(self, jvm: Sequence[str], main: str, *arguments: str) -> list[str]:
        recorded = not self.recording and self.archive.is_file() and self.archive.stat().st_size > 0
        return [
            str(self.java_home / "bin" / "java"),
            *jvm,
            *([f"-XX:SharedArchiveFile={self.archive}"] if recorded else ()),
            *_LOGGING,
            "-cp",
            f"{self.jars}/*",
            main,
            *arguments,
        ]


def _build(java_home: Path) -> str:
    """A name of this very Java: an archive serves no other one."""
    release = java_home / "release"
    build = release.read_bytes() if release.is_file() else str(java_home).encode()
    return sha256(build).hexdigest()[:8]
