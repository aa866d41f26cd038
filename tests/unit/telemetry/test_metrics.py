"""The metrics as an interface: names, labels, zeros and size."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from axis.core.addressing import Level
from axis.core.disposition import Disposition, Reason
from axis.core.envelope import Urgency
from axis.core.receipt import Event
from axis.telemetry.metrics import TABLES_BEGIN, TABLES_END, Metrics, main, reference, with_tables
from axis.telemetry.vocabulary import CertificateUsage, GroupClass, Stage, TopicClass

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"
ORGANISATIONS = 250
"""More than the province has."""


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


def test_every_known_label_set_exists_before_its_first_event() -> None:
    """Counters and histograms of closed vocabularies are there from the start, at zero."""
    registry = CollectorRegistry()
    Metrics(registry)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert [value("axis_consignments_published_total", priority=u.name.lower()) for u in Urgency] == [0] * 5
    assert [value("axis_receipts_total", event=event.value) for event in Event] == [0] * len(Event)
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

    metrics.refusals[Stage.COMMIT, Reason.OVERSIZED].inc()
    metrics.verifications[Disposition.REFUSED, None].inc()

    assert registry.get_sample_value("axis_refusals_total", {"stage": "commit", "reason": "oversized"}) == 1
    assert registry.get_sample_value("axis_verifications_total", {"result": "refused", "reason": "none"}) == 1


def test_a_child_is_bound_once() -> None:
    """The hot path looks a child up; it does not make one each time."""
    metrics = Metrics(CollectorRegistry())

    assert metrics.stage_duration_seconds[Stage.VERIFY] is metrics.stage_duration_seconds[Stage.VERIFY]


def test_a_busy_router_stays_below_five_thousand_series() -> None:
    """The series of one process, with every organisation's certificates, fit the budget and the scrape limits."""
    shown = samples(seeded())

    assert len(shown) < 5000
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

    assert page == with_tables(page), "write it again: python -m axis.telemetry.metrics docs/metrics.md"
    documented = set(re.findall(r"^\| `(axis_\w+)` \|", page, re.MULTILINE))
    assert documented == {family.name for family in Metrics(CollectorRegistry()).families}


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
