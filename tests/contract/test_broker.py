"""What every back end of the broker promises."""

import os
import re
import shutil
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_IMODE

import psutil
import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its documented names, imported without __all__
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from axis.clock import SystemClock
from axis.errors import ConfigurationError, Unavailable
from axis.storage.directory_files import load_directory
from axis.testing.broker import ADMIN_NAME, BROKER_NAME, Broker, EmbeddedBroker, ExternalBroker
from axis.testing.pki import DevelopmentPki
from axis.testing.pytest_plugin import chosen_broker
from tests.configuration import SHIPPED, copy_configuration
from tests.contract.back_ends import IN_DOCKER, chosen, external, in_docker
from tests.contract.broker_clients import WAIT_SECONDS, WARD, create_topic, publish, take
from tests.integration.installation import Installation, ready_port
from tests.waiting import until

pytestmark = pytest.mark.kafka

COMMUNE = "H56.14923"


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
    with external(owned, issued, tmp_path_factory.mktemp("external")) as broker:
        assert isinstance(broker, ExternalBroker)
        yield Served(broker, owned_by_another, owned_by_another)


def _in_docker(pki: DevelopmentPki, data_dir: Path) -> Iterator[Served]:
    with in_docker(pki, data_dir) as broker:

        def cycle() -> None:
            broker.stop()
            broker.start()

        def strike() -> None:
            broker._running[1].get_wrapped_container().kill()

        yield Served(broker, cycle, strike)


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

    until(tells, "the broker tells that it ended", WAIT_SECONDS)
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


def test_refuses_a_directory_in_use(embedded: EmbeddedBroker, pki: DevelopmentPki, tmp_path: Path) -> None:
    """A second broker on the data of a running one is refused with the owner's process id."""
    home = Path(psutil.Process(embedded.pid(1)).cmdline()[-1]).parent.parent
    with pytest.raises(ConfigurationError, match=f"in use by a broker of process {os.getpid()}"):
        EmbeddedBroker(home, pki).start()
    assert not list(tmp_path.iterdir())
