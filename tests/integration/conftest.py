"""A site that the real `axis up` runs, and something to send there; modules with a site of another kind have their own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

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
