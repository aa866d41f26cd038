"""The shipped Prometheus configuration: valid, tested, documented, and tested by tests that can fail."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from axis.telemetry.metrics import Metrics
from axis.telemetry.vocabulary import CertificateUsage, GroupClass, TopicClass

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "config" / "prometheus"
ALERTS = (CONFIG / "rules" / "alerts.yml").read_text(encoding="utf-8")
RULES = ALERTS + (CONFIG / "rules" / "recording.yml").read_text(encoding="utf-8")
TESTS = sorted((CONFIG / "tests").glob("*.yml"))
NAMES = re.findall(r"- alert: (\w+)", ALERTS)
Promtool = Callable[..., subprocess.CompletedProcess[str]]


def blocks() -> dict[str, str]:
    """Return the text of each alert by its name."""
    parts = re.split(r"- alert: ", ALERTS)[1:]
    return {part.split()[0]: part for part in parts}


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_says_what_it_means_and_where_to_read_on(name: str) -> None:
    """Each alert has a severity, a summary and a runbook that names it in Vietnamese first, then in English."""
    block = blocks()[name]

    assert re.search(r"severity: (page|ticket|none)$", block, re.MULTILINE)
    assert "summary: " in block
    (path,) = re.findall(r"runbook_url: (\S+)", block)
    runbook = (ROOT / path).read_text(encoding="utf-8")
    assert runbook.startswith(f"# {name}\n\n## Tiếng Việt\n")
    assert "\n## English\n" in runbook
    severity = re.findall(r"severity: (\w+)", block)[0]
    assert runbook.count(f"`{severity}`") >= 2


def test_every_runbook_belongs_to_an_alert() -> None:
    """No runbook stays behind when its alert goes."""
    linked = {path.rsplit("/", 1)[1] for path in re.findall(r"runbook_url: (\S+)", ALERTS)}

    assert linked == {path.name for path in (ROOT / "docs" / "runbooks").glob("*.md")}


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_is_tested(name: str) -> None:
    """Each alert fires in a rule test, and each but the watchdog also keeps silent in one."""
    text = "".join(path.read_text(encoding="utf-8") for path in TESTS)

    assert re.search(rf"alertname: {name}\n\s+exp_alerts:\n", text)
    assert name == "AxisWatchdog" or re.search(rf"alertname: {name}\n\s+exp_alerts: \[\]\n", text)


def test_rules_and_runbooks_speak_of_metrics_that_exist() -> None:
    """A renamed metric cannot leave a rule or a runbook behind that never finds anything."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.consumer_lag_records[GroupClass.ROUTER, TopicClass.SUBMISSIONS_EXPRESS].set(0)
    metrics.consumer_lag_seconds[GroupClass.ROUTER, TopicClass.SUBMISSIONS_EXPRESS].set(0)
    metrics.certificate_not_after_timestamp_seconds.labels("H56", CertificateUsage.SIGNATURE).set(0)
    existing = {sample.name for family in registry.collect() for sample in family.samples}
    runbooks = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "runbooks").glob("*.md"))

    assert set(re.findall(r"\baxis_[a-z_]+[a-z]", RULES)) <= existing
    assert set(re.findall(r"\baxis_[a-z_]+[a-z]", runbooks)) <= existing | {"axis_consumer_lag"}
    recorded = set(re.findall(r"record: (\S+)", RULES))
    assert set(re.findall(r"\baxis:[a-z_0-9]+:[a-z_0-9]+", ALERTS + runbooks)) <= recorded


def test_scrapes_are_bounded() -> None:
    """Each scrape of the axis limits series, labels and label lengths."""
    text = (CONFIG / "prometheus.yml").read_text(encoding="utf-8")
    jobs = [job for job in re.split(r"- job_name: ", text)[1:] if job.startswith("axis-")]

    assert len(jobs) == 1
    for job in jobs:
        assert "sample_limit: 20000" in job
        assert "label_value_length_limit: 64" in job


@pytest.mark.prometheus
def test_promtool_accepts_the_configuration_and_its_rules(promtool: Promtool) -> None:
    """The configuration is valid and no rule stands twice."""
    config = promtool("check", "config", CONFIG / "prometheus.yml")
    rules = promtool(
        "check", "rules", "--lint=all", "--lint-fatal", *sorted((CONFIG / "rules").glob("*.yml"))
    )

    assert config.returncode == 0, config.stderr
    assert rules.returncode == 0, rules.stderr


@pytest.mark.prometheus
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_rule_tests_pass(promtool: Promtool, path: Path) -> None:
    """The shipped rule tests hold."""
    result = promtool("test", "rules", path)

    assert result.returncode == 0, result.stdout + result.stderr


