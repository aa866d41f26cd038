"""Settings: one `axis.toml` in the data folder, read once, every fault reported at once.

Safety is not configurable: acknowledgements, idempotence, isolation and commit order are code. What is left is where
things are and how large they may be. Paths are relative to the data folder.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from axis.core.addressing import OrganisationCode, parse_code
from axis.errors import ConfigurationError, Refused

FILE_NAME: Final = "axis.toml"
DEFAULT_TELEMETRY_PORT: Final = 9464


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """How to reach Kafka.

    Attributes:
        bootstrap_servers: "host:port,host:port".
        authority: PEM with the CA of the brokers.
        credentials: folder with `<code>.pem` (key and certificate) of each client used here.
        request_timeout_seconds: deadline of one request.
    """

    bootstrap_servers: str
    authority: Path
    credentials: Path
    request_timeout_seconds: float = 10.0

    def credential(self, code: str) -> Path:
        """Return the PEM file of a client."""
        return self.credentials / f"{code}.pem"


@dataclass(frozen=True, slots=True)
class SignatureSettings:
    """Keys and trust.

    Attributes:
        anchors: PEM with the CAs that signing certificates are validated against.
        keys: folder with `<code>.pem` (key and certificate) of each organisation that signs here.
    """

    anchors: Path
    keys: Path

    def key(self, code: str) -> Path:
        """Return the PEM file that signs for an organisation."""
        return self.keys / f"{code}.pem"


@dataclass(frozen=True, slots=True)
class DirectorySettings:
    """Who exists.

    Attributes:
        folder: the directory's TOML files.
        enrolment: JSON of certificate SHA-256 to organisation.
    """

    folder: Path
    enrolment: Path


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """The router.

    Attributes:
        batch_records: most submissions of one transaction.
        telemetry_host: where /metrics, /healthz and /readyz listen.
        telemetry_port: 0 for any free port.
    """

    batch_records: int = 500
    telemetry_host: str = "127.0.0.1"
    telemetry_port: int = DEFAULT_TELEMETRY_PORT


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one installation.

    Attributes:
        folder: the data folder.
        environment: name of the installation; documents for another one are refused.
        node: organisation code of the axis itself.
        blobs: `file:` path or `s3://bucket/prefix` of the blob store.
    """

    folder: Path
    environment: str
    node: OrganisationCode
    blobs: str
    broker: BrokerSettings
    signatures: SignatureSettings
    directory: DirectorySettings
    router: RouterSettings

    def node_folder(self, code: str) -> Path:
        """Return the folder where the node of an organisation keeps its journal."""
        return self.folder / "nodes" / code


def load(folder: Path) -> Settings:
    """Read `axis.toml` of a data folder.

    Raises:
        ConfigurationError: there is no such file, or it has faults; all of them are listed.
    """
    path = folder / FILE_NAME
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{path} does not exist: run `axis up --data {folder}` for a trial site, or copy config/axis.example.toml"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from error
    return parse(folder, content)


def parse(folder: Path, content: Mapping[str, Any]) -> Settings:
    """Turn the contents of `axis.toml` into settings.

    Raises:
        ConfigurationError: with every fault found.
    """
    faults: list[str] = []
    top = _table(content, "axis", faults, environment=str, node=str, blobs=str)
    tables = {
        name: _section(content, name, kind, folder, faults)
        for name, kind in (
            ("broker", BrokerSettings),
            ("signatures", SignatureSettings),
            ("directory", DirectorySettings),
            ("router", RouterSettings),
        )
    }
    known = {"axis", *tables}
    faults.extend(
        f"[{name}] is unknown; expected one of {sorted(known)}" for name in content if name not in known
    )
    node = _code(str(top["node"]), faults) if "node" in top else OrganisationCode("")
    if faults:
        raise ConfigurationError(*faults)
    return Settings(
        folder=folder,
        environment=str(top["environment"]),
        node=node,
        blobs=str(top["blobs"]),
        broker=tables["broker"],
        signatures=tables["signatures"],
        directory=tables["directory"],
        router=tables["router"],
    )


def render(settings: Settings) -> str:
    """Return the TOML text of settings, paths relative to the data folder where they lie in it."""
    lines = ["[axis]"]
    lines += [f"{name} = {_literal(getattr(settings, name))}" for name in ("environment", "node", "blobs")]
    for name in ("broker", "signatures", "directory", "router"):
        section = getattr(settings, name)
        lines += ["", f"[{name}]"]
        for field in fields(section):
            value = getattr(section, field.name)
            if isinstance(value, Path):
                value = value.relative_to(settings.folder) if value.is_relative_to(settings.folder) else value
                value = str(value)
            lines.append(f"{field.name} = {_literal(value)}")
    return "\n".join(lines) + "\n"


def _literal(value: str | float) -> str:
    """Return a TOML value; its strings are written as those of JSON."""
    return json.dumps(value, ensure_ascii=False)


def config_hash(settings: Settings) -> str:
    """Return a short digest of the settings in force, so that drift between processes is seen."""
    return sha256(render(settings).encode()).hexdigest()[:16]


def _code(text: str, faults: list[str]) -> OrganisationCode:
    try:
        return parse_code(text)
    except Refused as refusal:
        faults.append(f"[axis] node: {refusal.detail}")
        return OrganisationCode("")


def _section(content: Mapping[str, Any], name: str, kind: type[Any], folder: Path, faults: list[str]) -> Any:  # noqa: ANN401 - one of the dataclasses above
    types: dict[str, Any] = {field.name: field.type for field in fields(kind)}
    values = _table(
        content,
        name,
        faults,
        optional=_defaulted(kind),
        **{key: _plain(value) for key, value in types.items()},
    )
    for key, expected in types.items():
        if expected is Path and key in values:
            values[key] = folder / str(values[key])
    return kind(**values) if types.keys() - _defaulted(kind) <= values.keys() else None


def _plain(expected: type) -> type:
    return str if expected is Path else expected


def _defaulted(kind: type[Any]) -> frozenset[str]:
    return frozenset(field.name for field in fields(kind) if field.default is not MISSING)


def _table(
    content: Mapping[str, Any],
    name: str,
    faults: list[str],
    optional: frozenset[str] = frozenset(),
    **expected: type,
) -> dict[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, Mapping):
        faults.append(f"[{name}] is a {type(table).__name__}, expected a table")
        return {}
    faults.extend(
        f"[{name}] {key} is unknown; expected one of {sorted(expected)}"
        for key in table
        if key not in expected
    )
    values: dict[str, Any] = {}
    for key, kind in expected.items():
        if key not in table:
            if key not in optional:
                faults.append(f"[{name}] {key} is missing, expected a {kind.__name__}")
        elif kind is float and isinstance(table[key], int | float) and not isinstance(table[key], bool):
            values[key] = float(table[key])
        elif type(table[key]) is not kind:
            faults.append(f"[{name}] {key} is {table[key]!r}, expected a {kind.__name__}")
        else:
            values[key] = table[key]
    return values
