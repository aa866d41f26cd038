"""What the broker in containers promises besides what every back end does."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from testcontainers.core.docker_client import DockerClient

from axis.errors import ConfigurationError
from axis.testing.broker.docker import DockerBroker, engine_answers
from axis.testing.broker.java import find_java
from axis.testing.pki import DevelopmentPki
from tests.contract.back_ends import in_docker
from tests.contract.broker_clients import create_topic, publish, take
from tests.waiting import until

pytestmark = [pytest.mark.kafka, pytest.mark.docker]


def _started_and_killed(command: Sequence[str]) -> str:
    """Run a program until it has told one line, kill it, and return the line."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        line = owner.stdout.readline().strip()
        owner.kill()
    return line


async def test_leaves_no_broker_when_its_owner_is_killed(
    pki: DevelopmentPki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers end with their owner even when the owner gets SIGKILL, and the next one of the directory takes over.

    That next one is the pytest plugin's, where nobody chose a back end and the embedded one cannot have its jars because
    Maven is missing.
    """
    if not engine_answers():
        pytest.skip("docker: no Docker engine answers on this machine")
    script = (
        "import sys, time; from pathlib import Path; from axis.clock import SystemClock;"
        "from axis.testing.broker.docker import DockerBroker; from axis.testing.pki import DevelopmentPki;"
        "folder = Path(sys.argv[1]); pki = DevelopmentPki.create_or_open(folder / 'pki', now=SystemClock().now());"
        "broker = DockerBroker(folder / 'broker', pki); broker.start();"
        "print(broker._running[1].get_wrapped_container().id, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    identity = await asyncio.to_thread(_started_and_killed, command)
    client = DockerClient().client
    until(lambda: client.containers.get(identity).status == "exited", "the container has ended")
    monkeypatch.setenv("JAVA_HOME", str(find_java()))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("AXIS_CACHE", str(tmp_path))
    with in_docker(pki, tmp_path / "broker", back_end="") as broker:
        topic = create_topic(broker, "taken-over")
        await publish(broker, topic, b"kept")
        assert await take(broker, topic, 1) == [b"kept"]
        with pytest.raises(ConfigurationError, match="is in use by a broker of process"):
            DockerBroker(tmp_path / "broker", pki).start()
    status = (tmp_path / "broker" / "lock").stat()
    label = f"axis.owner={status.st_dev}:{status.st_ino}"
    left = client.containers.list(all=True, filters={"label": label})
    client.close()
    assert left == []


def test_names_a_fixed_port_that_is_taken(pki: DevelopmentPki, tmp_path: Path) -> None:
    """A port that the operator chose and somebody else holds is named before a container is made."""
    if not engine_answers():
        pytest.skip("docker: no Docker engine answers on this machine")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        broker = DockerBroker(tmp_path, pki, ports=[port])
        with pytest.raises(ConfigurationError, match=rf"port {port} is taken.*ss -ltnp"):
            broker.start()
    assert broker._running == {}
