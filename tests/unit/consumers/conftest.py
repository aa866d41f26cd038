"""The town whose axis is tested."""

import pytest

from axis.consumers import lane
from tests.unit.consumers.town import Town, found_town


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """Everybody with keys, issued once."""
    return found_town(tmp_path_factory.mktemp("town"))


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of three records, so that a few submissions have boundaries between them."""
    monkeypatch.setattr(lane, "_PIECE_RECORDS", 3)
    monkeypatch.setattr(lane, "_EXPRESS_RECORDS", 2)
