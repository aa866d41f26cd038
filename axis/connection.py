"""How a role reaches Kafka: addresses and mutual TLS, for both client libraries."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from axis.errors import Bilingual, ConfigurationError
from axis.settings import BrokerSettings


@dataclass(frozen=True, slots=True)
class Connection:
    """One client identity at one cluster.

    Attributes:
        bootstrap_servers: "host:port,host:port".
        tls: context with the client's certificate; its common name is the Kafka principal.
        request_timeout_seconds: deadline of one request; every longer wait is a multiple of it.
        client_id: shown in the brokers' logs and metrics.
    """

    bootstrap_servers: str
    tls: ssl.SSLContext
    request_timeout_seconds: float
    client_id: str


def connect_as(code: str, settings: BrokerSettings, role: str) -> Connection:
    """Return the connection of an organisation.

    Raises:
        ConfigurationError: a certificate file is missing or unusable.
    """
    credential = settings.credential(code)
    return Connection(
        bootstrap_servers=settings.bootstrap_servers,
        tls=_context(settings.authority, credential),
        request_timeout_seconds=settings.request_timeout_seconds,
        client_id=f"axis-{role}-{code}",
    )


def librdkafka_options(code: str, settings: BrokerSettings) -> dict[str, str]:
    """Return the same for confluent-kafka."""
    credential = str(settings.credential(code))
    return {
        "bootstrap.servers": settings.bootstrap_servers,
        "security.protocol": "ssl",
        "ssl.ca.location": str(settings.authority),
        "ssl.certificate.location": credential,
        "ssl.key.location": credential,
    }


def _context(authority: Path, credential: Path) -> ssl.SSLContext:
    for path in (authority, credential):
        if not path.is_file():
            raise ConfigurationError(
                Bilingual(
                    f"không có {path}; cấp bằng `axis pki init`, hoặc sửa [broker] trong axis.toml",
                    f"{path} does not exist; issue it with `axis pki init`, or correct [broker] in axis.toml",
                )
            )
    try:
        context = ssl.create_default_context(cafile=str(authority))
        context.load_cert_chain(credential)
    except ssl.SSLError as error:
        raise ConfigurationError(
            Bilingual(
                f"{authority} hoặc {credential} không phải tệp PEM dùng được: {error.reason}",
                f"{authority} or {credential} is not usable PEM: {error.reason}",
            )
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
