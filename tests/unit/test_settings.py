"""Settings: read once, every fault at once, and written so that they can be read again."""

import copy
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axis.core.addressing import OrganisationCode
from axis.errors import Bilingual, ConfigurationError
from axis.settings import FILE_NAME, Settings, config_hash, load, parse, render

FOLDER = Path("/var/lib/axis")
COMPLETE: dict[str, Any] = {
    "axis": {"environment": "trial", "node": "H56.W00", "blobs": "file:blobs"},
    "broker": {
        "bootstrap_servers": "127.0.0.1:9092",
        "authority": "pki/ca.pem",
        "credentials": "/etc/axis/tls",
    },
    "signatures": {"anchors": "pki/ca.pem", "keys": "pki/signing"},
    "directory": {"folder": "directory", "enrolment": "pki/enrolment.json"},
    "router": {},
}


def changed(section: str, **values: object) -> dict[str, Any]:
    """Complete settings with some values of one section set, or left out where they are None."""
    content = copy.deepcopy(COMPLETE)
    table = content.setdefault(section, {})
    for name, value in values.items():
        if value is None:
            del table[name]
        else:
            table[name] = value
    return content


def faults(content: dict[str, Any]) -> tuple[str, ...]:
    """Every fault that reading ends in."""
    with pytest.raises(ConfigurationError) as caught:
        parse(FOLDER, content)
    return caught.value.faults


def test_complete_settings_are_read() -> None:
    """Paths are relative to the data folder unless absolute, and what is left out has its default."""
    settings = parse(FOLDER, COMPLETE)
    assert settings.node == "H56.W00"
    assert settings.broker.authority == FOLDER / "pki" / "ca.pem"
    assert settings.broker.credential("H56") == Path("/etc/axis/tls/H56.pem")
    assert settings.signatures.key("H56") == FOLDER / "pki" / "signing" / "H56.pem"
    assert settings.router.batch_records > 0
    assert parse(FOLDER, changed("broker", request_timeout_seconds=3)).broker.request_timeout_seconds == 3.0


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (changed("axis", environment=None), ["[axis] environment is missing, expected text"]),
        (changed("axis", node=None), ["[axis] node is missing, expected text"]),
        (changed("axis", blobs=7), ["[axis] blobs is 7, expected text"]),
        (
            changed("router", telemetry_port="9464"),
            ["[router] telemetry_port is '9464', expected a whole number"],
        ),
        (
            changed("router", telemetry_port=True),
            ["[router] telemetry_port is True, expected a whole number"],
        ),
        (
            changed("broker", request_timeout_seconds=True),
            ["[broker] request_timeout_seconds is True, expected a number"],
        ),
        (
            changed("broker", authority=None, request_timeout_seconds=3.0),
            ["[broker] authority is missing, expected text"],
        ),
        ({**COMPLETE, "broker": []}, ["[broker] is [], expected a table"]),
    ],
)
def test_a_fault_is_named_with_what_was_expected(content: dict[str, Any], expected: list[str]) -> None:
    """One fault is one line."""
    assert list(faults(content)) == expected


@pytest.mark.parametrize(
    ("section", "name", "values", "expected"),
    [
        ("axis", "environment", ["", "  ", "x" * 65], "a name of 1 to 64 characters"),
        (
            "axis",
            "blobs",
            ["", "memory:", "file:", "s3:bucket", "s3://", "blobs"],
            "file:<folder> or s3://<bucket>/<prefix>",
        ),
        (
            "broker",
            "bootstrap_servers",
            ["", "kafka", "kafka:0", "kafka:65536", "a:1,", "a:1;b:2", "ssl://a:1"],
            "<host>:<port>, separated by commas",
        ),
        ("broker", "authority", ["", " "], "text that is not blank"),
        (
            "broker",
            "request_timeout_seconds",
            [0, -1, 0.09, 601, 10**400, float("nan"), float("inf")],
            "a number from 0.1 to 600",
        ),
        ("router", "batch_records", [0, -1, 10_001], "a whole number from 1 to 10000"),
        ("router", "workers", [-1, 13], "a whole number from 0 to 12"),
        ("router", "telemetry_port", [-1, 65_536, 99_999], "a whole number from 0 to 65535"),
        ("router", "telemetry_host", [""], "text that is not blank"),
    ],
)
def test_a_value_out_of_range_is_a_fault(
    section: str, name: str, values: list[object], expected: str
) -> None:
    """What cannot work is refused when it is read, with what was got and what would do."""
    for value in values:
        found = faults(changed(section, **{name: value}))
        assert found == (f"[{section}] {name} is {value!r}, expected {expected}",)


