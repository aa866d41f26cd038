"""A site that the real `axis up` runs, and the commands run there."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from axis import settings
from axis.apps.node import Node
from axis.connection import connect_as
from axis.core.addressing import OrganisationCode
from axis.core.digest import sha256
from axis.core.envelope import Envelope, MessageId, Part
from axis.core.topics import inbox_topic
from axis.ports import Append
from axis.producers.kafka import KafkaWriter
from axis.producers.publish import Draft, DraftPart
from axis.schemas import avro
from axis.testing.broker.runtime import SHORT_LIVED
from tests.configuration import copy_configuration

AXIS = (sys.executable, "-m", "axis.cli.main")
SECONDS = 90
PROVINCE = "H56"


class Installation:
    """A data folder on which `axis up` runs, and the commands run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._config = copy_configuration(folder.with_name("config"))
        self._up: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command."""
        return os.environ | {
            "AXIS_DATA": str(self.folder),
            "AXIS_CONFIG": str(self._config),
            # A broker that `axis up` starts is meant to run for long; here it is gone before that pays.
            "JAVA_TOOL_OPTIONS": " ".join(SHORT_LIVED),
        }

    def start(self) -> None:
        """Run `axis up` until it says that it is ready."""
        log = (self.folder.parent / "up.log").open("a")
        with log:
            self._up = subprocess.Popen(
                [*AXIS, "up", "--telemetry-port", "0"],
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.port = ready_port(self._up)

    def stop(self) -> int:
        """End `axis up` as an operator does, and return its exit status."""
        assert self._up is not None
        self._up.terminate()
        with self._up:
            return self._up.wait(SECONDS)

    def run(
        self, *arguments: str | Path, largest_file: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end; a limit (bytes) makes its writes fail as on a full disk."""
        limit = [] if largest_file is None else ["prlimit", f"--fsize={largest_file}"]
        return subprocess.run(
            [*limit, *AXIS, *map(str, arguments)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def rows(self, *arguments: str | Path) -> list[dict[str, Any]]:
        """Run a command that must succeed and return its JSON rows."""
        done = self.run(*arguments, "-o", "json")
        assert done.returncode == 0, done.stderr
        content = json.loads(done.stdout)
        return content if isinstance(content, list) else [content]

    @contextmanager
    def running(
        self, *arguments: str | Path, out: int = subprocess.PIPE, error: int = subprocess.DEVNULL
    ) -> Iterator[subprocess.Popen[str]]:
        """Run a command beside the test, and kill it at the end if it still runs."""
        with subprocess.Popen(
            [*AXIS, *map(str, arguments)], env=self.environment, stdout=out, stderr=error, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def publish(self, *files: Path, to: str, subject: str = "Thử nghiệm") -> str:
        """Publish for the province and return the message id."""
        done = self.run("publish", *files, "--as", PROVINCE, "--to", to, "--subject", subject, "-o", "id")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @contextmanager
    def silent_broker(self) -> Iterator[None]:
        """Freeze the broker: it keeps its connections and answers nobody."""
        assert self._up is not None
        (broker,) = (
            each for each in psutil.Process(self._up.pid).children(recursive=True) if each.name() == "java"
        )
        broker.suspend()
        try:
            yield
        finally:
            broker.resume()

    def publishing(self, *arguments: str | Path) -> AbstractContextManager[subprocess.Popen[str]]:
        """Publish beside the test; what it says on standard error can be read."""
        return self.running("publish", *arguments, out=subprocess.DEVNULL, error=subprocess.PIPE)

    async def kept(self, code: str, *contents: bytes) -> list[MessageId]:
        """Sign and keep documents as a node does that is interrupted before it sends; nothing limits their size."""
        async with Node.open(settings.load(self.folder), OrganisationCode(code)) as node:
            ids = []
            for content in contents:
                part = Part("a.pdf", "application/pdf", len(content), sha256(content), content)
                header = node.publisher.check(
                    Draft("V/v", (PROVINCE,), (DraftPart("a.pdf", "application/pdf", b"%PDF"),))
                )
                submission = node.publisher.seal(header, (replace(part, content=b""),), header.created_at)
                envelope = avro.decode(submission.value)
                assert isinstance(envelope, Envelope)
                value = avro.encode_envelope(replace(envelope, parts=(part,)))
                node.journal.store_submission(replace(submission, value=value))
                ids.append(header.message_id)
        return ids

    def append(self, code: str, value: bytes) -> None:
        """Write bytes into an inbox past the router, as only an insider could."""

        async def append() -> None:
            connection = connect_as("admin", settings.load(self.folder).broker, "test")
            async with KafkaWriter(connection) as writer:
                await writer.append(Append(inbox_topic(code), 0, b"x", value))

        asyncio.run(append())


def ready_port(process: subprocess.Popen[str]) -> int:
    """Return the telemetry port that a role names when it is ready; it may end instead, but not stay silent."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("ready telemetry=127.0.0.1:"), line
    return int(line.rpartition(":")[2])
