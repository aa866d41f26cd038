"""Brokers as the pytest plugin runs them for those who choose a back end."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType

import pytest

from axis.errors import ConfigurationError
from axis.testing.broker import Broker
from axis.testing.broker.docker import DockerBroker, engine_answers
from axis.testing.pki import DevelopmentPki
from axis.testing.pytest_plugin import chosen_broker

IN_DOCKER = pytest.param("docker", marks=pytest.mark.docker)


@contextmanager
def chosen(
    back_end: str,
    pki: DevelopmentPki,
    data_dir: Path,
    *,
    nodes: int = 1,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Broker]:
    """The broker that `AXIS_TEST_BROKER` names, whatever it is otherwise; the choice is gone once it runs."""
    with ExitStack() as running:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in {"AXIS_TEST_BROKER": back_end, **variables}.items():
                environment.setenv(name, value)
            broker = running.enter_context(chosen_broker(pki, data_dir, nodes=nodes))
        yield broker


@contextmanager
def in_docker(
    pki: DevelopmentPki, data_dir: Path, *, nodes: int = 1, back_end: str = "docker"
) -> Iterator[DockerBroker]:
    """The broker in containers; skips the test, by name, where no engine answers or the image is missing."""
    if not engine_answers():
        pytest.skip("docker: no Docker engine answers on this machine")
    with ExitStack() as running:
        try:
            broker = running.enter_context(chosen(back_end, pki, data_dir, nodes=nodes))
        except ConfigurationError as error:
            pytest.skip(f"docker: {error}")
        assert isinstance(broker, DockerBroker)
        yield broker


@contextmanager
def external(owned: Broker, pki: DevelopmentPki, data_dir: Path) -> Iterator[Broker]:
    """A broker that runs already, handed over by its addresses and a folder of keys."""
    variables = {
        "AXIS_BOOTSTRAP": owned.bootstrap_servers,
        "AXIS_CA": str(pki.ca_path),
        "AXIS_CLIENT_DIR": str(pki.ca_path.parent / "tls"),
    }
    with chosen("external", pki, data_dir, nodes=owned.nodes, variables=variables) as broker:
        yield broker