# (file, alert or record the change is made in, text, what it becomes, rule test that must notice)
MUTATIONS = [
    ("alerts.yml", "AxisTargetDown", ' or absent(up{job="axis-router"})', "", "availability"),
    ("alerts.yml", "AxisTargetDown", 'up{job="axis-router"} == 0', "up == 0", "availability"),
    ("alerts.yml", "AxisTargetDown", "for: 3m", "for: 0m", "availability"),
    ("alerts.yml", "AxisRouterNotReady", "for: 5m", "for: 1m", "availability"),
    ("alerts.yml", "AxisRouterNotReady", "== 0", "== 1", "availability"),
    ("alerts.yml", "AxisPipelineStalled", '{result="committed"}', "", "availability"),
    ("alerts.yml", "AxisPipelineStalled", "and sum(increase", "or sum(increase", "availability"),
    ("alerts.yml", "AxisPipelineStalled", "> 180", "> 1800", "availability"),
    ("alerts.yml", "AxisConsumerFallingBehind", "> 300", "> 0", "availability"),
    ("alerts.yml", "AxisConsumerFallingBehind", "[10m])) > 0", "[10m])) < 0", "availability"),
    ("alerts.yml", "AxisConsumerFallingBehind", "and max by", "or max by", "availability"),
    ("alerts.yml", "AxisProduceErrors", '{kind!="fenced"}', "", "kafka"),
    ("alerts.yml", "AxisProduceErrors", "[2m]", "[10m]", "kafka"),
    ("alerts.yml", "AxisTransactionsFailing", "> 0.1", "> 0.01", "kafka"),
    ("alerts.yml", "AxisTransactionsFailing", ">= 5", ">= 0", "kafka"),
    ("alerts.yml", "AxisTransactionsFailing", "> 0.1", "> 0.5", "kafka"),
    ("recording.yml", "axis:transactions_failed", "aborted|unknown", "aborted", "kafka"),
    ("alerts.yml", "AxisInboxTimelinessBurnFast", ">= 50", ">= 0", "timeliness"),
    ("alerts.yml", "AxisInboxTimelinessBurnFast", 'ratio_rate5m{slo="inbox_timeliness"} > 0.072', 'ratio_rate5m{slo="inbox_timeliness"} >= 0', "timeliness"),
    ("alerts.yml", "AxisInboxTimelinessBurnFast", 'ratio_rate1h{slo="inbox_timeliness"} > 0.072', 'ratio_rate1h{slo="inbox_timeliness"} > 0.2', "timeliness"),
    ("recording.yml", "ratio_rate1h", 'le="60.0"', 'le="+Inf"', "timeliness"),
    ("alerts.yml", "AxisInboxTimelinessBurnSlow", ">= 50", ">= 0", "timeliness_day"),
    ("alerts.yml", "AxisInboxTimelinessBurnSlow", 'ratio_rate2h{slo="inbox_timeliness"} > 0.015', 'ratio_rate2h{slo="inbox_timeliness"} >= 0', "timeliness_day"),
    ("alerts.yml", "AxisQuarantineSpike", "sum by (reason)", "sum", "consignments"),
    ("alerts.yml", "AxisQuarantineSpike", "> 10", "> 5", "consignments"),
    ("alerts.yml", "AxisDuplicateConflict", '{kind="conflicting"}', "", "consignments"),
    ("alerts.yml", "AxisDuplicateConflict", "> 0", "> 1", "consignments"),
    ("alerts.yml", "AxisCertificateExpiresSoon", "< 30 * 86400", "< 90 * 86400", "certificates"),
    ("alerts.yml", "AxisCertificateExpiresSoon", ">= 3 * 86400", ">= 0", "certificates"),
    ("alerts.yml", "AxisCertificateExpiresNow", "< 3 * 86400", "< 0", "certificates"),
    ("alerts.yml", "AxisCertificateExpiresNow", "min by", "max by", "certificates"),
]  # fmt: skip


@pytest.mark.prometheus
@pytest.mark.parametrize(("file", "place", "old", "new", "test"), MUTATIONS, ids=lambda text: text[:40])
def test_a_spoilt_rule_is_noticed(
    promtool: Promtool, tmp_path: Path, file: str, place: str, old: str, new: str, test: str
) -> None:
    """A rule test fails when a threshold, guard or selector of its rule is changed."""
    shutil.copytree(CONFIG, tmp_path / "prometheus")
    path = tmp_path / "prometheus" / "rules" / file
    before, found, rest = path.read_text(encoding="utf-8").partition(place)
    assert found
    assert old in rest
    path.write_text(before + found + rest.replace(old, new, 1), encoding="utf-8")

    result = promtool("test", "rules", tmp_path / "prometheus" / "tests" / f"{test}.yml")

    assert result.returncode == 1
    assert "FAILED" in result.stdout + result.stderr
