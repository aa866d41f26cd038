"""One installation on one broker for all fault tests, and an oracle that judges it after each."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from axis.testing.broker import OwnBroker
from axis.testing.pki import DevelopmentPki
from tests.fault.installation import Installation, ProxiedBroker, install
from tests.fault.oracle import Oracle


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let aiokafka drop connections: a client that is closed while it connects leaves them to the garbage collector."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture(autouse=True)
def _garbage_is_collected_here() -> Iterator[None]:
    """What a broken connection leaves behind is not to be found in somebody else's test."""
    yield
    gc.collect()


@pytest.fixture(scope="package")
def site(pki: DevelopmentPki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation on a broker of its own, shared by the fault tests."""
    broker = ProxiedBroker(tmp_path_factory.mktemp("fault-broker"), pki)
    with broker.proxy:
        try:
            broker.start()
            yield install(tmp_path_factory.mktemp("fault-site"), pki, broker)
        finally:
            broker.kill(1)
            broker.stop()


@pytest.fixture(scope="package")
def oracle(site: Installation) -> Oracle:
    """The oracle of the shared installation."""
    return Oracle(site.settings)


@pytest.fixture
def cluster_site(
    cluster: OwnBroker, pki: DevelopmentPki, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    """An installation on three brokers."""
    return install(tmp_path_factory.mktemp("cluster-site"), pki, cluster)


@pytest.fixture
def cluster_oracle(cluster_site: Installation) -> Oracle:
    """The oracle of the three brokers."""
    return Oracle(cluster_site.settings)
