"""The town whose axis is tested."""

import pytest

from tests.unit.consumers.town import Town, found_town


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """Everybody with keys, issued once."""
    return found_town(tmp_path_factory.mktemp("town"))
