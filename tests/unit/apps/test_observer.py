"""What the router counts of a committed batch."""

from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from axis.apps.observer import RouterObserver
from axis.consumers.decide import Judgement
from axis.consumers.equipment import Timings
from axis.core.digest import Digest
from axis.core.disposition import Disposition, Reason
from axis.core.envelope import Urgency
from axis.core.receipt import Event
from axis.core.topics import SUBMISSIONS_STANDARD
from axis.ports import DirectorySource, Record
from axis.schemas.avro import Decision
from axis.telemetry.health import Health
from axis.telemetry.metrics import Metrics
from axis.testing.clock import SettableClock

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
RECORD = Record(SUBMISSIONS_STANDARD, 0, 7, NOW, b"H56", b"")


class Counted:
    """An observer, and the samples that it leaves."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        metrics = Metrics(self._registry)
        health = Health("router", {"tasks": "all open"}, metrics)
        self._observer = RouterObserver(metrics, health, SettableClock(NOW), cast("DirectorySource", None))

    def commit(self, *judgements: Judgement) -> None:
        """Commit a batch."""
        self._observer.committed(0, judgements, Timings())
        self._observer.decided(0, judgements)

    def value(self, name: str, **labels: str) -> float | None:
        """Return a sample."""
        return self._registry.get_sample_value(name, labels)


@pytest.fixture
def counted() -> Counted:
    """Nothing was committed yet."""
    return Counted()


def handover(status: str, document: Decision | None) -> Judgement:
    """A recipient's receipt that was passed on."""
    return Judgement(
        RECORD, Disposition.ACCEPTED, receipt=Event.CONTENT_HANDOVER, status=status, document=document
    )


def decision(urgency: Urgency | None, ago_seconds: float) -> Decision:
    """What was decided about a document that reached the axis a while before `NOW`."""
    return Decision(Digest(bytes(32)), b"", urgency, NOW - timedelta(seconds=ago_seconds))


def test_how_long_a_document_waited_for_its_recipient_counts_by_its_urgency(counted: Counted) -> None:
    """From the document's own append until that of the receipt that says that it arrived, and of no other receipt."""
    flash = decision(Urgency.FLASH, 90)
    counted.commit(handover("01", flash), handover("03", flash), handover("02", decision(Urgency.URGENT, 5)))
    latency = "axis_delivery_latency_seconds"
    assert counted.value(f"{latency}_sum", priority="flash") == 90
    assert counted.value(f"{latency}_count", priority="flash") == 1
    assert counted.value(f"{latency}_count", priority="urgent") == 0
    assert counted.value("axis_deliveries_total", outcome="fetched") == 1
    assert counted.value("axis_deliveries_total", outcome="refused") == 1


def test_what_an_older_version_decided_is_not_guessed(counted: Counted) -> None:
    """Without the urgency, or the decision, the delivery counts and its time does not."""
    counted.commit(handover("01", Decision(Digest(bytes(32)), b"")), handover("01", None))
    assert counted.value("axis_deliveries_total", outcome="fetched") == 2
    counts = [counted.value("axis_delivery_latency_seconds_count", priority=each.label) for each in Urgency]
    assert counts == [0] * len(Urgency)


def test_a_refusal_counts_for_the_stage_that_found_it(counted: Counted) -> None:
    """What the examination found is told apart from what only earlier decisions show."""
    counted.commit(
        Judgement(RECORD, Disposition.REFUSED, Reason.PART_ALTERED, examined=True),
        Judgement(RECORD, Disposition.REFUSED, Reason.MESSAGE_ID_CONFLICT),
    )
    assert counted.value("axis_refusals_total", stage="verify", reason="part-altered") == 1
    assert counted.value("axis_refusals_total", stage="route", reason="part-altered") == 0
    assert counted.value("axis_refusals_total", stage="route", reason="message-id-conflict") == 1
