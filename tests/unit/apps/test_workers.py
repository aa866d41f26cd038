"""As how many processes a router runs."""

import os

import pytest

from axis.apps.workers import worker_count


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 2), (4, 4), (64, 4)])
def test_by_default_there_is_one_per_core_and_at_most_four(
    monkeypatch: pytest.MonkeyPatch, cores: int, workers: int
) -> None:
    """Only cores that the process may use count."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cores)))
    assert worker_count(0) == workers


def test_what_is_asked_for_holds() -> None:
    """A number is taken as it is, whatever the machine has."""
    assert worker_count(9) == 9
