"""The metrics as an interface: names, labels, zeros and size."""

import re
import subprocess
from collections.abc import Callable
from math import isfinite
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from axis.core import attestation
from axis.core.addressing import Level
from axis.core.disposition import Disposition, Reason
from axis.core.envelope import Urgency
from axis.core.receipt import Event
from axis.settings import WORKERS
from axis.telemetry.metrics import Metrics
from axis.telemetry.reference import TABLES_BEGIN, TABLES_END, main, reference, with_tables
from axis.telemetry.vocabulary import CertificateUsage, GroupClass, ReceiptStatus, Stage, TopicClass

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"
ORGANISATIONS = 250
"""More than the province has."""
SAMPLE_LIMIT = 20_000
"""Of config/prometheus/prometheus.yml."""


LATENCIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 30, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400, 172800)  # fmt: skip
DURATIONS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864, 268435456)
GROUND: dict[str, tuple[object, ...]] = {
    "axis_attachment_size_bytes": ("histogram", "", *SIZES),
    "axis_batch_size_records": ("histogram", "", 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
    "axis_build_info": ("info", "python revision version"),
    "axis_certificate_not_after_timestamp_seconds": ("gauge", "subject usage"),
    "axis_config_hash_info": ("info", "hash"),
    "axis_consignment_size_bytes": ("histogram", "", *SIZES),
    "axis_consignments_published_total": ("counter", "channel priority"),
    "axis_consumer_lag_records": ("gauge", "group topic"),
    "axis_consumer_lag_seconds": ("gauge", "group topic"),
    "axis_deliveries_routed_total": ("counter", "level"),
    "axis_deliveries_total": ("counter", "outcome"),
    "axis_duplicates_suppressed_total": ("counter", "kind stage"),
    "axis_delivery_latency_seconds": ("histogram", "priority", *LATENCIES),
    "axis_inbox_latency_seconds": ("histogram", "priority", *LATENCIES),
    "axis_log_events_total": ("counter", "level"),
    "axis_produce_errors_total": ("counter", "kind"),
    "axis_quarantined_total": ("counter", "reason"),
    "axis_ready": ("gauge", ""),
    "axis_receipt_latency_seconds": ("histogram", "status", *LATENCIES),
    "axis_receipts_total": ("counter", "event status"),
    "axis_refusals_total": ("counter", "reason stage"),
    "axis_replayed_records_total": ("counter", "purpose"),
    "axis_router_tasks": ("gauge", ""),
    "axis_stage_duration_seconds": ("histogram", "stage", *DURATIONS),
    "axis_transactions_total": ("counter", "result"),
    "axis_verification_duration_seconds": ("histogram", "result", *DURATIONS),
    "axis_verifications_total": ("counter", "reason result"),
}
"""Type, labels and finite bounds of every metric."""


def seeded() -> CollectorRegistry:
    """Return a registry as a busy router of a whole province would show it."""
    registry = CollectorRegistry(auto_describe=True)
    metrics = Metrics(registry, config_hash="0123456789abcdef")
    for number in range(ORGANISATIONS):
        for usage in CertificateUsage:
            gauge = metrics.certificate_not_after_timestamp_seconds.labels(f"H56.{14800 + number}", usage)
            gauge.set(1_800_000_000)
    for group in GroupClass:
        for topic in TopicClass:
            metrics.consumer_lag_records[group, topic].set(5)
            metrics.consumer_lag_seconds[group, topic].set(0.5)
    return registry


def samples(registry: CollectorRegistry) -> list[Sample]:
    """Return every sample of a registry."""
    return [sample for family in registry.collect() for sample in family.samples]


def test_attributes_are_named_like_their_metrics() -> None:
    """Whoever knows a metric's name knows the attribute, and every metric has one."""
    metrics = Metrics(CollectorRegistry())
    attributes = {name for name in vars(metrics) if not name.startswith("_")}

    shown = {re.sub(r"^axis_|_total$|_info$", "", family.name) for family in metrics.families}
    assert attributes == shown


def test_dashboards_keep_their_ground() -> None:
    """Name, type, labels and bounds of every metric are as dashboards and rules of others know them."""
    shown: dict[str, tuple[object, ...]] = {}
    for family in seeded().collect():
        name = f"{family.name}_{family.type}".replace("_counter", "_total").removesuffix("_gauge")
        labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
        bounds = dict.fromkeys(
            float(sample.labels["le"]) for sample in family.samples if "le" in sample.labels
        )
        shown[name.removesuffix("_histogram")] = (family.type, " ".join(labels), *filter(isfinite, bounds))

    assert shown == GROUND


def test_every_known_label_set_exists_before_its_first_event() -> None:
    """Counters and histograms of closed vocabularies are there from the start, at zero."""
    registry = CollectorRegistry()
    Metrics(registry)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    published = "axis_consignments_published_total"
    assert [value(published, channel="kafka", priority=u.name.lower()) for u in Urgency] == [0] * 5
    of_recipients = (ReceiptStatus(code) for code in attestation._STATUSES)
    assert {
        (sample.labels["event"], sample.labels["status"]): sample.value
        for sample in samples(registry)
        if sample.name == "axis_receipts_total"
    } == dict.fromkeys(
        (
            *((event.value, "none") for event in Event if event.by_axis),
            *((Event.CONTENT_HANDOVER.value, status.value) for status in of_recipients),
        ),
        0,
    )
    assert value("axis_deliveries_total", outcome="fetched") == 0
    assert [value("axis_deliveries_routed_total", level=level.value) for level in Level] == [0] * len(Level)
    assert value("axis_inbox_latency_seconds_count", priority="very_urgent") == 0
    assert value("axis_verifications_total", result="accepted", reason="none") == 0
    assert value("axis_verifications_total", result="quarantined", reason="signature-invalid") == 0
    assert value("axis_transactions_total", result="unknown") == 0
    assert value("axis_ready") == 0


def test_every_reason_is_counted_where_it_leads() -> None:
    """Each reason code has a verification series from the start; a new reason needs no change here."""
    registry = CollectorRegistry()
    Metrics(registry)

    counted = {
        sample.labels["reason"] for sample in samples(registry) if sample.name == "axis_verifications_total"
    }
    assert counted == {reason.value for reason in Reason} | {"none"}


def test_lag_is_absent_until_it_has_been_measured() -> None:
    """A lag nobody measured must not look like no lag."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    labels = {"group": "router", "topic": "submissions-express"}

    assert registry.get_sample_value("axis_consumer_lag_seconds", labels) is None
    metrics.consumer_lag_seconds[GroupClass.ROUTER, TopicClass.SUBMISSIONS_EXPRESS].set(3)
    assert registry.get_sample_value("axis_consumer_lag_seconds", labels) == 3


def test_an_unforeseen_pair_of_labels_is_counted_all_the_same() -> None:
    """A combination that was not initialised never raises on the hot path."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)

    metrics.refusals[Stage.DELIVER, Reason.OVERSIZED].inc()
    metrics.verifications[Disposition.REFUSED, None].inc()

    assert registry.get_sample_value("axis_refusals_total", {"stage": "deliver", "reason": "oversized"}) == 1
    assert registry.get_sample_value("axis_verifications_total", {"result": "refused", "reason": "none"}) == 1


def test_a_child_is_bound_once() -> None:
    """The hot path looks a child up; it does not make one each time."""
    metrics = Metrics(CollectorRegistry())

    assert metrics.stage_duration_seconds[Stage.VERIFY] is metrics.stage_duration_seconds[Stage.VERIFY]


def test_a_busy_router_stays_within_a_scrape() -> None:
    """The series of as many workers as there may be, with every organisation's certificates, fit the scrape limits."""
    shown = samples(seeded())

    assert len(shown) * WORKERS[-1] < SAMPLE_LIMIT
    assert max(len(value) for sample in shown for value in sample.labels.values()) <= 64
    assert max(len(sample.labels) for sample in shown) + len(["job", "instance"]) <= 16


def test_no_created_series_are_shown() -> None:
    """The `_created` series would add a tenth to the size and answer no question."""
    assert b"_created" not in generate_latest(seeded())


def test_the_timeliness_threshold_is_a_bucket() -> None:
    """The recording rules read the bound 60.0 of the inbox latency."""
    assert b'axis_inbox_latency_seconds_bucket{le="60.0",priority="normal"}' in generate_latest(seeded())


def test_openmetrics_can_be_read() -> None:
    """The OpenMetrics form parses."""
    encode, _ = choose_encoder("application/openmetrics-text; version=1.0.0")
    text = encode(seeded()).decode()

    names = {family.name for family in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]
    assert "axis_inbox_latency_seconds" in names


def test_one_registry_holds_one_set() -> None:
    """Two sets in one registry would hide each other's counts."""
    registry = CollectorRegistry()
    Metrics(registry)

    with pytest.raises(ValueError, match="Duplicated"):
        Metrics(registry)


def test_the_reference_lists_exactly_the_metrics_that_exist() -> None:
    """docs/metrics.md is what the generator writes: nothing missing, nothing that is gone."""
    page = PAGE.read_text(encoding="utf-8")

    assert page == with_tables(page), "write it again: python -m axis.telemetry.reference docs/metrics.md"
    before, _, tables = page.partition(TABLES_BEGIN)
    existing = {family.name for family in Metrics(CollectorRegistry()).families}
    assert set(re.findall(r"^\| `(axis_\w+)` \|", tables, re.MULTILINE)) == existing
    differing, absent = before.split("## Khác ở đâu")[1].split("| chưa có · not here yet |")
    assert _first_column(differing) <= existing
    assert _first_column(absent).isdisjoint(existing)


def _first_column(table: str) -> set[str]:
    return {
        name
        for row in re.findall(r"^\| (`axis_[^|]*)\|", table, re.MULTILINE)
        for name in re.findall(r"axis_\w+", row)
    }


def test_the_generator_replaces_only_what_stands_between_the_markers(tmp_path: Path) -> None:
    """Text around the tables survives, and a page without markers is refused instead of overwritten."""
    page = tmp_path / "page.md"
    page.write_text(f"# Trước\n{TABLES_BEGIN}old{TABLES_END}sau\n", encoding="utf-8")

    main([str(page)])

    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# Trước\n{TABLES_BEGIN}")
    assert text.endswith(f"{TABLES_END}sau\n")
    assert reference() in text
    page.write_text("no markers", encoding="utf-8")
    with pytest.raises(ValueError, match="marker"):
        main([str(page)])
    assert page.read_text(encoding="utf-8") == "no markers"


@pytest.mark.prometheus
def test_promtool_finds_nothing_to_say(promtool: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Names, types, units and help texts follow the Prometheus conventions."""
    found = promtool("check", "metrics", input=generate_latest(seeded()).decode())

    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
