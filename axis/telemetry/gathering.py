"""Shows the metrics and the health of several worker processes as those of one role.

Each worker serves its own `axis.telemetry.exposition.TelemetryServer` on loopback. It is asked when somebody asks here,
so that nothing is older than a second. Every series gets a label `worker`; nothing is added up, because Prometheus
can do that and cannot take sums apart.
"""

import http.client
import json
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http import HTTPStatus
from math import inf
from threading import Lock
from typing import Any, Final, TypeVar

from prometheus_client import Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from axis.telemetry.health import EVENT_LOOP_CHECK, Check, Readiness
from axis.telemetry.metrics import READY, READY_HELP

_T = TypeVar("_T")
WORKER_LABEL: Final = "worker"
LOOPBACK: Final = "127.0.0.1"
"""Where workers serve their telemetry."""
_ANSWER_SECONDS: Final = 2.0
"""How long a worker may take to answer; its server has a thread of its own, so only a process that stands still does."""
_FRESH_SECONDS: Final = 1.0
_MOST_BYTES: Final = 16 * 1024 * 1024
_EXPECTED: Final = f"an answer within {_ANSWER_SECONDS:g} s"


class Gathering(Collector):
    """What the workers of a role tell: a collector for a registry, and the health behind `/healthz` and `/readyz`.

    Args:
        role: the role's name, e.g. "router".
        names: of the workers, the values of the label.
    """

    def __init__(self, role: str, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._role = role
        self._ports: dict[str, int] = {}
        self._ended: set[str] = set()
        self._turn = Lock()
        self._asking = ThreadPoolExecutor(max(1, len(names)), "gathering")
        self._answers: dict[str, tuple[float, Sequence[tuple[str, Any]]]] = {}

    def listens(self, name: str, port: int | None) -> None:
        """Note at which port of loopback a worker serves its telemetry; None when it does no more."""
        if port is None:
            self._ports.pop(name, None)
            self._ended.add(name)
        else:
            self._ports[name] = port
        self._answers = {}

    def collect(self) -> Iterator[Metric]:
        """Yield every family once, with the samples of all workers; of one that does not answer, that it is not ready."""
        families: dict[str, Metric] = {}
        for name, answer in self._told("/metrics", _families):
            if answer is None:
                # The address answers for all workers, so Prometheus would not see that one stands still.
                ready = families.setdefault(READY, Metric(READY, READY_HELP, "gauge"))
                ready.add_sample(READY, {WORKER_LABEL: name}, 0.0)
                continue
            for family in answer:
                samples = families.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                ).samples
                samples += [
                    sample._replace(labels=sample.labels | {WORKER_LABEL: name}) for sample in family.samples
                ]
        yield from families.values()

    def liveness(self) -> Check:
        """Return whether the event loop of every worker turned lately; otherwise that of the first whose did not.

        One that is starting, or has ended, does not count: a new start would not help it.
        """
        serving = frozenset(self._ports)
        checks = [check for check in self._checks(serving) if check.name.endswith(EVENT_LOOP_CHECK)]
        alive = checks[0] if checks else Check(EVENT_LOOP_CHECK, True, "no worker serves now", _EXPECTED)
        return next((check for check in checks if not check.passed), alive)

    def readiness(self) -> Readiness:
        """Return all checks of all workers, each under `worker <name> <check>`."""
        return Readiness(self._role, tuple(self._checks(self.names)))

    def _checks(self, names: Collection[str]) -> Iterator[Check]:
        for name, checks in self._told("/readyz", _checks):
            for check in (checks or [self._silent(name)]) if name in names else ():
                yield replace(check, name=f"{WORKER_LABEL} {name} {check.name}")

    def _silent(self, name: str) -> Check:
        got = "none" if name in self._ports else "it has ended" if name in self._ended else "not started yet"
        return Check(EVENT_LOOP_CHECK, False, got, _EXPECTED)

    def _told(self, path: str, read: Callable[[str], _T]) -> Sequence[tuple[str, _T | None]]:
        """Return what each worker tells; all are asked at once, so several that stand still cost as much as one.

        Who asks more than once a second gets the same again: to gather costs every worker and this process something.
        """
        with self._turn:
            known = self._answers
            asked_at, answers = known.get(path, (-inf, ()))
            if time.monotonic() - asked_at > _FRESH_SECONDS:
                told = self._asking.map(lambda name: self._read(name, path, read), self.names)
                answers = list(zip(self.names, told, strict=True))
                # Of what `listens` has thrown away meanwhile, nothing is kept.
                known[path] = time.monotonic(), answers
        return answers

    def _read(self, name: str, path: str, read: Callable[[str], _T]) -> _T | None:
        """Return what a worker tells; None when it does not, or nothing that can be read."""
        answer = self._ask(name, path)
        try:
            return None if answer is None else read(answer)
        except (ValueError, LookupError, TypeError):
            return None

    def _ask(self, name: str, path: str) -> str | None:
        """Return what a worker answers; None when it does not."""
        port = self._ports.get(name)
        if port is None:
            return None
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_ANSWER_SECONDS)
        try:
            # This form alone carries what leads from a histogram to a log event.
            connection.request("GET", path, headers={"Accept": CONTENT_TYPE_LATEST})
            answer = connection.getresponse()
            known = answer.status in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE)
            return answer.read(_MOST_BYTES).decode() if known else None
        except (OSError, ValueError, http.client.HTTPException):
            return None
        finally:
            connection.close()


def _families(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call] # it has no types


def _checks(text: str) -> list[Check]:
    return [Check(**check) for check in json.loads(text)["checks"]]
