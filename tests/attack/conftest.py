"""The stage of the attacks, once for all of them."""

from collections.abc import Iterator

import pytest

from tests.attack.stage import Stage, set_up


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A real site with a running router; gone when this package is done, for its broker would slow down the others."""
    with set_up(tmp_path_factory.mktemp("attack")) as running:
        yield running
