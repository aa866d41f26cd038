"""The directory as files that an administrator edits: TOML for organisations and groups, JSON for certificates.

<folder>/*.toml    [[organisation]] and [[group]] tables, divided over files as one likes
enrolment.json     {"<SHA-256 of the certificate, hex>": {"organisation": code, "valid_from": ISO 8601, "valid_to": …}}
"""

import json
import os
import re
import tomllib
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

import structlog

from axis.core.addressing import Enrolment, Group, Level, Organisation, OrganisationCode
from axis.core.directory import Directory
from axis.core.directory_faults import directory_faults
from axis.errors import Bilingual, ConfigurationError
from axis.ports import Clock

LOOK_INTERVAL: Final = timedelta(seconds=1)

_SHA256_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")
_T = TypeVar("_T")

_NOTHING: Final = Bilingual("chưa có", "nothing")
_MIXED: Final = Bilingual(
    "là danh sách có phần tử không phải chuỗi ký tự", "a list with other things than text"
)
_TEXT: Final = Bilingual("chuỗi ký tự", "text")
_CODES: Final = Bilingual("danh sách các mã", "a list of codes")
_FLAG: Final = Bilingual("true hoặc false", "true or false")
_DAY: Final = Bilingual(
    "một ngày như 2025-07-01, không có dấu nháy", "a day such as 2025-07-01, without quotes"
)
_LEVEL: Final = Bilingual(f"một trong {', '.join(Level)}", f"one of {', '.join(Level)}")
_MOMENT: Final = Bilingual(
    "một thời điểm như 2025-07-01T00:00:00+07:00", "a moment such as 2025-07-01T00:00:00+07:00"
)

_logger = structlog.get_logger(__name__)


class DirectoryFiles:
    """Implements `axis.ports.DirectorySource` on a folder; an edit is in force about a second later.

    A running axis is not stopped by a faulty edit: the directory in force stays, and the faults are logged once per
    edit (`directory.edit_refused`) and kept in `faults` until the files are sound again.

    Attributes:
        faults: what is wrong with the files as they are now; empty while they are in force.
    """

    def __init__(self, folder: Path, clock: Clock, enrolment: Path | None = None) -> None:
        self.faults: tuple[str, ...] = ()
        self._folder = folder
        self._enrolment = enrolment
        self._clock = clock
        self._looked_at: datetime | None = None
        self._seen: object = None
        self._directory: Directory | None = None

    def current(self) -> Directory:
        """Return the directory in force.

        Looks at the files' metadata at most once a second, and reads them only when that has changed.

        Raises:
            ConfigurationError: the files cannot be used and no earlier state could; every fault is listed.
        """
        now = self._clock.now()
        if self._directory is None:
            self._seen = _look(self._folder, self._enrolment)
            self._directory = load_directory(self._folder, self._enrolment)
        elif self._looked_at is None or abs(now - self._looked_at) >= LOOK_INTERVAL:
            self._directory = self._renewed(self._directory)
        else:
            return self._directory
        self._looked_at = now
        return self._directory

    def _renewed(self, in_force: Directory) -> Directory:
        # Taken before reading: an edit that goes on meanwhile changes it again and is read at the next look.
        seen = _look(self._folder, self._enrolment)
        if seen == self._seen:
            return in_force
        self._seen = seen
        try:
            directory = load_directory(self._folder, self._enrolment)
        except ConfigurationError as error:
            self.faults = error.faults
            _logger.error(  # noqa: TRY400 - the faults say it all
                "directory.edit_refused", in_force=in_force.version, faults=error.faults
            )
            return in_force
        self.faults = ()
        _logger.info("directory.in_force", version=directory.version, before=in_force.version)
        return directory


def load_directory(folder: Path, enrolment: Path | None = None) -> Directory:
    """Read a directory.

    Args:
        folder: its `*.toml` files are read.
        enrolment: the table of certificates; without it no certificate is enrolled.

    Raises:
        ConfigurationError: every fault of every file is listed.
    """
    reading = _Reading()
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        reading.faults.append(
            Bilingual(
                f"{folder} không có tệp *.toml nào, phải có các tệp của danh bạ; hãy chỉ ra đúng thư mục",
                f"{folder}: has no *.toml file, expected the directory's; name the right folder",
            )
        )
    for path in paths:
        reading.read_toml(path)
    if enrolment is not None:
        reading.read_enrolment(enrolment)
    return reading.directory()


