"""pytest fixtures: a development PKI, a real broker and a cluster of three, started on demand, gone at the end.

Use: `pytest_plugins = ["axis.testing.pytest_plugin"]` in the top `conftest.py`. `AXIS_TEST_BROKER` chooses the
back end: `embedded`, `docker` or `external`; where it is not set, what this machine can run (`choose`). Nodes of an external
broker are nobody's to stop: `cluster` is then what this machine can run as well.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from axis.clock import SystemClock
from axis.errors import ConfigurationError
from axis.testing.broker import Broker, EmbeddedBroker, ExternalBroker, OwnBroker, choose
from axis.testing.pki import DevelopmentPki


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentPki:
    """A development PKI that lives as long as the test run."""
    return DevelopmentPki.create_or_open(tmp_path_factory.mktemp("pki"), now=SystemClock().now())


@pytest.fixture(scope="session")
def broker(pki: DevelopmentPki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker with mTLS, shared by the test run: keep apart by names of topics, groups and transactions."""
    with chosen_broker(pki, tmp_path_factory.mktemp("broker")) as running:
        yield running


@contextmanager
def chosen_broker(pki: DevelopmentPki, data_dir: Path, *, nodes: int = 1) -> Iterator[Broker]:
    """Runs the back end that `AXIS_TEST_BROKER` names, for a fixture of another scope than `broker` and `cluster`.

    Args:
        pki: issues the certificates; an external broker has its own, named in its variables.
        data_dir: the directory of a broker that is started here; not kept in order when it ends.
        nodes: 1 or 3; an external broker must list at least as many.

    Raises:
        ConfigurationError: there is no such back end, or this machine cannot run it; says what to do.
        Unavailable: the broker did not come up.
    """
    if os.environ.get("AXIS_TEST_BROKER") == "external":
        with ExternalBroker.from_environment(nodes=nodes) as running:
            yield running
        return
    with _running(_own(pki, data_dir, nodes)) as running:
        yield running


@pytest.fixture(scope="module")
def _cluster(pki: DevelopmentPki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnBroker]:
    with _running(_own(pki, tmp_path_factory.mktemp("cluster"), nodes=3)) as running:
        yield running


@pytest.fixture
def cluster(_cluster: OwnBroker) -> OwnBroker:
    """Three nodes, all up whatever the test before did to them; shared by the tests of a module."""
    for node in range(1, _cluster.nodes + 1):
        _cluster.restart(node)
    return _cluster


def _own(pki: DevelopmentPki, data_dir: Path, nodes: int) -> OwnBroker:
    match os.environ.get("AXIS_TEST_BROKER", ""):
        case "" | "external":
            return choose(data_dir, pki, nodes=nodes, short_lived=True)
        case "embedded":
            return EmbeddedBroker(data_dir, pki, nodes=nodes, short_lived=True)
        case "docker":
            from axis.testing.broker.docker import DockerBroker  # noqa: PLC0415 - testcontainers is an extra

            return DockerBroker(data_dir, pki, nodes=nodes)
        case other:
            raise ConfigurationError(f"AXIS_TEST_BROKER is {other!r}; expected embedded, docker or external")


@contextmanager
def _running(broker: OwnBroker) -> Iterator[OwnBroker]:
    """Runs a broker whose data nobody needs afterwards, so that an orderly stop would only take time."""
    try:
        broker.start()
        yield broker
    finally:
        for node in range(1, broker.nodes + 1):
            broker.kill(node)
        broker.stop()
