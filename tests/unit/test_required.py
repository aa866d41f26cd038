"""Tests of what a machine is required to have cannot be passed over in silence."""

import re
from pathlib import Path

import pytest

from tests.required import VARIABLES

pytest_plugins = ["pytester"]

TESTS = """
import pytest

@pytest.fixture(scope="module")
def engine():
    pytest.skip("no engine answers")

@pytest.mark.docker
def test_one_container(engine):
    pass

@pytest.mark.docker
def test_other_container(engine):
    pass

@pytest.mark.prometheus
def test_rules():
    pytest.skip("promtool is not installed")

@pytest.mark.jre
def test_fallback():
    pytest.importorskip("no_such_java", reason="no JRE is installed")

@pytest.mark.docker
def test_answered():
    pass

def test_other():
    pytest.skip("no IPv6")
"""
OPTIONS = ("-p", "tests.required", "-p", "no:randomly", "-p", "no:cacheprovider", "-rA")
MARKERS = "[pytest]\nmarkers =\n  docker\n  prometheus\nasyncio_default_fixture_loop_scope = function\n"


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Six tests, five of which skip themselves, on a machine of which nothing is required."""
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    pytester.makepyfile(TESTS)
    pytester.makeini(MARKERS)
    return pytester


def test_a_skip_is_a_skip_where_nothing_is_required(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the variables, or with 0, what is missing is told and the suite passes."""
    monkeypatch.setenv(VARIABLES["docker"], "0")
    suite.runpytest_inprocess(*OPTIONS).assert_outcomes(passed=1, skipped=5)


def test_a_skip_of_what_is_required_is_a_failure(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 1 every test with the marker fails with the reason of its skip; others still skip."""
    monkeypatch.setenv(VARIABLES["docker"], "1")
    result = suite.runpytest_inprocess(*OPTIONS)
    result.assert_outcomes(passed=1, skipped=3, errors=2)
    result.stdout.fnmatch_lines(["*AXIS_REQUIRE_DOCKER=1, but: no engine answers*"])
    monkeypatch.setenv(VARIABLES["prometheus"], "1")
    monkeypatch.setenv(VARIABLES["jre"], "1")
    suite.runpytest_inprocess(*OPTIONS).assert_outcomes(passed=1, skipped=1, errors=2, failed=2)


def test_ci_requires_everything_unless_told_otherwise() -> None:
    """The CI command sets each variable to 1 where it is not set by hand."""
    command = (Path(__file__).parents[2] / ".ci" / "run").read_text("utf-8")
    for variable in VARIABLES.values():
        assert re.search(rf'^export {variable}="\$\{{{variable}:-1\}}"$', command, re.MULTILINE)
