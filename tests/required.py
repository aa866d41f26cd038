"""A pytest plugin: what a machine is said to have must be there.

A test that needs a Docker engine, Prometheus's programs, the JRE of requirements/jre.lock or the right to mount a file
system carries the marker `docker`, `prometheus`, `jre` or `mount`, and is skipped by name where they are missing. With the
marker's variable set to 1 (AXIS_REQUIRE_DOCKER and so on) such a skip is a failure instead: a CI machine, which has them
all, must not be green without having run these tests.
"""

import os
from collections.abc import Generator
from typing import Final

import pytest

VARIABLES: Final = {
    "docker": "AXIS_REQUIRE_DOCKER",
    "prometheus": "AXIS_REQUIRE_PROMETHEUS",
    "jre": "AXIS_REQUIRE_JRE",
    "mount": "AXIS_REQUIRE_MOUNT",
}
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
