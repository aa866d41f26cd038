"""What every back end of the broker offers."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Protocol, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from axis.connection import librdkafka_options
from axis.errors import Bilingual, ConfigurationError, Unavailable
from axis.settings import BrokerSettings
from axis.testing.broker.layout import HOST, Layout
from axis.testing.broker.properties import ADMIN_NAME, BROKER_NAME, render, server_properties
from axis.testing.pki import DevelopmentPki

_ANSWER_SECONDS = 2.0
_SUPPORTED_NODES = (1, 3)
PROPERTIES_NAME = "server.properties"

# librdkafka reports every refused connection while a node starts; the reader gets one message in the end.
_silent = logging.getLogger("axis.testing.broker.librdkafka")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class ClientCredentials(Protocol):
    """Where clients' mTLS material comes from; `axis.testing.pki.DevelopmentPki` is one source."""

    @property
    def ca_path(self) -> Path:
        """PEM file with the authorities that the broker's certificate is checked against."""
        ...

    def client(self, code: str) -> Path:
        """Returns the PEM file, named `<code>.pem`, with key and certificate of the client whose CN is `code`."""
        ...


class PemDirectory:
    """Credentials issued elsewhere: `<directory>/<code>.pem` with key and certificate, and a CA file.

    Args:
        ca_path: PEM file with the authorities.
        directory: the directory of the clients' files.
    """

    def __init__(self, ca_path: Path, directory: Path) -> None:
        self.ca_path = ca_path
        self._directory = directory

    def client(self, code: str) -> Path:
        """Returns the PEM file of the client `code`; it need not exist until it is used."""
        return self._directory / f"{code}.pem"


