"""An installation to break: broker, topics, opened inboxes and keys of everyone, with few partitions and small batches."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from axis.apps.site import AXIS_NODE, apply_topics
from axis.settings import (
    FILE_NAME,
    BrokerSettings,
    DirectorySettings,
    RouterSettings,
    Settings,
    SignatureSettings,
    render,
)
from axis.storage.directory_files import load_directory
from axis.testing.broker import ADMIN_NAME, EmbeddedBroker, OwnBroker
from axis.testing.broker.layout import HOST, Layout, is_free
from axis.testing.broker.runtime import Runtime
from axis.testing.pki import DevelopmentPki
from tests.configuration import copy_configuration
from tests.fault.proxy import Proxy

BATCH_RECORDS = 10


@dataclass(frozen=True, slots=True)
class Installation:
    """Settings and broker of one installation.

    Attributes:
        proxied: the same settings by way of the proxy; as `settings` where there is none.
    """

    settings: Settings
    broker: OwnBroker
    proxied: Settings


class ProxiedBroker(EmbeddedBroker):
    """An embedded broker with one listener more, which it advertises at the address of a proxy."""

    def __init__(self, data_dir: Path, pki: DevelopmentPki) -> None:
        super().__init__(data_dir, pki, short_lived=True)
        first = 20000 + os.getpid() % 5000
        self._behind = next(port for port in range(first, 32000) if is_free(port))
        self.proxy = Proxy(self._behind)

    def _configure(self, runtime: Runtime, layout: Layout) -> None:
        super()._configure(runtime, layout)
        ports = layout.nodes[0]
        own = f"CLIENT://{HOST}:{ports.client},INTERNAL://{HOST}:{ports.internal}"
        with (self._home(1) / "server.properties").open("a", encoding="ascii") as properties:
            # Of a name that is given twice, Java takes the last.
            properties.write(
                f"listeners={own},CONTROLLER://{HOST}:{ports.controller},PROXIED://{HOST}:{self._behind}\n"
                f"advertised.listeners={own},PROXIED://{HOST}:{self.proxy.port}\n"
                "listener.security.protocol.map=CLIENT:SSL,INTERNAL:SSL,CONTROLLER:SSL,PROXIED:SSL\n"
            )


def install(folder: Path, pki: DevelopmentPki, broker: OwnBroker) -> Installation:
    """Return an installation on a running broker; everything that is missing is made."""
    copy_configuration(folder)
    for organisation in load_directory(folder / "directory").organisations:
        pki.signing(organisation.code, organisation.name)
        pki.client(organisation.code)
    pki.client(ADMIN_NAME)
    settings = Settings(
        folder=folder,
        environment="fault-tests",
        node=AXIS_NODE,
        blobs="file:blobs",
        broker=BrokerSettings(broker.bootstrap_servers, pki.ca_path, pki.client(AXIS_NODE).parent),
        signatures=SignatureSettings(pki.ca_path, pki.enrolment_path.parent / "signing"),
        directory=DirectorySettings(folder / "directory", pki.enrolment_path),
        router=RouterSettings(batch_records=BATCH_RECORDS, telemetry_port=0),
    )
    apply_topics(settings, folder / "topics.toml")
    (folder / FILE_NAME).write_text(render(settings), "utf-8")
    proxied = settings
    if isinstance(broker, ProxiedBroker):
        address = f"{HOST}:{broker.proxy.port}"
        proxied = replace(settings, broker=replace(settings.broker, bootstrap_servers=address))
    return Installation(settings, broker, proxied)


def impatient(settings: Settings) -> Settings:
    """Return the settings with a request timeout of a second, for tests that wait until it has passed."""
    return replace(settings, broker=replace(settings.broker, request_timeout_seconds=1.0))
