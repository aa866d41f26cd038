"""The external back end: a broker that somebody else runs."""

import os
from pathlib import Path
from time import monotonic

from axis.errors import Bilingual, ConfigurationError
from axis.testing.broker.interface import Broker, ClientCredentials, PemDirectory, wait_until_served

_ANSWER_SECONDS = 30.0


class ExternalBroker(Broker):
    """A broker given by its addresses; `start` waits until it serves, `stop` leaves it alone.

    Args:
        bootstrap_servers: its client addresses, as `host:port,host:port`.
        credentials: the clients' certificates, issued by an authority that the broker trusts.
        nodes: how many nodes it must list before it counts as serving.
    """

    def __init__(self, bootstrap_servers: str, credentials: ClientCredentials, *, nodes: int = 1) -> None:
        super().__init__(credentials, nodes)
        self._bootstrap_servers = bootstrap_servers

    @classmethod
    def from_environment(cls, *, nodes: int = 1) -> "ExternalBroker":
        """Reads `AXIS_BOOTSTRAP`, `AXIS_CA` (PEM file) and `AXIS_CLIENT_DIR` (`<code>.pem` files, `admin.pem` among them).

        Raises:
            ConfigurationError: lists every variable that is not set.
        """
        names = ("AXIS_BOOTSTRAP", "AXIS_CA", "AXIS_CLIENT_DIR")
        missing = [
            Bilingual(
                f"chưa đặt biến môi trường {name}; Kafka bên ngoài cần {', '.join(names)}",
                f"{name} is not set; the external broker needs {', '.join(names)}",
            )
            for name in names
            if not os.environ.get(name)
        ]
        if missing:
            raise ConfigurationError(*missing)
        bootstrap, ca, directory = (os.environ[name] for name in names)
        return cls(bootstrap, PemDirectory(Path(ca), Path(directory)), nodes=nodes)

    @property
    def bootstrap_servers(self) -> str:
        """The addresses as given."""
        return self._bootstrap_servers

    def start(self) -> None:
        """Waits until the broker serves (`Broker.start`)."""
        wait_until_served(self, self.nodes, monotonic() + _ANSWER_SECONDS)

    def stop(self) -> None:
        """Does nothing: whoever started the broker stops it."""

    def check(self) -> None:
        """Does nothing: whoever started the broker watches it."""
