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
from axis.errors import ConfigurationError
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
        (changed("axis", environment=None), ["[axis] environment is missing, expected a str"]),
        (changed("axis", node=None), ["[axis] node is missing, expected a str"]),
        (changed("axis", blobs=7), ["[axis] blobs is 7, expected a str"]),
        (changed("router", telemetry_port="9464"), ["[router] telemetry_port is '9464', expected a int"]),
        (changed("router", telemetry_port=True), ["[router] telemetry_port is True, expected a int"]),
        (
            changed("broker", request_timeout_seconds=True),
            ["[broker] request_timeout_seconds is True, expected a float"],
        ),
        (
            changed("broker", authority=None, request_timeout_seconds=3.0),
            ["[broker] authority is missing, expected a str"],
        ),
        ({**COMPLETE, "broker": []}, ["[broker] is a list, expected a table"]),
    ],
)
def test_a_fault_is_named_with_what_was_expected(content: dict[str, Any], expected: list[str]) -> None:
    """One fault is one line."""
    assert list(faults(content)) == expected


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
    environment=st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)
    | st.sampled_from(['"', "\\", "\n", '"""']),
    path=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20),
    timeout=st.floats(0.001, 1e6),
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