def _look(folder: Path, enrolment: Path | None) -> tuple[tuple[str, int, int, int, int] | None, ...]:
    """Return what tells one state of the files from another without reading them."""
    try:
        # A node looks every second for as long as it runs, and `Path.glob` is slower.
        paths = [folder / name for name in sorted(os.listdir(folder)) if name.endswith(".toml")]  # noqa: PTH208
    except OSError:  # the reading that follows reports it
        paths = []
    return tuple(_look_at(path) for path in (*paths, *(() if enrolment is None else (enrolment,))))


def _look_at(path: Path) -> tuple[str, int, int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:  # the reading that follows reports it
        return None
    return (path.name, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


class _Reading:
    """Everything found in the files so far, and everything wrong with them."""

    def __init__(self) -> None:
        self.faults: list[Bilingual] = []
        self._organisations: list[Organisation] = []
        self._groups: list[Group] = []
        self._enrolments: list[Enrolment] = []
        self._faulty_codes: set[str] = set()

    def read_toml(self, path: Path) -> None:
        for key, rows in self._parsed(path, tomllib.loads).items():
            if key not in {"organisation", "group"} or not isinstance(rows, list):
                self.faults.append(
                    Bilingual(
                        f"{path.name}: có {key!r}, phải chỉ gồm các bảng [[organisation]] và [[group]]",
                        f"{path.name}: got {key!r}, expected [[organisation]] and [[group]] tables only",
                    )
                )
                continue
            for number, content in enumerate(rows, 1):
                where = Bilingual(f"{path.name}: [[{key}]] thứ {number}", f"{path.name}: {key} {number}")
                self._read_row(key, _Row(where, content))

    def read_enrolment(self, path: Path) -> None:
        for sha256, content in self._parsed(path, _json_object).items():
            if not _SHA256_HEX.fullmatch(sha256):
                self.faults.append(
                    Bilingual(
                        f"{path.name}: có tên mục {sha256[:70]!r}, phải là 64 chữ số thập lục phân của một SHA-256",
                        f"{path.name}: got key {sha256[:70]!r}, expected 64 hexadecimal digits of a SHA-256",
                    )
                )
                continue
            row = _Row(f"{path.name}: {sha256[:16]}", content)
            code, since, until = row.code("organisation"), row.moment("valid_from"), row.moment("valid_to")
            if self._is_sound(row):
                self._enrolments.append(Enrolment(bytes.fromhex(sha256), code, since, until))

    def directory(self) -> Directory:
        contents = (tuple(self._organisations), tuple(self._groups), tuple(self._enrolments))
        faults = [*self.faults, *directory_faults(*contents, also_known=frozenset(self._faulty_codes))]
        if faults:
            raise ConfigurationError(*faults)
        return Directory(*contents)

    def _parsed(self, path: Path, parse: Callable[[str], dict[str, object]]) -> dict[str, object]:
        try:
            return parse(path.read_text(encoding="utf-8"))
        except OSError as error:
            self.faults.append(
                Bilingual(
                    f"không đọc được {path}: {error.strerror}; kiểm tra tệp có tồn tại không và quyền đọc tệp",
                    f"{path}: cannot be read, {error.strerror}; check that it exists and its permissions",
                )
            )
        except ValueError as error:  # of UTF-8, of TOML and of JSON
            reason = Bilingual.of(error)
            self.faults.append(
                Bilingual(
                    f"{path.name}: sai cấu trúc, không đọc được: {reason.vietnamese}",
                    f"{path.name}: cannot be parsed, {reason}",
                )
            )
        return {}

    def _read_row(self, kind: str, row: "_Row") -> None:
        if kind == "group":
            group = Group(row.text("name"), row.text("title"), row.codes("members"))
            if self._is_sound(row):
                self._groups.append(group)
            return
        organisation = Organisation(
            code=row.code("code"),
            name=row.text("name"),
            level=row.level("level"),
            parent=row.code("parent") if row.has("parent") else None,
            legacy_code=row.text("legacy_code") if row.has("legacy_code") else None,
            valid_from=row.day("valid_from"),
            valid_to=row.day("valid_to") if row.has("valid_to") else None,
            suspended=row.flag("suspended") if row.has("suspended") else False,
        )
        if self._is_sound(row):
            self._organisations.append(organisation)
        else:
            self._faulty_codes.add(organisation.code)

    def _is_sound(self, row: "_Row") -> bool:
        faults = row.closed()
        self.faults += faults
        return not faults


class _Row:
    """One table of a file, read key by key; a fault is noted and a placeholder read in its stead."""

    def __init__(self, where: str, content: object) -> None:
        self._where = where
        self._content: dict[str, object] = content if isinstance(content, dict) else {}
        self._unread = set(self._content)
        self._faults: list[Bilingual] = []
        if not isinstance(content, dict):
            kind = type(content).__name__
            self._fault(f"là kiểu {kind}, phải là một bảng (table)", f"got {kind}, expected a table")

    def has(self, key: str) -> bool:
        return key in self._content

    def text(self, key: str) -> str:
        return self._value(key, str, _TEXT, "")

    def code(self, key: str) -> OrganisationCode:
        return OrganisationCode(self.text(key))

    def codes(self, key: str) -> tuple[OrganisationCode, ...]:
        values: list[object] = self._value(key, list, _CODES, [])
        if not all(isinstance(value, str) for value in values):
            self._note(key, _MIXED, _CODES)
        return tuple(OrganisationCode(str(value)) for value in values)

    def flag(self, key: str) -> bool:
        return self._value(key, bool, _FLAG, False)

    def day(self, key: str) -> date:
        return self._value(key, date, _DAY, date.min)

    def level(self, key: str) -> Level:
        return self._converted(key, Level, _LEVEL, Level.COMMUNE)

    def moment(self, key: str) -> datetime:
        return self._converted(key, datetime.fromisoformat, _MOMENT, datetime.min.replace(tzinfo=UTC))

    def closed(self) -> list[Bilingual]:
        """Return the faults, those of keys that nobody asked for included."""
        for key in sorted(self._unread):
            self._fault(
                f"tên {key!r} không được dùng ở đây; hãy xóa hoặc sửa lại",
                f"unknown key {key!r}; remove or correct it",
            )
        return self._faults

    def _value(self, key: str, kind: type[_T], expected: Bilingual, placeholder: _T) -> _T:
        value = self._content.get(key)
        self._unread.discard(key)
        # The exact type: a moment is no day, although Python's datetime is a date.
        if type(value) is kind:
            return value
        self._note(key, _got(value), expected)
        return placeholder

    def _converted(self, key: str, convert: Callable[[str], _T], expected: Bilingual, placeholder: _T) -> _T:
        value = self._content.get(key)
        self._unread.discard(key)
        with suppress(ValueError):
            if isinstance(value, str):
                return convert(value)
        self._note(key, _got(value), expected)
        return placeholder

    def _note(self, key: str, got: Bilingual, expected: Bilingual) -> None:
        self._fault(
            f"{key} {got.vietnamese}, phải là {expected.vietnamese}", f"{key}: got {got}, expected {expected}"
        )

    def _fault(self, vietnamese: str, english: str) -> None:
        self._faults.append(Bilingual(vietnamese, english).about(self._where))


def _got(value: object) -> Bilingual:
    if value is None:
        return _NOTHING
    shown = repr(value)[:60]
    return Bilingual(f"là {shown}", shown)


def _json_object(text: str) -> dict[str, object]:
    """Parse a JSON object in which no key stands twice."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        content = dict(pairs)
        if len(content) != len(pairs):
            raise ValueError(
                Bilingual("một tên xuất hiện hai lần trong một đối tượng", "a key stands twice in one object")
            )
        return content

    content = json.loads(text, object_pairs_hook=unique)
    if not isinstance(content, dict):
        raise ValueError(Bilingual("phải là một đối tượng JSON", "expected an object"))  # noqa: TRY004 - a fault of the file, as the others of parsing
    return content
