"""The journal of a publisher."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from axis.storage.journal import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal of a test lies."""
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    """An empty journal."""
    journal = Journal(path)
    yield journal
    journal.close()
