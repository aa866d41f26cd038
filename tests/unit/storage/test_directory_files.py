"""The directory as files."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from axis.core.addressing import Level
from axis.core.directory import Directory
from axis.errors import Bilingual, ConfigurationError
from axis.storage.directory_files import DirectoryFiles, load_directory

SHIPPED = Path(__file__).parents[3] / "config" / "directory"
NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
CERTIFICATE = "ab" * 32

PROVINCE = """
[[organisation]]
code = "H56"
name = "Ủy ban nhân dân tỉnh Thanh Hóa"
level = "province"
legacy_code = "000.00.00.H56"
valid_from = 2025-07-01
"""
WARD = """
[[organisation]]
code = "H56.14812"
name = "Ủy ban nhân dân phường Bỉm Sơn"
level = "ward"
parent = "H56"
valid_from = 2025-07-01
"""
GROUP = """
[[group]]
name = "@bim-son"
title = "Địa bàn thị xã Bỉm Sơn cũ"
members = ["H56.14812"]
"""
ENROLMENT = {
    CERTIFICATE: {
        "organisation": "H56.14812",
        "valid_from": "2025-07-01T00:00:00+07:00",
        "valid_to": "2028-07-01T00:00:00+07:00",
    }
}


class SettableClock:
    """A clock that stands still until it is told to move."""

    def __init__(self) -> None:
        self.moment = NOW

    def now(self) -> datetime:
        """Return the moment that was set."""
        return self.moment


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a small, sound directory in two files."""
    (tmp_path / "province.toml").write_text(PROVINCE + WARD, encoding="utf-8")
    (tmp_path / "groups.toml").write_text(GROUP, encoding="utf-8")
    return tmp_path


def faults_of(folder: Path, enrolment: Path | None = None) -> tuple[str, ...]:
    """Return the faults that are reported for these files."""
    with pytest.raises(ConfigurationError) as caught:
        load_directory(folder, enrolment)
    return caught.value.faults


def test_the_shipped_directory_is_sound() -> None:
    """The directory that is shipped loads and has the province, its departments, the axis and ten wards and communes."""
    directory = load_directory(SHIPPED)
    levels = [each.level for each in directory.organisations]
    counts = {level: levels.count(level) for level in Level}
    assert counts == {
        Level.PROVINCE: 1,
        Level.DEPARTMENT: 14,
        Level.DISTRICT: 0,
        Level.COMMUNE: 8,
        Level.WARD: 2,
        Level.AXIS: 1,
    }
    assert directory.resolve("@bim-son", "H56", NOW) == ("H56.14812", "H56.14818")
    assert len(directory.resolve("@ba-thuoc", "H56", NOW)) == 8
    assert len(directory.resolve("@all", "H56", NOW)) == 24


def test_one_directory_may_be_divided_over_files_at_will(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """How the entries are divided over files, and their order, change nothing."""
    other = tmp_path_factory.mktemp("other")
    (other / "all.toml").write_text(GROUP + WARD + PROVINCE, encoding="utf-8")
    assert load_directory(other).version == load_directory(folder).version


def test_enrolled_certificates_are_read(folder: Path) -> None:
    """The table of certificates is part of the directory and of its version."""
    (folder / "enrolment.json").write_text(json.dumps(ENROLMENT))
    directory = load_directory(folder, folder / "enrolment.json")
    assert directory.organisation_of_certificate(bytes.fromhex(CERTIFICATE), NOW) == "H56.14812"
    assert directory.version != load_directory(folder).version


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            'level = "ward"',
            'level = "phuong"',
            "province.toml: organisation 2: level: got 'phuong', expected one of",
        ),
        ('level = "ward"\n', "", "province.toml: organisation 2: level: got nothing"),
        ("2025-07-01\n", '"2025-07-01"\n', "valid_from: got '2025-07-01', expected a day"),
        ("2025-07-01\n", "2025-07-01T00:00:00Z\n", "valid_from: got datetime.datetime("),
        ("2025-07-01\n", "2025-07-01\nvalid_to = 2025-06-30\n", "dates reversed"),
        ("2025-07-01\n", "2025-07-01\nsuspended = 1\n", "suspended: got 1, expected true or false"),
        ("2025-07-01\n", '2025-07-01\nphone = "0237"\n', "unknown key 'phone'"),
        ('parent = "H56"', 'parent = "H57"', "organisation H56.14812: unknown parent 'H57'"),
        ('name = "Ủy ban', "name = 7 #", "name: got 7, expected text"),
        ("phường Bỉm", "phường\u200b Bỉm", "zero-width"),
        ("phường Bỉm", "phường Bi\u0309m", "NFC"),
        ("nhân dân phường", "nhân dân \u00d0 phường", "U+00D0"),
        (
            "[[organisation]]",
            "[[organization]]",
            "got 'organization', expected [[organisation]] and [[group]]",
        ),
        ("[[organisation]]", "[[organisation", "cannot be parsed"),
    ],
)
def test_a_fault_in_a_file_is_reported_with_its_place(
    folder: Path, before: str, after: str, expected: str
) -> None:
    """Each fault of an entry says where it stands, what was got and what was expected."""
    (folder / "province.toml").write_text(PROVINCE + WARD.replace(before, after), encoding="utf-8")
    assert any(expected in fault for fault in faults_of(folder))


