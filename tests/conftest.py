"""Fixtures of all tests."""

pytest_plugins = ["axis.testing.pytest_plugin"]
