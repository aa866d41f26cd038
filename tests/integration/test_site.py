"""A site on one machine: whose broker it runs, what it leaves of the operator's file, and what it does when Kafka dies."""

import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from axis.apps import site
from axis.errors import ConfigurationError
from axis.settings import FILE_NAME, load, render
from tests.configuration import copy_configuration

pytestmark = pytest.mark.kafka

SECONDS = 90
WORDS = "# our own words\n"


def start(folder: Path) -> site.Site:
    """Start a site, or start it again."""
    return site.start(
        folder,
        copy_configuration(folder.with_name("config")),
        lambda _: None,
        telemetry_port=0,
        short_lived=True,
    )


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a site that was started once, with the operator's words in its settings."""
    folder = tmp_path_factory.mktemp("site") / "axis-data"
    with start(folder):
        pass
    with (folder / FILE_NAME).open("a", encoding="utf-8") as file:
        file.write(WORDS)
    return folder


@pytest.fixture
def folder(stopped: Path, tmp_path: Path) -> Path:
    """A copy of that folder."""
    return shutil.copytree(stopped, tmp_path / "axis-data")


def point_to(folder: Path, servers: str) -> bytes:
    """Let the settings name another broker; return the file's bytes."""
    settings = load(folder)
    changed = replace(settings, broker=replace(settings.broker, bootstrap_servers=servers))
    (folder / FILE_NAME).write_text(render(changed) + WORDS, "utf-8")
    return (folder / FILE_NAME).read_bytes()


def client_port(folder: Path) -> int:
    """Return the port that the settings name."""
    return int(load(folder).broker.bootstrap_servers.rpartition(":")[2])


def test_the_operators_file_is_left_as_it_is(folder: Path) -> None:
    """A start that changes nothing does not touch the settings."""
    path = folder / FILE_NAME
    before, written = path.read_bytes(), path.stat()
    with start(folder) as running:
        assert running.settings == load(folder)
    assert path.read_bytes() == before
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


def test_a_port_that_was_taken_changes_one_line(folder: Path) -> None:
    """When Kafka has to move, the settings name its new address, and everything else in the file stays."""
    path = folder / FILE_NAME
    before, port = path.read_text("utf-8"), client_port(folder)
    path.chmod(0o640)
    with socket.create_server(("127.0.0.1", port)), start(folder) as running:
        assert running.settings == load(folder)
        assert client_port(folder) != port
    assert path.read_text("utf-8") == before.replace(f":{port}", f":{client_port(folder)}")
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_file_that_cannot_be_amended_is_the_operators_to_change(folder: Path) -> None:
    """Where the address stands in a form of the operator's own, the message says what to write, and nothing is changed."""
    path = folder / FILE_NAME
    port = client_port(folder)
    text = path.read_text("utf-8").replace("bootstrap_servers =", '"bootstrap_servers" =')
    path.write_text(text, "utf-8")
    running = servers_of_this_process()
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(ConfigurationError, match=r'write into .*: bootstrap_servers = "127\.0\.0\.1:\d+"'),
    ):
        start(folder)
    assert path.read_text("utf-8") == text
    assert servers_of_this_process() == running


@pytest.mark.parametrize(
    "servers",
    ["kafka-1.example.gov.vn:9092", "10.0.0.7:9092", "127.0.0.1:9092,kafka-2.example.gov.vn:9092"],
)
def test_a_folder_on_a_cluster_of_others_is_refused(folder: Path, servers: str) -> None:
    """No embedded broker takes the place of the cluster that the settings name, and the settings stay."""
    before, running = point_to(folder, servers), servers_of_this_process()
    with pytest.raises(ConfigurationError, match=r"names Kafka at .* use `axis router --data"):
        start(folder)
    assert (folder / FILE_NAME).read_bytes() == before
    assert servers_of_this_process() == running


def test_a_folder_without_a_broker_of_its_own_is_refused(folder: Path) -> None:
    """A Kafka of the operator's own on this machine is one of others, too."""
    before = point_to(folder, "127.0.0.1:9092")
    shutil.rmtree(folder / "broker")
    with pytest.raises(ConfigurationError, match="which is not the site's own"):
        start(folder)
    assert (folder / FILE_NAME).read_bytes() == before
    assert not (folder / "broker").exists()


def servers_of_this_process() -> list[psutil.Process]:
    """Return the Kafka servers that run as children of this process."""
    return [each for each in psutil.Process().children(recursive=True) if is_kafka(each)]


def is_kafka(process: psutil.Process) -> bool:
    """Tell whether a process is a JVM that runs Kafka, and not its leash."""
    return process.name() == "java" and "kafka.Kafka" in process.cmdline()


def test_up_ends_when_its_broker_dies(folder: Path) -> None:
    """With Kafka's JVM gone `axis up` does not wait for ever: it ends with 7 and names Kafka's log, in both languages."""
    with subprocess.Popen(
        [sys.executable, "-m", "axis.cli.main", "up", "--data", str(folder), "--telemetry-port", "0"],
        env=os.environ | {"AXIS_CONFIG": str(copy_configuration(folder.with_name("config")))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as up:
        try:
            assert up.stdout is not None
            assert up.stdout.readline().startswith("ready telemetry=")
            below = psutil.Process(up.pid).children(recursive=True)
            [kafka] = [each for each in below if is_kafka(each)]
            kafka.kill()
            _, told = up.communicate(timeout=SECONDS)
        finally:
            up.kill()
    assert up.returncode == 7
    assert "Kafka đã tự dừng" in told
    assert f"node 1 ended with status 137; the end of {folder / 'broker' / 'node-1' / 'server.log'}:" in told
    assert "Traceback" not in told
    assert [each for each in below if each.is_running()] == []
