"""The images are built from the checkout and run: a broker, and the axis as a client of it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from testcontainers.core.container import DockerContainer

from axis.testing.broker.docker import DockerBroker, container_of, engine_answers
from axis.testing.pki import DevelopmentPki

# The first run fetches two base images, the jars and the wheels.
pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

CHECKOUT = Path(__file__).parents[2]
AXIS_IMAGE = "axis:test"
KAFKA_IMAGE = "axis-kafka:test"
COMMUNE = "H56.15289"

LIST_NODES = """
import sys
from axis.connection import librdkafka_options
from axis.settings import BrokerSettings
from confluent_kafka.admin import AdminClient
from pathlib import Path
settings = BrokerSettings(sys.argv[1], Path("/run/axis/ca.pem"), Path("/run/axis"))
client = AdminClient(librdkafka_options(sys.argv[2], settings))
print(sorted(client.list_topics(timeout=30).brokers))
"""


@pytest.fixture(scope="module", autouse=True)
def base_images() -> None:
    """The base images of both Dockerfiles, pulled or built from packages."""
    if not engine_answers():
        pytest.skip("docker: no Docker engine answers on this machine")
    made = run("docker/build_base.sh", check=False)
    if made.returncode != 0:
        pytest.skip(f"docker: the base images cannot be had: {made.stderr.strip()[-300:]}")


@pytest.fixture(scope="module")
def axis_image() -> str:
    """The image of the axis, built from the wheels of the lock and of the checkout."""
    run("docker/wheelhouse.sh")
    run("docker", "build", "--quiet", "--file", "docker/Dockerfile", "--tag", AXIS_IMAGE, "build/wheelhouse")
    return AXIS_IMAGE


@pytest.fixture(scope="module")
def docker_broker(pki: DevelopmentPki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerBroker]:
    """A broker in a container of the image that stands in for apache/kafka."""
    run("docker/kafka_image.sh", KAFKA_IMAGE)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AXIS_KAFKA_IMAGE", KAFKA_IMAGE)
        broker = DockerBroker(tmp_path_factory.mktemp("broker"), pki)
    with broker:
        yield broker


def run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs a command in the checkout; a failure shows the command's own words."""
    environment = {**os.environ, "PYTHON": sys.executable}
    ended = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )
    if check and ended.returncode != 0:
        pytest.fail(f"{command} ended with {ended.returncode}: {ended.stdout[-1000:]}{ended.stderr[-2000:]}")
    return ended


def output(container: DockerContainer) -> str:
    """Runs a container to its end and returns what it wrote; fails where it did not end well."""
    with container:
        status = container.wait()
        written = b"".join(container.get_logs()).decode()
    assert status == 0, written
    return written.strip()


def test_the_axis_runs_without_privileges(axis_image: str) -> None:
    """The image's user is not root and can write nowhere but to the data folder."""
    probe = "id -u; for place in / /opt/axis /var/lib/axis; do [ -w $place ] && echo $place; done; true"
    container = container_of(axis_image).with_kwargs(entrypoint="sh").with_command(["-c", probe])
    assert output(container).split() == ["10001", "/var/lib/axis"]


def test_the_image_is_the_command_line(axis_image: str) -> None:
    """The container's arguments are those of `axis`, in the version of the checkout."""
    assert version("axis-exchange") in output(container_of(axis_image).with_command(["--version"]))


def test_the_axis_reaches_a_broker_in_a_container(
    axis_image: str, docker_broker: DockerBroker, tmp_path: Path
) -> None:
    """An organisation's certificate, mounted into the axis container, opens the broker in the other container."""
    mounted = tmp_path / "tls"
    mounted.mkdir()
    credentials = docker_broker.credentials
    for name, source in (("ca.pem", credentials.ca_path), (f"{COMMUNE}.pem", credentials.client(COMMUNE))):
        (mounted / name).write_bytes(source.read_bytes())
    container = (
        container_of(axis_image)
        .with_volume_mapping(mounted, "/run/axis", "ro")
        .with_kwargs(
            entrypoint="python3",
            network_mode="host",
            user=f"{os.getuid()}:{os.getgid()}",
        )
        .with_command(["-c", LIST_NODES, docker_broker.bootstrap_servers, COMMUNE])
    )
    assert output(container) == "[1]"
