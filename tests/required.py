"""A pytest plugin: what a machine is said to have must be there.

A test that needs a Docker engine or Prometheus's programs carries the marker `docker` or `prometheus`, and is skipped by
name where they are missing. With AXIS_REQUIRE_DOCKER=1 or AXIS_REQUIRE_PROMETHEUS=1 such a skip is a failure instead: a CI
machine, which installs both, must not be green without having run these tests.
"""

import os
from collections.abc import Generator
from typing import Final

import pytest

VARIABLES: Final = {"docker": "AXIS_REQUIRE_DOCKER", "prometheus": "AXIS_REQUIRE_PROMETHEUS"}
"""The variable that requires what a marker stands for."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a test into a failure where the machine is required to have what it needs."""
    report = yield
    if call.excinfo is None or not isinstance(call.excinfo.value, pytest.skip.Exception):
        return report
    for marker, variable in VARIABLES.items():
        if item.get_closest_marker(marker) and os.environ.get(variable) == "1":
            report.outcome = "failed"
            report.longrepr = f"{variable}=1, but: {call.excinfo.value.msg}"
    return report
