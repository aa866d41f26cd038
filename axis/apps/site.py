"""A trial or small site on one machine: data folder, development PKI, embedded broker, topics, opened inboxes.

<folder>/axis.toml      settings; written on the first start, kept afterwards
         directory/     who exists; copied from the configuration on the first start
         topics.toml    what topics there are; likewise
         pki/           development CA and keys of every organisation of the directory
         broker/        Kafka's data
         blobs/         large parts
         router-0/      the router's decision store (rebuilt from Kafka when lost)
         nodes/<code>/  journals of the organisations' nodes
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from axis.apps import topics, wiring
from axis.apps.inboxes import open_empty_inboxes
from axis.core.addressing import OrganisationCode
from axis.errors import ConfigurationError
from axis.settings import (
    DEFAULT_TELEMETRY_PORT,
    FILE_NAME,
    BrokerSettings,
    DirectorySettings,
    RouterSettings,
    Settings,
    SignatureSettings,
    load,
    render,
)
from axis.storage.directory_files import load_directory
from axis.testing.broker import ADMIN_NAME, Broker, choose
from axis.testing.pki import DevelopmentPki

AXIS_NODE: Final = OrganisationCode("H56.W00")
"""Code of the axis's own node in the directory that ships with the project."""

Progress = Callable[[str], None]


def configuration_folder(given: Path | None = None) -> Path:
    """Return the folder with `directory/` and `topics.toml`: as given, `$AXIS_CONFIG`, `./config`, or the checkout's.

    Raises:
        ConfigurationError: there is none.
    """
    candidates = [
        *([given] if given else []),
        *([Path(os.environ["AXIS_CONFIG"])] if "AXIS_CONFIG" in os.environ else []),
        Path("config"),
        Path(__file__).parents[2] / "config",
    ]
    for folder in candidates[:1] if given else candidates:
        if (folder / "topics.toml").is_file() and (folder / "directory").is_dir():
            return folder
    raise ConfigurationError(
        f"no configuration in {', '.join(map(str, candidates))}: give the folder that holds topics.toml and directory/"
        " with --config or AXIS_CONFIG"
    )


@dataclass(slots=True)
class Site:
    """A site whose broker runs; a context manager that stops it.

    Args:
        settings: with the broker's present addresses.
        broker: the running broker.
        created: topics that this start created.
    """

    settings: Settings
    broker: Broker
    created: tuple[str, ...]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.broker.stop()


def start(
    folder: Path,
    config: Path,
    progress: Progress,
    *,
    environment: str = "trial",
    telemetry_port: int = DEFAULT_TELEMETRY_PORT,
    short_lived: bool = False,
) -> Site:
    """Start a site: make what is missing, keep what is there.

    Args:
        folder: the data folder; made when missing.
        config: where `directory/` and `topics.toml` are copied from on the first start.
        progress: told, in a few words, what is being done.
        environment: name of a new installation.
        telemetry_port: port of a new installation's metrics.
        short_lived: whether a quick start matters more than throughput.

    Raises:
        ConfigurationError: something on this machine has to be changed first; says what.
        Unavailable: the broker does not come up.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    settings = _settings(folder, config, environment, telemetry_port)
    progress("keys and certificates")
    pki = _keys(folder, settings)
    progress("broker")
    broker = choose(folder / "broker", pki, short_lived=short_lived)
    broker.start()
    try:
        settings = replace(
            settings, broker=replace(settings.broker, bootstrap_servers=broker.bootstrap_servers)
        )
        (folder / FILE_NAME).write_text(render(settings), "utf-8")
        progress("topics and inboxes")
        created = apply_topics(settings, folder / "topics.toml")
    except BaseException:
        broker.stop()
        raise
    return Site(settings, broker, created)


def apply_topics(settings: Settings, declaration: Path) -> tuple[str, ...]:
    """Create the topics that are missing and open every inbox that is still empty; return what was created."""
    directory = load_directory(settings.directory.folder, settings.directory.enrolment)
    applied = topics.apply(
        wiring.topic_admin(settings, ADMIN_NAME), topics.load_declaration(declaration), directory
    )
    open_empty_inboxes(settings, directory)
    return applied.created


def issue_keys(folder: Path, settings: Settings) -> int:
    """Make the development PKI of a data folder and keys for everyone in its directory; return how many.

    Raises:
        ConfigurationError: the directory has faults, or the folder holds a PKI that cannot be used.
    """
    return len(_issue(DevelopmentPki.create_or_open(folder / "pki", now=wiring.clock().now()), settings))


def _settings(folder: Path, config: Path, environment: str, telemetry_port: int) -> Settings:
    if (folder / FILE_NAME).is_file():
        return load(folder)
    shutil.copytree(config / "directory", folder / "directory", dirs_exist_ok=True)
    shutil.copyfile(config / "topics.toml", folder / "topics.toml")
    return Settings(
        folder=folder,
        environment=environment,
        node=AXIS_NODE,
        blobs="file:blobs",
        broker=BrokerSettings("", folder / "pki" / "ca.pem", folder / "pki" / "tls"),
        signatures=SignatureSettings(folder / "pki" / "ca.pem", folder / "pki" / "signing"),
        directory=DirectorySettings(folder / "directory", folder / "pki" / "enrolment.json"),
        router=RouterSettings(telemetry_port=telemetry_port),
    )


def _keys(folder: Path, settings: Settings) -> DevelopmentPki:
    pki = DevelopmentPki.create_or_open(folder / "pki", now=wiring.clock().now())
    _issue(pki, settings)
    return pki


def _issue(pki: DevelopmentPki, settings: Settings) -> list[OrganisationCode]:
    directory = load_directory(settings.directory.folder)
    for organisation in directory.organisations:
        pki.signing(organisation.code, organisation.name)
        pki.client(organisation.code)
    pki.client(ADMIN_NAME)
    return [organisation.code for organisation in directory.organisations]
