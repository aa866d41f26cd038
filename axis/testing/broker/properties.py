"""The broker's configuration file, one for every back end.

Source of the names: Apache Kafka 4.2 broker configuration. What differs from the defaults has its reason here.
"""

from pathlib import Path

from axis.testing.broker.layout import HOST, Layout

BROKER_NAME = "broker"
"""CN of the brokers' own certificate; its principal is a super user."""
ADMIN_NAME = "admin"
"""CN of the administrator's certificate; its principal is a super user."""

ENVELOPE_LIMIT_BYTES = 2 * 1024 * 1024
"""Largest record batch the broker takes; topics set their own, smaller limit."""

_REPLICATED = 3


def server_properties(
    layout: Layout,
    node: int,
    *,
    data_dir: Path,
    certificate: Path,
    ca: Path,
    grant_without_acl: bool,
) -> dict[str, str]:
    """Returns the properties of one node (combined broker and controller, mTLS on every listener).

    The quorum is static (`controller.quorum.voters`): its addresses come from this file at every start, so ports
    may change between starts. In a dynamic quorum they are in the metadata log, and three nodes whose ports all
    changed would never find each other again.

    Args:
        layout: the cluster's identity and ports.
        node: the node's number, 1 to N; also its `node.id`.
        data_dir: where the node keeps its log.
        certificate: PEM with the node's key (PKCS #8) and chain; used as server and as client of its peers.
        ca: PEM with the authorities that clients and peers are checked against.
        grant_without_acl: whether a resource that no ACL names is open to every authenticated client.
    """
    ports = layout.nodes[node - 1]
    return {
        "process.roles": "broker,controller",
        "node.id": str(node),
        "controller.quorum.voters": layout.voters,
        "controller.listener.names": "CONTROLLER",
        "listeners": (
            f"CLIENT://{HOST}:{ports.client},INTERNAL://{HOST}:{ports.internal},CONTROLLER://{HOST}:{ports.controller}"
        ),
        "inter.broker.listener.name": "INTERNAL",
        "log.dirs": str(data_dir),
        "auto.create.topics.enable": "false",
        "message.max.bytes": str(ENVELOPE_LIMIT_BYTES),
        **_security(certificate, ca, grant_without_acl=grant_without_acl),
        **_replication(len(layout.nodes)),
        **_small_machine(),
    }


def render(properties: dict[str, str]) -> str:
    """Returns the text of a Java properties file (Latin-1 by definition, so other characters are escaped)."""
    return "".join(f"{name}={_escape(value)}\n" for name, value in properties.items())


def _security(certificate: Path, ca: Path, *, grant_without_acl: bool) -> dict[str, str]:
    return {
        "listener.security.protocol.map": "CLIENT:SSL,INTERNAL:SSL,CONTROLLER:SSL",
        "ssl.client.auth": "required",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificate),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(ca),
        # The CN must come first (RFC 2253 order) and alone in its RDN: a CN= smuggled into another attribute
        # does not match and stays a full distinguished name, which no rule grants anything.
        "ssl.principal.mapping.rules": "RULE:^CN=([^,+]+)(,.*)?$/$1/,DEFAULT",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{BROKER_NAME};User:{ADMIN_NAME}",
        "allow.everyone.if.no.acl.found": str(grant_without_acl).lower(),
    }


def _replication(nodes: int) -> dict[str, str]:
    copies = min(nodes, _REPLICATED)
    in_sync = 2 if copies == _REPLICATED else 1
    return {
        "default.replication.factor": str(copies),
        "min.insync.replicas": str(in_sync),
        "offsets.topic.replication.factor": str(copies),
        "transaction.state.log.replication.factor": str(copies),
        "transaction.state.log.min.isr": str(in_sync),
        "share.coordinator.state.topic.replication.factor": str(copies),
        "share.coordinator.state.topic.min.isr": str(in_sync),
    }


def _small_machine() -> dict[str, str]:
    return {
        "offsets.topic.num.partitions": "3",
        "transaction.state.log.num.partitions": "3",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        # A node that died is fenced, and its leaderships move, after this time (default 9 s).
        "broker.session.timeout.ms": "5000",
        "broker.heartbeat.interval.ms": "1000",
        # The default of 128 MiB alone is a quarter of the heap.
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
        "num.network.threads": "2",
        "num.io.threads": "2",
        "num.recovery.threads.per.data.dir": "1",
    }


def _escape(value: str) -> str:
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    characters = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    return "".join(chr(code) if 0x20 <= code < 0x7F else f"\\u{code:04x}" for code in characters)  # noqa: PLR2004