def test_a_group_of_other_things_than_codes_is_reported(folder: Path) -> None:
    """Members of a group are texts, and only texts."""
    (folder / "groups.toml").write_text(GROUP.replace('"H56.14812"', "14812"), encoding="utf-8")
    assert any("members: got a list with other things than text" in fault for fault in faults_of(folder))


def test_all_faults_of_all_files_are_reported_at_once_and_no_consequences_of_them(folder: Path) -> None:
    """Three faults in three files are three messages; what only follows from one of them is not a fourth."""
    broken = PROVINCE.replace('"province"', '"realm"') + WARD + WARD
    (folder / "province.toml").write_text(broken, encoding="utf-8")
    (folder / "groups.toml").write_text(GROUP.replace("14812", "14813"), encoding="utf-8")
    (folder / "enrolment.json").write_text(json.dumps({"no digest": {}}))
    faults = faults_of(folder, folder / "enrolment.json")
    assert len(faults) == 4
    for part in (
        "level: got 'realm'",
        "H56.14812' appears more than once",
        "H56.14813",
        "64 hexadecimal digits",
    ):
        assert sum(part in fault for fault in faults) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", "expected an object"),
        ("{", "cannot be parsed"),
        ('{"a": 1, "a": 2}', "a key stands twice"),
        (json.dumps({CERTIFICATE: 7}), "got int, expected a table"),
        (json.dumps(ENROLMENT).replace("H56.14812", "H56.99999"), "unknown code 'H56.99999'"),
        (json.dumps(ENROLMENT).replace("+07:00", ""), "no time zone"),
        (json.dumps(ENROLMENT).replace("2028", "2024"), "dates reversed"),
        (json.dumps(ENROLMENT).replace("2028-07", "2028-77"), "valid_to: got '2028-77"),
    ],
)
def test_a_fault_in_the_table_of_certificates_is_reported(folder: Path, text: str, expected: str) -> None:
    """A table of certificates that cannot be trusted is refused as a whole."""
    (folder / "enrolment.json").write_text(text)
    assert any(expected in fault for fault in faults_of(folder, folder / "enrolment.json"))


def test_every_fault_is_told_in_both_languages(folder: Path) -> None:
    """Whatever is wrong with a directory, its administrator reads of each mistake in Vietnamese as well."""
    other = WARD.replace("14812", "14813")
    rows = [
        # of the files
        WARD.replace('name = "Ủy', 'name = 7 # "Ủy') + 'phone = "0237"\n',
        WARD.replace('"ward"', '"phuong"'),
        WARD.replace("2025-07-01", '"2025-07-01"') + "suspended = 1\n",
        WARD.replace('name = "Ủy ban nhân dân phường Bỉm Sơn"\n', ""),
        GROUP.replace('"H56.14812"', "14812"),
        # of what they say together
        PROVINCE * 2,
        other.replace("Ủy ban nhân dân phường", " \u00d0 \u200b i\u0309") + "valid_to = 2025-06-30\n",
        WARD.replace('"H56.14812"', '"h56.1"').replace('"H56"', '"H57"') + 'legacy_code = "H56"\n',
        WARD.replace("14812", "14815").replace('parent = "H56"\n', ""),
        WARD.replace("14812", "14816").replace('parent = "H56"', 'parent = "H56.14816"'),
        GROUP.replace("@bim-son", "@all").replace('"H56.14812"', '"H56.99999", "H56.99999"'),
        GROUP.replace("@bim-son", "bim-son").replace('"H56.14812"', ""),
    ]
    (folder / "province.toml").write_text("".join(rows), encoding="utf-8")
    (folder / "a.toml").write_text("[[organisation", encoding="utf-8")
    (folder / "b.toml").write_text("organisation = [1]\nplace = 1", encoding="utf-8")
    entry = ENROLMENT[CERTIFICATE]
    entries: dict[str, object] = {
        "no digest": {},
        "1" * 64: 7,
        "2" * 64: entry | {"organisation": "H56.99999"},
        "3" * 64: entry | {"valid_from": "2025-07-01"},
        "4" * 64: entry | {"valid_to": "2024-07-01T00:00:00+07:00"},
    }
    (folder / "enrolment.json").write_text(json.dumps(entries))
    (folder / "twice.json").write_text('{"a": 1, "a": 2}')
    (folder / "list.json").write_text("[]")
    enrolments = [folder / name for name in ("enrolment.json", "twice.json", "list.json", "missing.json")]
    faults = {fault for enrolment in enrolments for fault in faults_of(folder, enrolment)}
    faults.update(faults_of(folder / "empty"))
    assert len(faults) >= 40
    assert [fault for fault in faults if not _is_told_in_both(fault)] == []