def test_the_ends_of_each_range_can_be_used() -> None:
    """What is just inside is taken as it is."""
    for section, values in (
        ("axis", {"environment": "x" * 64, "blobs": "s3://axis/parts"}),
        ("broker", {"bootstrap_servers": "kafka-1.gov.vn:65535, [::1]:1", "request_timeout_seconds": 0.1}),
        ("broker", {"request_timeout_seconds": 600}),
        ("router", {"batch_records": 1, "telemetry_port": 0, "workers": 0}),
        ("router", {"batch_records": 10_000, "telemetry_port": 65_535, "workers": 12}),
    ):
        settings = parse(FOLDER, changed(section, **values))
        read = settings if section == "axis" else getattr(settings, section)
        assert {name: getattr(read, name) for name in values} == values


def test_every_fault_is_told_in_both_languages() -> None:
    """No fault of a settings file is left without its Vietnamese words."""
    content = {"axis": {"environment": 1, "node": "?", "x": 0, "blobs": ""}, "broker": [], "extra": {}}
    for fault in faults(content):
        assert isinstance(fault, Bilingual)
        assert fault.vietnamese != str(fault)


def test_a_code_that_is_none_says_what_one_looks_like() -> None:
    """The node's code is checked like every other."""
    (fault,) = faults(changed("axis", node="h56"))
    assert fault.startswith("[axis] node: got 'h56', expected")


def test_unknown_names_are_faults() -> None:
    """A misspelt name is never passed over in silence."""
    assert "acks" in faults(changed("broker", acks="1"))[0]
    (fault,) = faults({**COMPLETE, "routers": {}})
    assert fault.startswith("[routers] is unknown; expected one of")


def test_all_faults_are_reported_at_once() -> None:
    """An operator corrects a file in one go."""
    content = {"axis": {"environment": 1, "node": "?", "x": 0}, "broker": {"authority": 2}, "extra": {}}
    found = faults(content)
    for part in (
        "[axis] environment",
        "[axis] node:",
        "[axis] blobs is missing",
        "[axis] x is unknown",
        "[broker] authority",
        "[broker] bootstrap_servers",
        "[broker] credentials",
        "[signatures] anchors",
        "[directory] folder",
        "[extra] is unknown",
    ):
        assert any(fault.startswith(part) for fault in found), part


@given(
    environment=st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20).filter(str.strip)
    | st.sampled_from(['"', "\\", "a\n", '"""']),
    path=st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20).filter(str.strip),
    timeout=st.floats(0.1, 600),
)
def test_what_is_written_can_be_read_again(environment: str, path: str, timeout: float) -> None:
    """Quotes, backslashes and letters of every script survive, and so does where things are."""
    plain = parse(FOLDER, COMPLETE)
    settings = replace(
        plain,
        environment=environment,
        broker=replace(plain.broker, authority=FOLDER / path, request_timeout_seconds=timeout),
    )
    assert parse(FOLDER, tomllib.loads(render(settings))) == settings


def test_a_moved_folder_takes_its_settings_along(tmp_path: Path) -> None:
    """What lies in the data folder is written relative to it."""
    (tmp_path / FILE_NAME).write_text(render(parse(FOLDER, COMPLETE)), "utf-8")
    assert load(tmp_path).signatures.anchors == tmp_path / "pki" / "ca.pem"
    assert load(tmp_path).node_folder("H56") == tmp_path / "nodes" / "H56"


@pytest.mark.parametrize("content", [b"[axis\n", b"\xff\xfe"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    """The message begins with the file."""
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"{FILE_NAME} is not TOML"):
        load(tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A folder in the file's place is the operator's matter, not a failure of ours."""
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(ConfigurationError, match=f"{FILE_NAME} cannot be read"):
        load(tmp_path)


def test_a_folder_without_settings_says_how_to_get_some(tmp_path: Path) -> None:
    """The first thing that a newcomer sees is a way on."""
    with pytest.raises(ConfigurationError, match="axis up --data"):
        load(tmp_path)


def test_other_settings_have_another_hash() -> None:
    """Processes that run with different settings are told apart."""

    def hash_of(settings: Settings) -> str:
        return config_hash(settings)

    plain = parse(FOLDER, COMPLETE)
    assert hash_of(plain) == hash_of(parse(FOLDER, COMPLETE))
    assert hash_of(plain) != hash_of(replace(plain, node=OrganisationCode("H57.W00")))
