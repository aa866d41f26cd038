"""Settings: one `axis.toml` in the data folder, read once, every fault reported at once.

Safety is not configurable: acknowledgements, idempotence, isolation and commit order are code. What is left is where
things are and how large they may be. Paths are relative to the data folder.
"""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from axis.core.addressing import OrganisationCode, parse_code
from axis.errors import Bilingual, ConfigurationError, Refused

FILE_NAME: Final = "axis.toml"
DEFAULT_TELEMETRY_PORT: Final = 9464
PORTS: Final = range(65_536)
"""The ports that telemetry may listen at; 0 for any free one."""
WORKERS: Final = range(13)
"""How many processes one router may have: no more than the partitions of a lane, as delivered; 0 for one per core."""

_ENVIRONMENT_CHARACTERS: Final = 64
_SERVER: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([1-9][0-9]{0,4})")
_BLOBS: Final = re.compile(r"file:.+|s3://[^/]+.*")


def is_environment(text: str) -> bool:
    """Tell whether a text can name an installation: not blank, and no longer than documents may repeat it."""
    return bool(text.strip()) and len(text) <= _ENVIRONMENT_CHARACTERS


def _is_server(text: str) -> bool:
    match = _SERVER.fullmatch(text.strip())
    return match is not None and int(match[1]) in PORTS


_KINDS: Final = {
    str: Bilingual("chuỗi ký tự", "text"),
    int: Bilingual("số nguyên", "a whole number"),
    float: Bilingual("số", "a number"),
}
_RANGES: Final[Mapping[tuple[str, str], tuple[Callable[[Any], object], Bilingual]]] = {
    ("axis", "environment"): (
        is_environment,
        Bilingual("tên có 1 đến 64 ký tự", "a name of 1 to 64 characters"),
    ),
    # In memory each process would have a store of its own, so no large part would ever arrive.
    ("axis", "blobs"): (
        _BLOBS.fullmatch,
        Bilingual("file:<thư mục> hoặc s3://<kho>/<tiền tố>", "file:<folder> or s3://<bucket>/<prefix>"),
    ),
    ("broker", "bootstrap_servers"): (
        lambda text: all(map(_is_server, text.split(","))),
        Bilingual("<máy>:<cổng>, cách nhau dấu phẩy", "<host>:<port>, separated by commas"),
    ),
    ("broker", "request_timeout_seconds"): (
        lambda seconds: 0.1 <= seconds <= 600,  # noqa: PLR2004 - said beside it
        Bilingual("số từ 0.1 đến 600", "a number from 0.1 to 600"),
    ),
    ("router", "batch_records"): (
        lambda records: 1 <= records <= 10_000,  # noqa: PLR2004 - said beside it
        Bilingual("số nguyên từ 1 đến 10000", "a whole number from 1 to 10000"),
    ),
    ("router", "workers"): (
        WORKERS.__contains__,
        Bilingual(f"số nguyên từ 0 đến {WORKERS[-1]}", f"a whole number from 0 to {WORKERS[-1]}"),
    ),
    ("router", "telemetry_port"): (
        PORTS.__contains__,
        Bilingual(f"số nguyên từ 0 đến {PORTS[-1]}", f"a whole number from 0 to {PORTS[-1]}"),
    ),
}
"""For a setting, what tells whether a value of the right type can be used, and the words for what can."""
_TEXT: Final = (str.strip, Bilingual("chuỗi ký tự không trống", "text that is not blank"))
"""The same for every other setting: all of them are text."""


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """How to reach Kafka.

    Attributes:
        bootstrap_servers: "host:port,host:port".
        authority: PEM with the CA of the brokers.
        credentials: folder with `<code>.pem` (key and certificate) of each client used here.
        request_timeout_seconds: deadline of one request; 0.1 to 600.
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
        batch_records: most submissions of one transaction; 1 to 10,000.
        workers: processes that share the partitions; 0 for one per core, at most four.
        telemetry_host: where /metrics, /healthz and /readyz listen.
        telemetry_port: 0 for any free port.
    """

    batch_records: int = 500
    workers: int = 0
    telemetry_host: str = "127.0.0.1"
    telemetry_port: int = DEFAULT_TELEMETRY_PORT


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one installation.

    Attributes:
        folder: the data folder.
        environment: name of the installation, at most 64 characters; documents for another one are refused.
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
            Bilingual(
                f"không có {path}: chạy `axis up --data {folder}` để thử, hoặc chép config/axis.example.toml vào đó",
                f"{path} does not exist: run `axis up --data {folder}` for a trial site, or copy"
                " config/axis.example.toml",
            )
        ) from error
    except OSError as error:
        raise ConfigurationError(
            Bilingual(f"không đọc được {path}: {error.strerror}", f"{path} cannot be read: {error.strerror}")
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            Bilingual(f"{path} không phải TOML: {error}", f"{path} is not TOML: {error}")
        ) from error
    return parse(folder, content)


def parse(folder: Path, content: Mapping[str, Any]) -> Settings:
    """Turn the contents of `axis.toml` into settings.

    Raises:
        ConfigurationError: with every fault found.
    """
    faults: list[Bilingual] = []
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
        Bilingual(
            f"không có mục [{name}]; các mục: {sorted(known)}",
            f"[{name}] is unknown; expected one of {sorted(known)}",
        )
        for name in content
        if name not in known
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


def _code(text: str, faults: list[Bilingual]) -> OrganisationCode:
    try:
        return parse_code(text)
    except Refused as refusal:
        faults.append(
            Bilingual(
                f"[axis] node: {text!a:.40} không phải mã cơ quan; mã có dạng H56.W00",
                f"[axis] node: {refusal.detail}",
            )
        )
        return OrganisationCode("")


def _section(
    content: Mapping[str, Any], name: str, kind: type[Any], folder: Path, faults: list[Bilingual]
) -> Any:  # noqa: ANN401 - one of the dataclasses above
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
    faults: list[Bilingual],
    optional: frozenset[str] = frozenset(),
    **expected: type,
) -> dict[str, Any]:
    """Return the values of a table that have the type and lie in the range expected; note what is wrong with others."""
    table = content.get(name, {})
    if not isinstance(table, Mapping):
        faults.append(
            Bilingual(f"[{name}] phải là một bảng (table)", f"[{name}] is {table!r}, expected a table")
        )
        return {}
    faults.extend(
        Bilingual(
            f"[{name}] không có {key}; các tên: {sorted(expected)}",
            f"[{name}] {key} is unknown; expected one of {sorted(expected)}",
        )
        for key in table
        if key not in expected
    )
    values: dict[str, Any] = {}
    for key, kind in expected.items():
        if key in table:
            wanted = _wanted(name, key, kind, table[key])
            if wanted is None:
                values[key] = kind(table[key])
            else:
                faults.append(
                    Bilingual(
                        f"[{name}] {key} là {table[key]!r}, phải là {wanted.vietnamese}",
                        f"[{name}] {key} is {table[key]!r}, expected {wanted}",
                    )
                )
        elif key not in optional:
            faults.append(
                Bilingual(
                    f"[{name}] thiếu {key}, phải là {_KINDS[kind].vietnamese}",
                    f"[{name}] {key} is missing, expected {_KINDS[kind]}",
                )
            )
    return values


def _wanted(section: str, key: str, kind: type, value: object) -> Bilingual | None:
    """Return what a value should have been; None when it can be used."""
    if type(value) is not kind and not (kind is float and type(value) is int):
        return _KINDS[kind]
    holds, words = _RANGES.get((section, key), _TEXT)
    return None if holds(value) else words