def _is_told_in_both(fault: str) -> bool:
    return isinstance(fault, Bilingual) and not fault.vietnamese.isascii() and fault.vietnamese != fault


def test_missing_files_are_reported(tmp_path: Path) -> None:
    """An empty folder is not an empty directory, and a missing table is not an empty one."""
    faults = faults_of(tmp_path, tmp_path / "enrolment.json")
    assert any("no *.toml file" in fault for fault in faults)
    assert any("enrolment.json: cannot be read" in fault for fault in faults)


def test_an_edit_comes_into_force_after_a_second(folder: Path) -> None:
    """Within a second nothing is looked at; after it the edit is in force, and the unchanged directory is the same."""
    clock = SettableClock()
    source = DirectoryFiles(folder, clock)
    before = source.current()
    (folder / "province.toml").write_text(PROVINCE + WARD + "suspended = true\n", encoding="utf-8")
    clock.moment += timedelta(milliseconds=999)
    assert source.current() is before
    clock.moment += timedelta(milliseconds=1)
    after = source.current()
    assert not after.may_send("H56.14812", NOW)
    clock.moment += timedelta(hours=1)
    assert source.current() is after


def test_a_clock_set_back_does_not_delay_an_edit(folder: Path) -> None:
    """When the clock is corrected backwards the files are looked at all the same."""
    clock = SettableClock()
    source = DirectoryFiles(folder, clock)
    before = source.current()
    (folder / "communes.toml").write_text(WARD.replace("14812", "14818"), encoding="utf-8")
    clock.moment -= timedelta(hours=1)
    assert "H56.14818" in source.current()
    assert "H56.14818" not in before


def test_a_file_restored_with_its_old_time_is_noticed(folder: Path) -> None:
    """A restored copy of the same length and modification time is still another file."""
    (folder / "groups.toml").unlink()
    clock = SettableClock()
    source = DirectoryFiles(folder, clock)
    source.current()
    path = folder / "province.toml"
    stat = path.stat()
    restored = folder / "restored"
    restored.write_text((PROVINCE + WARD).replace("14812", "14818"), encoding="utf-8")
    os.utime(restored, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    restored.rename(path)
    clock.moment += timedelta(seconds=1)
    assert "H56.14818" in source.current()


def test_a_faulty_edit_leaves_the_directory_in_force_and_is_logged_once(folder: Path) -> None:
    """A typing error does not stop the axis: the old state stays, the faults are told, the repair is taken."""
    clock = SettableClock()
    source = DirectoryFiles(folder, clock)
    before = source.current()
    (folder / "groups.toml").write_text(GROUP.replace("14812", "99999"), encoding="utf-8")
    answers: list[Directory] = []
    with capture_logs() as logs:
        for _ in range(3):
            clock.moment += timedelta(seconds=2)
            answers.append(source.current())
    assert answers == [before] * 3
    assert [entry["event"] for entry in logs] == ["directory.edit_refused"]
    assert any("H56.99999" in fault for fault in source.faults)
    (folder / "groups.toml").write_text(GROUP, encoding="utf-8")
    clock.moment += timedelta(seconds=2)
    assert source.current().version == before.version
    assert source.faults == ()


def test_a_directory_that_was_never_sound_is_not_replaced_by_an_empty_one(folder: Path) -> None:
    """Without an earlier state the faults are raised, each time, until the files are repaired."""
    source = DirectoryFiles(folder, SettableClock())
    (folder / "province.toml").write_text(WARD, encoding="utf-8")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="unknown parent"):
            source.current()
    (folder / "province.toml").write_text(PROVINCE + WARD, encoding="utf-8")
    assert "H56" in source.current()
