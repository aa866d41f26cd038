"""A real Prometheus reads the axis with the shipped configuration."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from axis.core.addressing import Level
from axis.core.disposition import Disposition, Reason
from axis.core.envelope import Urgency
from axis.core.receipt import Event
from axis.telemetry.exposition import TelemetryServer, process_registry
from axis.telemetry.health import Health
from axis.telemetry.metrics import Metrics
from axis.telemetry.vocabulary import CertificateUsage, GroupClass, Stage, TopicClass, TransactionResult

pytestmark = pytest.mark.prometheus

CONFIG = Path(__file__).parents[2] / "config" / "prometheus"
READY_SECONDS = 60.0
Query = Callable[..., dict[str, Any]]


def _wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {READY_SECONDS:g} s for {what}")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def router() -> Iterator[TelemetryServer]:
    """A telemetry server that has seen one busy minute."""
    registry = process_registry()
    metrics = Metrics(registry, config_hash="0123456789abcdef")
    health = Health("router", {"broker": "connected"}, metrics, monotonic=lambda: 0.0)
    health.beat()
    health.report("broker", passed=True, got="connected to 1 broker")
    for urgency in Urgency:
        metrics.consignments_published[urgency].inc(10)
        metrics.inbox_latency_seconds[urgency].observe(0.08)
    metrics.verifications[Disposition.ACCEPTED, None].inc(50)
    metrics.verifications[Disposition.REFUSED, Reason.EXPIRED].inc()
    metrics.deliveries_routed[Level.WARD].inc(166)
    metrics.receipts[Event.SUBMISSION_ACCEPTANCE].inc(50)
    metrics.transactions[TransactionResult.COMMITTED].inc(5)
    metrics.stage_duration_seconds[Stage.VERIFY].observe(0.002)
    metrics.consumer_lag_records[GroupClass.ROUTER, TopicClass.SUBMISSIONS_EXPRESS].set(3)
    metrics.consumer_lag_seconds[GroupClass.ROUTER, TopicClass.SUBMISSIONS_EXPRESS].set(0.5)
    metrics.certificate_not_after_timestamp_seconds.labels("H56.14812", CertificateUsage.SIGNATURE).set(
        4_000_000_000
    )
    server = TelemetryServer("127.0.0.1", 0, registry, health)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def query(router: TelemetryServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Query]:
    """Ask a Prometheus that runs on a copy of the shipped configuration and has scraped the router twice."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed (Debian: apt install prometheus)")
    folder = tmp_path_factory.mktemp("prometheus") / "config"
    shutil.copytree(CONFIG, folder)
    port = _free_port()
    config = (folder / "prometheus.yml").read_text(encoding="utf-8")
    for old, new in (
        ("127.0.0.1:9464", f"127.0.0.1:{router.port}"),
        ("127.0.0.1:9090", f"127.0.0.1:{port}"),
        ("15s", "1s"),
        ("10s", "1s"),
    ):
        assert old in config
        config = config.replace(old, new)
    (folder / "prometheus.yml").write_text(config, encoding="utf-8")
    recording = folder / "rules" / "recording.yml"
    recording.write_text(
        recording.read_text(encoding="utf-8").replace("interval: 30s", "interval: 1s"), encoding="utf-8"
    )

    def ask(path: str, **parameters: str) -> dict[str, Any]:
        with urlopen(f"http://127.0.0.1:{port}{path}?{urlencode(parameters)}", timeout=10) as response:
            answer: dict[str, Any] = json.load(response)
        assert answer["status"] == "success"
        return answer

    def scraped() -> bool:
        try:
            result = ask("/api/v1/query", query='count_over_time(up{job="axis-router"}[1m]) >= 2')["data"][
                "result"
            ]
        except URLError:
            return False
        return bool(result)

    arguments = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder.parent / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (
        (folder.parent / "prometheus.log").open("wb") as log,
        subprocess.Popen(arguments, stderr=log) as process,
    ):
        try:
            _wait_for(lambda: process.poll() is not None or scraped(), "two scrapes of the router")
            assert process.poll() is None, (folder.parent / "prometheus.log").read_text(encoding="utf-8")
            yield ask
        finally:
            process.terminate()
            process.wait(30)


def value(query: Query, expression: str) -> float:
    """Return the single value of an instant query."""
    (sample,) = query("/api/v1/query", query=expression)["data"]["result"]
    return float(sample["value"][1])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('up{job="axis-router"}', 1),
        ("axis_ready", 1),
        ("sum(axis_consignments_published_total)", 50),
        ('axis_consignments_published_total{priority="very_urgent"}', 10),
        ('axis_verifications_total{result="refused", reason="expired"}', 1),
        ('axis_verifications_total{result="quarantined", reason="signature-invalid"}', 0),
        ('axis_deliveries_routed_total{level="ward"}', 166),
        ('axis_receipts_total{event="SUBMISSION_ACCEPTANCE"}', 50),
        ('sum(axis_inbox_latency_seconds_bucket{le="60.0"})', 5),
        ('axis_consumer_lag_seconds{group="router", topic="submissions-express"}', 0.5),
        ('axis_config_hash_info{hash="0123456789abcdef"}', 1),
        ("histogram_quantile(0.5, sum by (le) (axis_inbox_latency_seconds_bucket)) < bool 0.1", 1),
    ],
)
def test_prometheus_reads_our_metrics(query: Query, expression: str, expected: float) -> None:
    """What the router counted is what Prometheus answers."""
    assert value(query, expression) == expected


def test_a_router_has_a_bounded_number_of_series(query: Query) -> None:
    """The series that Prometheus stored for one router stay far below the scrape's limit."""
    assert 300 < value(query, 'count({job="axis-router"})') < 5000


def test_every_rule_evaluates(query: Query) -> None:
    """Every shipped rule has been evaluated without an error, and every alert carries its annotations."""

    def rules() -> list[dict[str, Any]]:
        return [rule for group in query("/api/v1/rules")["data"]["groups"] for rule in group["rules"]]

    _wait_for(lambda: all(rule["health"] != "unknown" for rule in rules()), "an evaluation of every rule")

    assert {rule["health"] for rule in rules()} == {"ok"}
    alerts = [rule for rule in rules() if rule["type"] == "alerting"]
    assert len(alerts) >= 13
    assert all(rule["annotations"].keys() == {"summary", "runbook_url"} for rule in alerts)
    assert all(rule["labels"]["severity"] in {"page", "ticket", "none"} for rule in alerts)


def test_a_healthy_router_raises_the_watchdog_alone(query: Query) -> None:
    """Nothing fires or waits to fire while all is well, except the alert that always does."""
    _wait_for(lambda: query("/api/v1/alerts")["data"]["alerts"], "the watchdog")

    assert {alert["labels"]["alertname"] for alert in query("/api/v1/alerts")["data"]["alerts"]} == {
        "AxisWatchdog"
    }
