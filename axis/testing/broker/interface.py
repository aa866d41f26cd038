"""What every back end of the broker offers."""

import logging
from abc import ABC, abstractmethod
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Protocol, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from axis.connection import librdkafka_options
from axis.errors import Bilingual, Unavailable
from axis.settings import BrokerSettings
from axis.testing.broker.properties import ADMIN_NAME

_ANSWER_SECONDS = 2.0

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
