"""Fixtures of all tests, and the order in which they run."""

from typing import Final

import pytest
from hypothesis import settings

pytest_plugins = ["axis.testing.pytest_plugin", "tests.required"]

# No test asserts how long something takes; on a busy machine an example may take any time.
settings.register_profile("axis", deadline=None)
settings.load_profile("axis")

_ORDER: Final = ("container", "fault", "contract", "integration", "attack", "unit")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders whose tests take longest, so that no worker is left alone with one of them at the end."""
    items.sort(key=lambda item: _ORDER.index(item.path.relative_to(item.config.rootpath / "tests").parts[0]))
