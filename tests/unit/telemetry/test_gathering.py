"""Several worker processes that are watched as one."""

import json
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from threading import Barrier, Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from axis.core.disposition import Disposition
from axis.core.envelope import Urgency
from axis.telemetry.exposition import TelemetryServer, process_registry
from axis.telemetry.gathering import Gathering
from axis.telemetry.health import Check, Health
from axis.telemetry.metrics import Metrics
from axis.telemetry.vocabulary import TransactionResult
from tests.unit.telemetry.conftest import Promtool

HOST = "127.0.0.1"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker process serves."""

    metrics: Metrics
    health: Health
    server: TelemetryServer


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    """Two workers that are ready."""
    made = []
    for _ in range(2):
        registry = process_registry()
        metrics = Metrics(registry)
        health = Health("router", {"group": "a member"}, metrics)
        health.beat()
        health.report("group", passed=True, got="a member")
        server = TelemetryServer(HOST, 0, registry, health)
        server.start()
        made.append(Worker(metrics, health, server))
    yield made
    for each in made:
        each.server.stop()


@pytest.fixture
def gathering(workers: list[Worker]) -> Gathering:
    """Those two as one role."""
    gathered = Gathering("router", ["0", "1"])
    for name, worker in zip(gathered.names, workers, strict=True):
        gathered.listens(name, worker.server.port)
    return gathered


@pytest.fixture
def port(gathering: Gathering) -> Iterator[int]:
    """Where the role is served."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(gathering)
    server = TelemetryServer(HOST, 0, registry, gathering)
    server.start()
    yield server.port
    server.stop()


def get(port: int, path: str, accept: str = "*/*") -> tuple[int, str]:
    """Return status and body of one request."""
    try:
        with urlopen(
            Request(f"http://{HOST}:{port}{path}", headers={"Accept": accept}), timeout=10
        ) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_every_series_says_whose_it_is(workers: list[Worker], port: int, promtool: Promtool) -> None:
    """Both workers' counters stand side by side in one family, which promtool finds nothing wrong with."""
    for number, worker in enumerate(workers, start=1):
        worker.metrics.transactions[TransactionResult.COMMITTED].inc(number)
    status, text = get(port, "/metrics")
    assert status == 200
    assert text.count("# TYPE axis_transactions_total counter\n") == 1
    for number in (1, 2):
        assert f'axis_transactions_total{{result="committed",worker="{number - 1}"}} {number}.0\n' in text
    checked = promtool("check", "metrics", input=text)
    assert "error" not in (checked.stdout + checked.stderr).lower(), checked.stderr


def test_what_leads_from_a_histogram_to_the_log_is_kept(workers: list[Worker], port: int) -> None:
    """Exemplars and kinds are those of the workers, bucket by bucket."""
    workers[1].metrics.inbox_latency_seconds[Urgency.FLASH].observe(0.2, {"message_id": "m-1"})
    _, text = get(port, "/metrics", OPEN_METRICS)
    families = {family.name: family for family in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call] # it has no types
    family = families["axis_inbox_latency_seconds"]
    exemplars = {
        (sample.labels["worker"], sample.exemplar.labels["message_id"])
        for sample in family.samples
        if sample.exemplar
    }
    assert (family.type, exemplars) == ("histogram", {("1", "m-1")})
    kinds = {name: each.type for name, each in families.items()}
    assert (kinds["axis_transactions"], kinds["axis_ready"]) == ("counter", "gauge")
    assert Disposition.ACCEPTED.value in {
        sample.labels.get("result") for sample in families["axis_verifications"].samples
    }


def test_one_worker_that_is_not_ready_makes_the_role_so(
    workers: list[Worker], port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 names the worker and the check that fails."""
    monkeypatch.setattr("axis.telemetry.gathering._FRESH_SECONDS", -1.0)
    assert get(port, "/readyz")[0] == get(port, "/healthz")[0] == 200
    workers[1].health.report("group", passed=False, got="joining")
    status, body = get(port, "/readyz")
    assert (status, json.loads(body)["failing"]) == (503, ["worker 1 group"])
    assert get(port, "/healthz")[0] == 200


def test_a_worker_that_does_not_answer_is_not_alive(gathering: Gathering, port: int) -> None:
    """The others are still shown; it itself counts as not ready, and every answer says which worker it is."""
    with socket.create_server((HOST, 0)) as deaf:
        gathering.listens("0", deaf.getsockname()[1])
        status, body = get(port, "/healthz")
        assert (status, json.loads(body)["name"]) == (503, "worker 0 event_loop")
        status, text = get(port, "/metrics")
    assert status == 200
    ready = [line for line in text.splitlines() if line.startswith("axis_ready{")]
    assert sorted(ready) == ['axis_ready{worker="0"} 0.0', 'axis_ready{worker="1"} 1.0']
    assert text.count('worker="0"') == 1
    assert text.count("# TYPE axis_ready gauge\n") == 1


def test_all_workers_are_asked_at_once(gathering: Gathering) -> None:
    """Several that stand still take no longer than one: each of these answers only once the other was asked, too."""
    both = Barrier(2)

    class Waiting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            both.wait(10)
            self.send_response(503)
            self.end_headers()
            self.wfile.write(
                json.dumps({"checks": [asdict(Check("event_loop", True, "turns", "turns"))]}).encode()
            )

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Waiting) as waiting:
        Thread(target=waiting.serve_forever, daemon=True).start()
        for name in gathering.names:
            gathering.listens(name, waiting.server_port)
        assert [check.got for check in gathering.readiness().checks] == ["turns", "turns"]
        waiting.shutdown()


@pytest.mark.parametrize("body", [b"\xff\xfe", b"no metrics\n", b"[]", b"{}"])
def test_whoever_else_answers_at_a_workers_port_is_not_believed(
    gathering: Gathering, port: int, body: bytes
) -> None:
    """What cannot be read is no answer, and the others are still shown; a port that was given up is not asked."""

    class Impostor(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer((HOST, 0), Impostor) as impostor:
        Thread(target=impostor.serve_forever, daemon=True).start()
        gathering.listens("0", impostor.server_port)
        assert get(port, "/healthz")[0] == get(port, "/readyz")[0] == 503
        _, text = get(port, "/metrics")
        gathering.listens("0", None)
        status, answer = get(port, "/readyz")
        assert (status, json.loads(answer)["failing"]) == (503, ["worker 0 event_loop"])
        assert "it has ended" in answer
        impostor.shutdown()
    assert 'axis_ready{worker="0"} 0.0' in text
    assert 'axis_ready{worker="1"} 1.0' in text


def test_who_asks_at_once_again_gets_the_same(workers: list[Worker], gathering: Gathering) -> None:
    """Gathering costs every worker something, so a flood of questions is answered once."""
    before = list(gathering.collect())
    ready = gathering.readiness()
    workers[0].server.stop()
    assert list(gathering.collect()) == before
    assert gathering.readiness() == ready


def test_a_worker_that_starts_or_has_ended_is_no_reason_to_restart(gathering: Gathering) -> None:
    """Neither is ready, and both are told apart from one that does not answer; the role lives as long as the others do."""
    gathering.listens("0", None)
    assert gathering.liveness().passed
    assert [check.got for check in gathering.readiness().failing] == ["it has ended"]
    gathered = Gathering("router", ["0"])
    assert gathered.liveness().passed
    assert [check.got for check in gathered.readiness().failing] == ["not started yet"]
    (ready,) = gathered.collect()
    assert [(sample.name, sample.labels, sample.value) for sample in ready.samples] == [
        ("axis_ready", {"worker": "0"}, 0.0)
    ]
