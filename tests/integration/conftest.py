"""Sites that several modules have, each its own, and something to send there; those of other kinds are with their tests."""

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from axis.apps.node import Node
from axis.core.addressing import OrganisationCode
from tests.attack.stage import Stage, set_up
from tests.integration.installation import Installation


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A site that `axis up` runs for the tests of this module."""
    installation = Installation(tmp_path_factory.mktemp("installation") / "axis-data")
    installation.start()
    yield installation
    installation.stop()


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    """A small file to send."""
    path = tmp_path / "Công văn.pdf"
    path.write_bytes(b"%PDF-1.7\n" + os.urandom(16))
    return path


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The stage of the attacks, for the tests of this module: a real site with a running router."""
    with set_up(tmp_path_factory.mktemp("stage")) as running:
        yield running


@pytest.fixture
async def node(stage: Stage, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Node]:
    """The node of an organisation with an empty journal."""
    settings = replace(stage.settings, folder=tmp_path)
    async with Node.open(settings, OrganisationCode(request.param)) as opened:
        yield opened
