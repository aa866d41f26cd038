"""Fixtures of all tests."""

from hypothesis import settings

pytest_plugins = ["axis.testing.pytest_plugin"]

# No test asserts how long something takes; on a busy machine an example may take any time.
settings.register_profile("axis", deadline=None)
settings.load_profile("axis")