class Broker(ABC):
    """A running, or not yet running, Apache Kafka with mTLS: CN = organisation code = ACL principal.

    Synchronous; from asyncio call it through `asyncio.to_thread`. As a context manager it starts and stops.

    Args:
        credentials: where the clients' certificates come from.
        nodes: how many brokers the cluster has; they are numbered from 1, as in Kafka's metadata.
    """

    def __init__(self, credentials: ClientCredentials, nodes: int) -> None:
        self.credentials = credentials
        self.nodes = nodes

    @property
    @abstractmethod
    def bootstrap_servers(self) -> str:
        """The addresses that clients start from, as `host:port,host:port`; known once started."""

    @abstractmethod
    def start(self) -> None:
        """Starts the broker and returns when it serves; does nothing where it already runs.

        Raises:
            ConfigurationError: something on this machine has to be changed first; says what.
            Unavailable: the broker did not come up within the deadline, or ended early; shows its last log lines.
        """

    @abstractmethod
    def stop(self) -> None:
        """Stops the broker and keeps what it holds; does nothing where it does not run."""

    @abstractmethod
    def check(self) -> None:
        """Returns at once unless a node has ended that nobody stopped; to be asked now and then while others use it.

        Raises:
            Unavailable: one has; names its log and shows its last lines.
        """

    def settings(self, code: str) -> BrokerSettings:
        """Returns how the client `code` reaches this broker, its certificate issued if need be."""
        return BrokerSettings(
            bootstrap_servers=self.bootstrap_servers,
            authority=self.credentials.ca_path,
            credentials=self.credentials.client(code).parent,
        )

    def librdkafka_settings(self, code: str = ADMIN_NAME) -> dict[str, str | int | float | bool]:
        """Returns bootstrap and TLS settings of the client `code`, for confluent-kafka."""
        return {**librdkafka_options(code, self.settings(code))}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class OwnBroker(Broker):
    """A broker whose nodes this program runs itself, hence may end and start one by one.

    Args:
        data_dir: the directory that holds everything of this broker; made if missing.
        pki: issues the brokers' certificate and the clients'.
        nodes: 1, or 3 (replication factor 3, two in sync).
        ports: client ports to insist on, one per node; free ones are chosen when not given.
        grant_without_acl: whether what no ACL names is open to every authenticated client.

    Raises:
        ConfigurationError: an argument has a value that is not supported.
    """

    def __init__(
        self,
        data_dir: Path,
        pki: DevelopmentPki,
        *,
        nodes: int,
        ports: Sequence[int],
        grant_without_acl: bool,
    ) -> None:
        super().__init__(pki, nodes)
        if nodes not in _SUPPORTED_NODES:
            raise ConfigurationError(f"got {nodes} nodes; the broker has 1 or 3")
        if ports and len(ports) != nodes:
            raise ConfigurationError(f"got {len(ports)} ports for {nodes} node(s); give one per node or none")
        self._data_dir = data_dir.absolute()
        self._pki = pki
        self._ports = tuple(ports)
        self._grant_without_acl = grant_without_acl
        self._layout: Layout | None = None

    @property
    def bootstrap_servers(self) -> str:
        """The client addresses of all nodes; known once started, and kept when stopped."""
        if self._layout is None:
            raise ConfigurationError("the broker has no address before its first start; call start()")
        return self._layout.bootstrap_servers

    @abstractmethod
    def kill(self, node: int) -> None:
        """Kills a node (SIGKILL) and returns when it is gone; does nothing where it is down.

        Args:
            node: 1 to N, the broker id that Kafka's metadata names.
        """

    @abstractmethod
    def restart(self, node: int) -> None:
        """Starts a node that is down, with its data, and returns when the cluster lists all that are up again.

        Args:
            node: 1 to N.

        Raises:
            ConfigurationError: the broker was not started.
            Unavailable: the node did not come up; shows its last log lines.
        """

    def _home(self, node: int) -> Path:
        return self._data_dir / f"node-{node}"

    def _write_properties(
        self, layout: Layout, node: int, *, log: Path, certificate: Path | None = None, ca: Path | None = None
    ) -> Path:
        """Writes a node's configuration and returns where; paths are those that the node itself sees.

        Args:
            layout: the cluster's identity and ports.
            node: 1 to N.
            log: where the node keeps its records.
            certificate: PEM of the brokers; where the PKI keeps it when not given.
            ca: PEM of the authorities; likewise.
        """
        home = self._home(node)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        properties = server_properties(
            layout,
            node,
            data_dir=log,
            certificate=certificate or self._certificate(),
            ca=ca or self._pki.ca_path,
            grant_without_acl=self._grant_without_acl,
        )
        path = home / PROPERTIES_NAME
        path.write_text(render(properties), encoding="ascii")
        return path

    def _certificate(self) -> Path:
        return self._pki.server(BROKER_NAME, [HOST, "localhost"])


def wait_until_served(broker: Broker, nodes: int, deadline: float) -> None:
    """Returns once the cluster answers a metadata request over mTLS and lists enough nodes.

    Args:
        broker: the broker, with known addresses.
        nodes: how many nodes must be listed.
        deadline: on the scale of `time.monotonic`.

    Raises:
        Unavailable: the deadline passed; says how many nodes were listed and librdkafka's last reason.
    """
    reason = "no answer"
    admin = AdminClient(
        broker.librdkafka_settings() | {"reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 200},
        logger=_silent,
    )
    while (left := deadline - monotonic()) > 0:
        try:
            listed = len(admin.list_topics(timeout=min(_ANSWER_SECONDS, left)).brokers)
        except KafkaException as error:
            reason = str(error.args[0])
        else:
            if listed >= nodes:
                return
            reason = f"{listed} of {nodes} nodes are in the metadata"
    raise Unavailable(
        Bilingual(
            f"Kafka ở {broker.bootstrap_servers} không phục vụ kịp thời hạn ({reason}); kiểm tra địa chỉ, nhật ký của Kafka"
            " và chứng thư của hai bên có do cùng một CA cấp không",
            f"the broker at {broker.bootstrap_servers} did not serve in time ({reason}); "
            "check its address, its log and that both sides' certificates come from the same authority",
        )
    )
