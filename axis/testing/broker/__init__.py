"""A real Apache Kafka 4.2.1 in KRaft mode, three ways, one interface, mTLS always on.

`EmbeddedBroker` runs child JVMs, `axis.testing.broker.docker.DockerBroker` containers (extra `docker`),
`ExternalBroker` is told where a broker is; `choose` takes what this machine can run.
"""

from axis.testing.broker.choice import choose
from axis.testing.broker.embedded import EmbeddedBroker
from axis.testing.broker.external import ExternalBroker
from axis.testing.broker.interface import Broker, ClientCredentials, OwnBroker, PemDirectory
from axis.testing.broker.properties import ADMIN_NAME, BROKER_NAME

__all__ = [
    "ADMIN_NAME",
    "BROKER_NAME",
    "Broker",
    "ClientCredentials",
    "EmbeddedBroker",
    "ExternalBroker",
    "OwnBroker",
    "PemDirectory",
    "choose",
]
