"""One run of docker/compose.yaml, with names, ports and data of its own, within a time."""

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final
from urllib.error import URLError
from urllib.request import urlopen
from uuid import uuid4

import pytest

from axis.testing.broker.runtime import SHORT_LIVED

CHECKOUT: Final = Path(__file__).parents[2]
ROUTERS: Final = ("router-1", "router-2")
_BROKERS: Final = ("broker-1", "broker-2", "broker-3")
_BUILD_SECONDS: Final = 600.0
_WHOLE_SECONDS: Final = 170.0
_END_SECONDS: Final = 60.0
_ORDINARY_USER: Final = 1000


class Composition:
    """A project of docker/compose.yaml; `end` removes everything of it but the site's folder and the image.

    Not testcontainers' DockerCompose: that calls `docker compose` alone, which Debian 12 has no package for, and waits
    without a limit.

    Args:
        command: `docker compose` or `docker-compose`.
        folder: where the site's data folder is made.
        images: the AXIS_…_IMAGE variables.
    """

    def __init__(self, command: list[str], folder: Path, images: dict[str, str]) -> None:
        self._command = [*command, "--file", "docker/compose.yaml", "--project-name"]
        self._command.append(f"axis-test-{uuid4().hex[:8]}")
        self._deadline = monotonic() + _BUILD_SECONDS
        self._ports = dict(zip((*_BROKERS, *ROUTERS, "prometheus"), free_ports(6), strict=True))
        self.site = folder / "site"
        user = os.getuid() or _ORDINARY_USER
        self._environment = {
            **os.environ,
            **images,
            "AXIS_SITE": str(self.site),
            "AXIS_UID": str(user),
            "AXIS_KAFKA_HEAP_OPTS": f"-Xms64m -Xmx512m -XX:+UseSerialGC {' '.join(SHORT_LIVED)}",
            **{
                f"AXIS_{name.upper().replace('-', '_')}_PORT": str(port) for name, port in self._ports.items()
            },
        }
        shutil.copytree(CHECKOUT / "config" / "directory", self.site / "directory")
        for source in ("docker/axis.toml", "config/topics.toml"):
            shutil.copy(CHECKOUT / source, self.site)
        if os.getuid() == 0:
            for path in (self.site, *self.site.rglob("*")):
                os.chown(path, user, -1)

    @property
    def outside(self) -> str:
        """The brokers' addresses for clients that are not in the composition."""
        return ",".join(f"localhost:{self._ports[broker]}" for broker in _BROKERS)

    def build(self) -> None:
        """Build the image of the axis as the file declares it."""
        self._run("build")

    def up(self) -> None:
        """Make a development PKI with the image's own command and start everything; the time begins here."""
        self._deadline = monotonic() + _WHOLE_SECONDS
        hosts = [word for host in (*_BROKERS, "localhost") for word in ("--broker-host", host)]
        self.axis("pki", "init", *hosts)
        self._run("up", "--detach", "--no-build")

    def axis(self, *arguments: str) -> str:
        """Run a command of the axis in a container of its own and return what it wrote."""
        return self._run("run", "--rm", "--no-deps", "topics", *arguments)

    def join(self, folder: Path) -> None:
        """Make the data folder of a node on this machine, which reaches the brokers by their outer addresses."""
        for name in ("directory", "pki"):
            shutil.copytree(self.site / name, folder / name)
        settings = (self.site / "axis.toml").read_text("utf-8")
        (folder / "axis.toml").write_text(
            re.sub(r"(?m)^bootstrap_servers = .*", f'bootstrap_servers = "{self.outside}"', settings), "utf-8"
        )

    def get(self, service: str, path: str) -> str | None:
        """Return what a service answers with 200, None for anything else."""
        try:
            with urlopen(f"http://127.0.0.1:{self._ports[service]}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except (URLError, OSError):
            return None

    def targets(self) -> dict[str, str]:
        """Return what Prometheus says of the health of each of its targets, by address."""
        answer = json.loads(self.get("prometheus", "/api/v1/targets?state=active") or '{"data": {}}')
        active: list[dict[str, Any]] = answer["data"].get("activeTargets", [])
        return {target["labels"]["instance"]: target["health"] for target in active}

    def until(self, holds: Callable[[], object], what: str) -> None:
        """Return when the condition holds; fail with everybody's last words when the time is over."""
        while not holds():
            if monotonic() > self._deadline:
                pytest.fail(f"not within {_WHOLE_SECONDS:g} s: {what}\n{self._logs()}")
            sleep(0.5)

    def end(self) -> None:
        """Remove containers, volumes and the network."""
        self._call("down", "--volumes", "--timeout", "10", seconds=_END_SECONDS)

    def _run(self, *arguments: str) -> str:
        ended = self._call(*arguments, seconds=max(self._deadline - monotonic(), 1))
        if ended.returncode != 0:
            pytest.fail(f"{arguments} ended with {ended.returncode}: {ended.stderr[-3000:]}\n{self._logs()}")
        return ended.stdout

    def _logs(self) -> str:
        return self._call("logs", "--no-color", "--tail", "20", seconds=_END_SECONDS).stdout[-8000:]

    def _call(self, *arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._command, *arguments],
            cwd=CHECKOUT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now."""
    probes = [socket.create_server(("", 0)) for _ in range(count)]
    try:
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
