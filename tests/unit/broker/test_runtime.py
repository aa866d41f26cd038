"""How the broker's JVM is run."""

from dataclasses import replace
from pathlib import Path

import pytest

from axis.testing.broker.runtime import Runtime

PROPERTIES = Path("server.properties")


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    """A runtime whose archive of classes is not there yet."""
    return Runtime(tmp_path / "jre", tmp_path / "jars", tmp_path / "classes.jsa")


def archive_options(runtime: Runtime) -> list[str]:
    """The options of a server's command line that name an archive of classes."""
    return [each for each in runtime.server(PROPERTIES, short_lived=True) if "Archive" in each]


def test_a_server_reads_the_archive_of_its_classes_where_there_is_one(runtime: Runtime) -> None:
    """None, or an empty one that a Java left which can write none, is not named."""
    assert archive_options(runtime) == []
    runtime.archive.touch()
    assert archive_options(runtime) == []
    runtime.archive.write_bytes(b"classes")
    assert archive_options(runtime) == [f"-XX:SharedArchiveFile={runtime.archive}"]


def test_a_recorder_writes_an_archive_and_reads_none(runtime: Runtime, tmp_path: Path) -> None:
    """What is recorded anew does not rest on what was recorded before."""
    runtime.archive.write_bytes(b"classes")
    recorder = runtime.recorder(tmp_path / "new.jsa")
    assert archive_options(recorder) == [f"-XX:ArchiveClassesAtExit={tmp_path / 'new.jsa'}"]
    assert archive_options(replace(recorder, recording=False)) == []


def test_the_report_of_a_crash_lies_beside_the_log(runtime: Runtime, tmp_path: Path) -> None:
    """Not in the folder in which somebody happened to run a command."""
    command = runtime.server(tmp_path / "node-1" / "server.properties", short_lived=False)
    assert f"-XX:ErrorFile={tmp_path / 'node-1' / 'hs_err_pid%p.log'}" in command
