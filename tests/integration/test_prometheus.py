"""A real Prometheus reads a running router with the shipped configuration."""

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

from tests.integration.installation import Installation
from tests.waiting import until

pytestmark = [pytest.mark.prometheus, pytest.mark.kafka]

CONFIG = Path(__file__).parents[2] / "config" / "prometheus"
COMMUNE = "H56.14812"
# Scraped twice, and after the router measured that the hand-over is committed.
SEEN = """count_over_time(up{job="axis-router"}[1m]) >= 2 and on (instance) axis_deliveries_total == 1
    and on (instance) axis_consumer_lag_records{topic="submissions-standard"} == 0"""
Query = Callable[..., dict[str, Any]]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def program() -> str:
    """The path of Prometheus; asked for first, so that no site is started where there is none."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed (Debian: apt install prometheus)")
    return program


@pytest.fixture(scope="module")
def published(program: str, site: Installation) -> str:  # noqa: ARG001 - before the site
    """The id of the one document of the site; its recipient has taken it."""
    document = site.folder.parent / "Công văn.pdf"
    document.write_bytes(b"%PDF-1.7\n")
    message_id = site.publish(document, to=COMMUNE)
    taken = site.run("inbox", "take", message_id, "--as", COMMUNE, "--to", site.folder.parent / "taken")
    assert taken.returncode == 0, taken.stderr
    return message_id


def _configure(folder: Path, router: int, port: int) -> None:
    """Write the shipped configuration for these two ports, all of it at a pace of seconds."""
    shutil.copytree(CONFIG, folder)
    config = (folder / "prometheus.yml").read_text(encoding="utf-8")
    for old, new in (
        ("127.0.0.1:9464", f"127.0.0.1:{router}"),
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


@pytest.fixture(scope="module")
def query(
    program: str,
    site: Installation,
    published: str,  # noqa: ARG001 - happens before
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Query]:
    """Ask a Prometheus that runs on a copy of the shipped configuration and has read what the router did."""
    folder, port = tmp_path_factory.mktemp("prometheus") / "config", _free_port()
    _configure(folder, site.port, port)

    def ask(path: str, **parameters: str) -> dict[str, Any]:
        with urlopen(f"http://127.0.0.1:{port}{path}?{urlencode(parameters)}", timeout=10) as response:
            answer: dict[str, Any] = json.load(response)
        assert answer["status"] == "success"
        return answer

    def scraped() -> bool:
        try:
            return bool(ask("/api/v1/query", query=SEEN)["data"]["result"])
        except URLError:
            return False

    arguments = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder.parent / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
    ]
    with (
        (folder.parent / "prometheus.log").open("wb") as log,
        subprocess.Popen(arguments, stderr=log) as process,
    ):
        try:
            until(lambda: process.poll() is not None or scraped(), "Prometheus has read what the router did")
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
        ('sum(axis_consignments_published_total{channel="kafka"})', 1),
        ('axis_consignments_published_total{priority="normal"}', 1),
        ("sum(axis_inbox_latency_seconds_count)", 1),
        ('count(axis_inbox_latency_seconds_bucket{le="60.0"})', 5),
        ('axis_verifications_total{result="quarantined", reason="signature-invalid"}', 0),
        ("sum(axis_deliveries_routed_total)", 1),
        ('axis_receipts_total{event="SUBMISSION_ACCEPTANCE", status="none"}', 1),
        ('axis_receipts_total{event="CONTENT_HANDOVER", status="01"}', 1),
        ("sum by (status) (axis_receipt_latency_seconds_count{status='01'})", 1),
        ('axis_deliveries_total{outcome="fetched"}', 1),
        ("axis_stage_duration_seconds_count{stage='deliver'} > bool 0", 1),
        ('axis_consumer_lag_records{group="router", topic="submissions-standard"}', 0),
        ('count(axis_build_info{revision=~"[0-9a-f]{12}"})', 1),
    ],
)
def test_prometheus_reads_what_a_running_router_did(query: Query, expression: str, expected: float) -> None:
    """One document that was published and taken stands in every count of it."""
    assert value(query, expression) == expected


@pytest.mark.parametrize("histogram", ["axis_inbox_latency_seconds", "axis_verification_duration_seconds"])
def test_an_exemplar_leads_to_the_log(query: Query, published: str, histogram: str) -> None:
    """Whoever sees a slow document in a histogram learns its message id."""
    found = query(
        "/api/v1/query_exemplars",
        query=f"{histogram}_bucket",
        start=str(time.time() - 600),
        end=str(time.time()),
    )["data"]
    labels = [each["labels"] for series in found for each in series["exemplars"]]

    assert {"message_id": published} in labels


@pytest.mark.parametrize("path", ["healthz", "readyz"])
def test_the_same_router_says_that_it_is_well(query: Query, site: Installation, path: str) -> None:  # noqa: ARG001
    """What asks for health, a supervisor or a load balancer, is answered by the router that is scraped."""
    with urlopen(f"http://127.0.0.1:{site.port}/{path}", timeout=10) as answer:
        body = json.load(answer)
    assert (answer.status, body.get("passed", body.get("ready"))) == (200, True)


def test_a_router_has_a_bounded_number_of_series(query: Query) -> None:
    """The series that Prometheus stored for one router stay far below the scrape's limit."""
    assert 300 < value(query, 'count({job="axis-router"})') < 5000


def test_every_rule_evaluates(query: Query) -> None:
    """Every shipped rule has been evaluated without an error, and every alert carries its annotations."""

    def rules() -> list[dict[str, Any]]:
        return [rule for group in query("/api/v1/rules")["data"]["groups"] for rule in group["rules"]]

    until(lambda: all(rule["health"] != "unknown" for rule in rules()), "every rule is evaluated")

    assert {rule["health"] for rule in rules()} == {"ok"}
    alerts = [rule for rule in rules() if rule["type"] == "alerting"]
    assert len(alerts) >= 13
    assert all(rule["annotations"].keys() == {"summary", "runbook_url"} for rule in alerts)
    assert all(rule["labels"]["severity"] in {"page", "ticket", "none"} for rule in alerts)


def test_a_healthy_router_raises_the_watchdog_alone(query: Query) -> None:
    """Nothing fires or waits to fire while all is well, except the alert that always does."""

    def raised() -> set[str]:
        return {alert["labels"]["alertname"] for alert in query("/api/v1/alerts")["data"]["alerts"]}

    # Here a scrape may take a second at most, and on a busy machine one takes longer: what that raises goes away again.
    until(lambda: raised() == {"AxisWatchdog"}, "the watchdog alone is raised")
