"""Whether a role lives and is ready."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from axis.errors import IllegalTransition
from axis.telemetry.health import STALL_SECONDS, Health
from axis.telemetry.metrics import Metrics


class Seconds:
    """A monotonic clock that a test turns by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the present second."""
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    """A clock that stands still."""
    return Seconds()


@pytest.fixture
def registry() -> CollectorRegistry:
    """An empty registry."""
    return CollectorRegistry()


@pytest.fixture
def health(registry: CollectorRegistry, seconds: Seconds) -> Health:
    """A router that announced two checks."""
    expected = {"broker": "connected", "directory": "a version in force"}
    return Health("router", expected, Metrics(registry), monotonic=seconds)


def test_a_role_that_has_reported_nothing_is_not_ready(health: Health) -> None:
    """Every announced check and the event loop fail until somebody reports them."""
    readiness = health.readiness()

    assert readiness.role == "router"
    assert [check.name for check in readiness.failing] == ["event_loop", "broker", "directory"]
    assert {check.got for check in readiness.failing} == {"no turn yet", "not reported yet"}


def test_a_role_is_ready_when_all_checks_pass(health: Health, registry: CollectorRegistry) -> None:
    """With a turning loop and every check passed nothing fails, and the gauge says so."""
    health.beat()
    health.report("broker", passed=True, got="connected to 3 brokers")
    health.report("directory", passed=True, got="version 7")

    assert health.readiness().failing == ()
    assert registry.get_sample_value("axis_ready") == 1


def test_one_failing_check_is_enough(health: Health, registry: CollectorRegistry) -> None:
    """A check that fails later takes readiness away again and shows got and expected."""
    health.beat()
    health.report("broker", passed=True, got="connected to 3 brokers")
    health.report("directory", passed=True, got="version 7")
    health.report("broker", passed=False, got="no broker answers")

    (failing,) = health.readiness().failing
    assert (failing.name, failing.got, failing.expected) == ("broker", "no broker answers", "connected")
    assert registry.get_sample_value("axis_ready") == 0


def test_a_standing_event_loop_is_neither_alive_nor_ready(health: Health, seconds: Seconds) -> None:
    """Silence up to the limit is allowed, longer is not, and another turn mends it."""
    health.report("broker", passed=True, got="connected to 3 brokers")
    health.report("directory", passed=True, got="version 7")
    health.beat()

    seconds.now += STALL_SECONDS
    assert health.liveness().passed
    seconds.now += 0.5
    assert not health.liveness().passed
    assert [check.name for check in health.readiness().failing] == ["event_loop"]
    health.beat()
    assert health.readiness().failing == ()


def test_a_check_that_was_not_announced_is_our_own_fault(health: Health) -> None:
    """A misspelt check must not count as passed."""
    with pytest.raises(IllegalTransition, match=r"'brocker'.*'broker', 'directory'"):
        health.report("brocker", passed=True, got="connected")


async def test_the_loop_beats_while_the_task_runs(health: Health) -> None:
    """The role's own task keeps it alive from its first turn on, until it is cancelled."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(health.keep_beating(), timeout=0.01)

    assert health.liveness().passed
