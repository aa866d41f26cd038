"""The images are built from the checkout and run: a broker, the axis as a client of it, and all that compose brings up."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from threading import Timer
from typing import Any
from uuid import uuid4

import pytest
from testcontainers.core.container import DockerContainer

from axis.testing.broker.docker import DockerBroker, container_of, engine_answers
from axis.testing.pki import DevelopmentPki
from tests.container.composition import CHECKOUT, ROUTERS, Composition

# The first run fetches two base images, the jars and the wheels.
pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

AXIS_IMAGE = "axis:test"
COMPOSED_IMAGE = "axis:composed"
KAFKA_IMAGE = "axis-kafka:test"
PROMETHEUS_IMAGE = "axis-prometheus:test"
PROVINCE = "H56"
WARD = "H56.14812"
COMMUNE = "H56.15289"
LANE_PARTITIONS = 12
HAND_OVER_SECONDS = 60.0

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
    """The base images of the Dockerfiles, pulled or built from packages."""
    if not engine_answers():
        pytest.skip("docker: no Docker engine answers on this machine")
    made = run("docker/build_base.sh", check=False)
    if made.returncode != 0:
        pytest.skip(f"docker: the base images cannot be had: {made.stderr.strip()[-300:]}")


@pytest.fixture(scope="module")
def wheelhouse() -> None:
    """The build context of the axis: the wheels of the lock and of the checkout."""
    run("docker/wheelhouse.sh")


@pytest.fixture(scope="module")
def axis_image(wheelhouse: None) -> str:  # noqa: ARG001
    """The image of the axis."""
    run("docker", "build", "--quiet", "--file", "docker/Dockerfile", "--tag", AXIS_IMAGE, "build/wheelhouse")
    return AXIS_IMAGE


@pytest.fixture(scope="module")
def kafka_image() -> str:
    """The image that stands in for apache/kafka."""
    run("docker/kafka_image.sh", KAFKA_IMAGE)
    return KAFKA_IMAGE


@pytest.fixture(scope="module")
def prometheus_image() -> str:
    """The image that stands in for prom/prometheus."""
    build = ("docker", "build", "--quiet", "--tag", PROMETHEUS_IMAGE, "-")
    run(*build, given=(CHECKOUT / "docker" / "prometheus.Dockerfile").read_text("utf-8"))
    return PROMETHEUS_IMAGE


@pytest.fixture(scope="module")
def docker_broker(
    kafka_image: str, pki: DevelopmentPki, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DockerBroker]:
    """A broker in a container of that image."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AXIS_KAFKA_IMAGE", kafka_image)
        broker = DockerBroker(tmp_path_factory.mktemp("broker"), pki)
    with broker:
        yield broker


@pytest.fixture
def composition(
    wheelhouse: None,  # noqa: ARG001
    kafka_image: str,
    prometheus_image: str,
    tmp_path: Path,
) -> Iterator[Composition]:
    """Everything in docker/compose.yaml: its own image built, all brought up, and removed at the end."""
    network = f"axis-test-{uuid4().hex[:8]}"
    if run("docker", "network", "create", network, check=False).returncode != 0:
        pytest.skip("docker: this engine can make no networks")
    run("docker", "network", "rm", network)
    # No image of an earlier run stands in for the one that is to be built.
    run("docker", "image", "rm", "--force", COMPOSED_IMAGE, check=False)
    images = {
        "AXIS_IMAGE": COMPOSED_IMAGE,
        "AXIS_KAFKA_IMAGE": kafka_image,
        "AXIS_PROMETHEUS_IMAGE": prometheus_image,
    }
    composed = Composition(compose_command(), tmp_path, images)
    try:
        composed.build()
        composed.up()
        yield composed
    finally:
        composed.end()


def compose_command() -> list[str]:
    """Return the command that this machine has: `docker compose`, or `docker-compose` as Debian 12 names it."""
    if run("docker", "compose", "version", check=False).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose") is None:
        pytest.skip(
            "docker: neither docker compose nor docker-compose is installed (apt install docker-compose)"
        )
    return ["docker-compose"]


def run(*command: str, check: bool = True, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command in the checkout; a failure shows the command's own words."""
    environment = {**os.environ, "PYTHON": sys.executable}
    ended = subprocess.run(
        command, cwd=CHECKOUT, env=environment, input=given, capture_output=True, text=True, check=False
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


def test_what_compose_brings_up_carries_a_document(composition: Composition, tmp_path: Path) -> None:
    """Both routers get ready and share the lanes, Prometheus reaches them, and a document from outside is handed over."""

    def tasks(router: str) -> int:
        found = re.search(
            r"^axis_router_tasks (\d+)", composition.get(router, "/metrics") or "", re.MULTILINE
        )
        return int(found[1]) if found else 0

    composition.until(
        lambda: all(composition.get(router, "/readyz") for router in ROUTERS), "both routers are ready"
    )
    composition.until(
        lambda: sum(map(tasks, ROUTERS)) == LANE_PARTITIONS and all(map(tasks, ROUTERS)),
        "the routers share the lanes",
    )
    outside = tmp_path / "outside"
    composition.join(outside)
    letter = tmp_path / "letter.txt"
    letter.write_text("Kính gửi", "utf-8")
    publish = sender(outside, "publish", str(letter), "--to", WARD, "--subject", "Thử nghiệm", "-o", "id")
    message_id = run(*publish).stdout.strip()
    [listed] = json.loads(composition.axis("inbox", "list", "--as", WARD, "-o", "json"))
    assert (listed["message_id"], listed["sender"]) == (message_id, PROVINCE)
    [taken] = json.loads(
        composition.axis(
            "inbox", "take", message_id, "--as", WARD, "--to", "/var/lib/axis/taken", "-o", "json"
        )
    )
    assert taken["state"] == "taken"
    written = composition.site / "taken" / PROVINCE / message_id / letter.name
    assert written.read_bytes() == letter.read_bytes()
    receipt = handed_over(outside)
    assert (receipt["issuer"], receipt["message_id"]) == (WARD, message_id)
    wanted = {f"{router}:9464": "up" for router in ROUTERS} | {"127.0.0.1:9090": "up"}
    composition.until(lambda: composition.targets() == wanted, "Prometheus reaches its targets")


def sender(folder: Path, *arguments: str) -> tuple[str, ...]:
    """Return a command line of the province's node, which is on this machine."""
    return (sys.executable, "-m", "axis.cli.main", *arguments, "--as", PROVINCE, "--data", str(folder))


def handed_over(folder: Path) -> dict[str, Any]:
    """Return the first receipt of a hand-over that the sender is shown; fail where none comes in time."""
    with subprocess.Popen(
        sender(folder, "inbox", "follow", "-o", "jsonl"), stdout=subprocess.PIPE, text=True
    ) as following:
        limit = Timer(HAND_OVER_SECONDS, following.kill)
        limit.start()
        try:
            assert following.stdout is not None
            shown: list[dict[str, Any]] = []
            for line in following.stdout:
                shown.append(json.loads(line))
                if shown[-1].get("event") == "CONTENT_HANDOVER":
                    return shown[-1]
        finally:
            limit.cancel()
            following.kill()
    pytest.fail(f"no receipt of a hand-over within {HAND_OVER_SECONDS:g} s, only {shown}")
