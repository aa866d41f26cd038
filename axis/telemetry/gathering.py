"""Shows the metrics and the health of several worker processes as those of one role.

Each worker serves its own `axis.telemetry.exposition.TelemetryServer` on loopback. It is asked when somebody asks here,
so that nothing is older than the question. Every series gets a label `worker`; nothing is added up, because Prometheus
can do that and cannot take sums apart.
"""

import http.client
import json
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any, Final

from prometheus_client import Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from axis.telemetry.health import EVENT_LOOP_CHECK, Check, Readiness
from axis.telemetry.metrics import READY, READY_HELP

WORKER_LABEL: Final = "worker"
LOOPBACK: Final = "127.0.0.1"
"""Where workers serve their telemetry."""
_ANSWER_SECONDS: Final = 2.0
"""How long a worker may take to answer; its server has a thread of its own, so only a process that stands still does."""
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

    def listens(self, name: str, port: int) -> None:
        """Note at which port of loopback a worker serves its telemetry."""
        self._ports[name] = port

    def collect(self) -> Iterator[Metric]:
        """Yield every family once, with the samples of all workers; of one that does not answer, that it is not ready."""
        families: dict[str, Metric] = {}
        for name in self.names:
            answer = self._ask(name, "/metrics")
            if answer is None:
                # The address answers for all workers, so Prometheus would not see that one stands still.
                ready = families.setdefault(READY, Metric(READY, READY_HELP, "gauge"))
                ready.add_sample(READY, {WORKER_LABEL: name}, 0.0)
                continue
            for family in text_string_to_metric_families(answer):  # type: ignore[no-untyped-call] # it has no types
                samples = families.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                ).samples
                samples += [
                    sample._replace(labels=sample.labels | {WORKER_LABEL: name}) for sample in family.samples
                ]
        yield from families.values()

    def liveness(self) -> Check:
        """Return whether the event loop of every worker turned lately; otherwise that of the first whose did not."""
        checks = [check for check in self.readiness().checks if check.name.endswith(EVENT_LOOP_CHECK)]
        return next((check for check in checks if not check.passed), checks[0])

    def readiness(self) -> Readiness:
        """Return all checks of all workers, each under `worker <name> <check>`."""
        return Readiness(
            self._role,
            tuple(
                Check(
                    f"{WORKER_LABEL} {name} {check['name']}", check["passed"], check["got"], check["expected"]
                )
                for name in self.names
                for check in self._checks(name)
            ),
        )

    def _checks(self, name: str) -> Sequence[dict[str, Any]]:
        answer = self._ask(name, "/readyz")
        if answer is None:
            got = "none" if name in self._ports else "not started yet"
            return [{"name": EVENT_LOOP_CHECK, "passed": False, "got": got, "expected": _EXPECTED}]
        checks: list[dict[str, Any]] = json.loads(answer)["checks"]
        return checks

    def _ask(self, name: str, path: str) -> str | None:
        """Return what a worker answers; None when it does not."""
        if name not in self._ports:
            return None
        connection = http.client.HTTPConnection(LOOPBACK, self._ports[name], timeout=_ANSWER_SECONDS)
        try:
            # This form alone carries what leads from a histogram to a log event.
            connection.request("GET", path, headers={"Accept": CONTENT_TYPE_LATEST})
            answer = connection.getresponse()
            known = answer.status in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE)
            return answer.read(_MOST_BYTES).decode() if known else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
