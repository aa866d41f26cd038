"""A trial or small site on one machine: data folder, development PKI, embedded broker, topics, opened inboxes.

<folder>/axis.toml      settings; written on the first start, then the operator's, but for the broker's address when it moves
         directory/     who exists; copied from the configuration on the first start
         topics.toml    what topics there are; likewise
         pki/           development CA and keys of every organisation of the directory
         broker/        Kafka's data
         blobs/         large parts
         router-0/      the router's decision store, of several workers router-0-0/, … (rebuilt from Kafka when lost)
         nodes/<code>/  journals of the organisations' nodes
"""

import os
import re
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from axis.apps import topics, wiring
from axis.core.addressing import OrganisationCode
from axis.errors import Bilingual, ConfigurationError
from axis.settings import (
    DEFAULT_TELEMETRY_PORT,
    FILE_NAME,
    BrokerSettings,
    DirectorySettings,
    RouterSettings,
    Settings,
    SignatureSettings,
    load,
    parse,
    render,
)
from axis.storage.directory_files import load_directory
from axis.testing.broker import ADMIN_NAME, Broker, choose
from axis.testing.broker.layout import LAYOUT_NAME
from axis.testing.pki import DevelopmentPki

AXIS_NODE: Final = OrganisationCode("H56.W00")
"""Code of the axis's own node in the directory that ships with the project."""

Progress = Callable[[str], None]

_BROKER: Final = "broker"
_LOOPBACK: Final = re.compile(r"(127(\.\d+){3}|localhost|\[::1\]):\d+")
_ADDRESS_LINE: Final = re.compile(r"^\s*bootstrap_servers\s*=\s*(\"[^\"\n]*\"|'[^'\n]*')", re.MULTILINE)


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
        Bilingual(
            f"không có cấu hình trong {', '.join(map(str, candidates))}: hãy chỉ ra thư mục có topics.toml và directory/"
            " bằng --config hoặc AXIS_CONFIG",
            f"no configuration in {', '.join(map(str, candidates))}: give the folder that holds topics.toml and directory/"
            " with --config or AXIS_CONFIG",
        )
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
        ConfigurationError: something on this machine has to be changed first, or the folder is that of an installation
            whose broker runs elsewhere; says what.
        Unavailable: the broker does not come up.
    """
    folder = folder.absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = _settings(folder, config, environment, telemetry_port)
    progress("keys and certificates")
    pki = _keys(folder, settings)
    progress("broker")
    broker = choose(folder / _BROKER, pki, short_lived=short_lived)
    broker.start()
    try:
        settings = _addressed(settings, broker.bootstrap_servers)
        progress("topics and inboxes")
        created = apply_topics(settings, folder / "topics.toml")
    except BaseException:
        broker.stop()
        raise
    return Site(settings, broker, created)


def apply_topics(settings: Settings, declaration: Path) -> tuple[str, ...]:
    """Create the topics that are missing and open every inbox that is still empty; return what was created."""
    return topics.apply_and_open(
        settings,
        wiring.topic_admin(settings, ADMIN_NAME),
        topics.load_declaration(declaration),
        load_directory(settings.directory.folder, settings.directory.enrolment),
    ).created


def issue_keys(folder: Path, settings: Settings) -> int:
    """Make the development PKI of a data folder and keys for everyone in its directory; return how many.

    Raises:
        ConfigurationError: the directory has faults, or the folder holds a PKI that cannot be used.
    """
    return len(_issue(DevelopmentPki.create_or_open(folder / "pki", now=wiring.clock().now()), settings))


def _settings(folder: Path, config: Path, environment: str, telemetry_port: int) -> Settings:
    if (folder / FILE_NAME).is_file():
        settings = load(folder)
        _check_own_broker(settings)
        return settings
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
        # Beside the broker and who tries it out, on one machine, a second process would only take memory.
        router=RouterSettings(workers=1, telemetry_port=telemetry_port),
    )


def _check_own_broker(settings: Settings) -> None:
    """Refuse an installation on a cluster of others: a second, empty one must not take its place.

    Raises:
        ConfigurationError: the settings name a broker that is not the site's own.
    """
    given = settings.broker.bootstrap_servers
    is_here = all(_LOOPBACK.fullmatch(address.strip()) for address in given.split(","))
    if not is_here or not (settings.folder / _BROKER / LAYOUT_NAME).is_file():
        path, own = settings.folder / FILE_NAME, settings.folder / _BROKER
        raise ConfigurationError(
            Bilingual(
                f"{path} trỏ tới Kafka {given!a}, không phải Kafka của riêng trạm này trong {own}; nếu Kafka chạy ở nơi"
                f" khác thì dùng `axis router --data {settings.folder}`, nếu muốn một trạm có Kafka riêng thì chọn thư"
                " mục dữ liệu khác",
                f"{path} names Kafka at {given!a}, which is not the site's own in {own}; for a Kafka that runs elsewhere"
                f" use `axis router --data {settings.folder}`, for a site with its own give another data folder",
            )
        )


def _addressed(settings: Settings, address: str) -> Settings:
    """Return the settings with the broker's present address, and let the file say the same.

    Raises:
        ConfigurationError: the file has to be changed by hand; says how.
    """
    addressed = replace(settings, broker=replace(settings.broker, bootstrap_servers=address))
    path = settings.folder / FILE_NAME
    if not path.is_file():
        _replace(path, render(addressed))
    elif settings != addressed:
        line = f'bootstrap_servers = "{address}"'
        text = _ADDRESS_LINE.sub(line, path.read_text("utf-8"))
        if parse(settings.folder, tomllib.loads(text)) != addressed:
            raise ConfigurationError(
                Bilingual(
                    f"cổng của Kafka đã bị chiếm nên Kafka đổi cổng; hãy ghi vào {path}: {line}",
                    f"Kafka's port was taken, so that it has another; write into {path}: {line}",
                )
            )
        _replace(path, text)
    return addressed


def _replace(path: Path, text: str) -> None:
    """Write a file such that it is found with the old content or the new, never with a part."""
    scratch = path.with_name(path.name + ".new")
    with scratch.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        shutil.copymode(path, scratch)
    scratch.replace(path)


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
