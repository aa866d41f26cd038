"""Every metric of the axis: name, type, labels and meaning, in one place, reviewed like an interface.

Names follow the Prometheus conventions: prefix `axis_`, base units, `_total` for counters, timestamps and not ages. No
label holds a document number, a message id, a person or one value per inbox: a label's values are a closed vocabulary
(an enum of `axis.core` or of `axis.telemetry.vocabulary`) or, for certificates, the organisation codes of the directory.

An attribute of `Metrics` has its metric's name without `axis_` and without `_total` or `_info`. Where the vocabulary is
closed the attribute is a mapping, bound once: `metrics.quarantined[Reason.UNDECODABLE].inc()`.

Lag and readiness gauges are absent or 0 until somebody has measured: what is not known is never shown as good.

`axis.telemetry.reference` writes the tables of docs/metrics.md from here.
"""

import platform
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from itertools import product
from typing import Final, Generic, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
)
from prometheus_client.metrics import MetricWrapperBase

from axis import __version__
from axis.core.addressing import Level
from axis.core.disposition import UNESTABLISHED, Disposition, Reason, disposition_of
from axis.core.envelope import Urgency
from axis.core.receipt import Event
from axis.telemetry.revision import revision
from axis.telemetry.vocabulary import (
    CertificateUsage,
    Channel,
    DeliveryOutcome,
    DuplicateKind,
    GroupClass,
    LogLevel,
    ProduceFault,
    ReceiptStatus,
    ReplayPurpose,
    Stage,
    TopicClass,
    TransactionResult,
)

READY: Final = "axis_ready"
READY_HELP: Final = "1 when every readiness check of the role passes and its event loop turns, else 0."
_DURATIONS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
# 60 s is the threshold of the timeliness objective and must stay a bound; the long tail are the legal deadlines.
_LATENCIES: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 30, 60, 300, 900),
    *(1800, 3600, 7200, 14400, 28800, 86400, 172800),
)
_BATCH_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_SIZES: Final = tuple(1024 * 4**power for power in range(10))
"""1 KiB to 256 MiB."""

_K = TypeVar("_K", bound=Hashable)
_M = TypeVar("_M", bound=MetricWrapperBase)
Vocabulary = type[StrEnum] | type[IntEnum] | str


def label_text(value: object) -> str:
    """Return a label value: an enum's wire value, `very_urgent` for an `Urgency`, `none` for None."""
    match value:
        case None:
            return "none"
        case IntEnum():
            return value.name.lower()
        case _:
            return str(value)


def _label_texts(key: object) -> Iterable[str]:
    return map(label_text, key if isinstance(key, tuple) else (key,))


class Children(dict[_K, _M], Generic[_K, _M]):
    """The children of one metric, by enum member or tuple of members.

    The keys given are initialised, so that a series exists before its first event; another key of the same type binds
    its child when it is first used.
    """

    def __init__(self, parent: _M, keys: Iterable[_K]) -> None:
        super().__init__()
        self._parent = parent
        for key in keys:
            self[key] = self.__missing__(key)

    def __missing__(self, key: _K) -> _M:
        self[key] = child = self._parent.labels(*_label_texts(key))
        return child

    def forget(self, key: _K) -> None:
        """Show this one no more, until it is set again."""
        if self.pop(key, None) is not None:
            self._parent.remove(*_label_texts(key))


@dataclass(frozen=True, slots=True)
class Family:
    """One metric as the reference shows it."""

    name: str
    kind: str
    labels: dict[str, Vocabulary]
    meaning: str


class _Catalogue:
    """Makes metrics in a registry and remembers what it made."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.families: list[Family] = []

    def _note(self, name: str, kind: str, labels: dict[str, Vocabulary], meaning: str) -> tuple[str, ...]:
        self.families.append(Family(name, kind, labels, meaning))
        return tuple(labels)

    def counter(self, name: str, meaning: str, **labels: Vocabulary) -> Counter:
        return Counter(name, meaning, self._note(name, "counter", labels, meaning), registry=self._registry)

    def gauge(self, name: str, meaning: str, **labels: Vocabulary) -> Gauge:
        return Gauge(name, meaning, self._note(name, "gauge", labels, meaning), registry=self._registry)

    def histogram(self, name: str, meaning: str, buckets: Sequence[float], **labels: Vocabulary) -> Histogram:
        kind = f"histogram, {buckets[0]} to {buckets[-1]}"
        labelnames = self._note(name, kind, labels, meaning)
        return Histogram(name, meaning, labelnames, buckets=buckets, registry=self._registry)

    def facts(self, name: str, meaning: str, **facts: str) -> Info:
        self._note(name, "info", dict.fromkeys(facts, "text"), meaning)
        metric = Info(name.removesuffix("_info"), meaning, registry=self._registry)
        metric.info(facts)
        return metric


class Metrics:
    """All metrics of one process, in one registry.

    Args:
        registry: where they are registered; a second `Metrics` in the same registry raises `ValueError`.
        config_hash: a short digest of the configuration in force, at most 64 characters.
    """

    def __init__(self, registry: CollectorRegistry, *, config_hash: str = "none") -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it unannotated
        self._catalogue = _Catalogue(registry)
        self._declare_main_path()
        self._declare_receipts()
        self._declare_decisions()
        self._declare_kafka()
        self._declare_process(config_hash)

    @property
    def families(self) -> Sequence[Family]:
        """Every metric, in order of declaration."""
        return tuple(self._catalogue.families)

    def _declare_main_path(self) -> None:
        new = self._catalogue
        self.consignments_published = Children(
            new.counter(
                "axis_consignments_published_total",
                "Envelopes accepted from a sender.",
                channel=Channel,
                priority=Urgency,
            ),
            product(Channel, Urgency),
        )
        self.deliveries_routed = Children(
            new.counter(
                "axis_deliveries_routed_total",
                "Copies committed to an inbox, by the inbox's tier.",
                level=Level,
            ),
            Level,
        )
        self.inbox_latency_seconds = Children(
            new.histogram(
                "axis_inbox_latency_seconds",
                "Time from publication until the copy is readable in the inbox.",
                _LATENCIES,
                priority=Urgency,
            ),
            Urgency,
        )
        self.stage_duration_seconds = Children(
            new.histogram("axis_stage_duration_seconds", "Time spent in one stage.", _DURATIONS, stage=Stage),
            Stage,
        )
        self.consignment_size_bytes = new.histogram(
            "axis_consignment_size_bytes", "Size of an accepted envelope on the wire.", _SIZES
        )
        self.attachment_size_bytes = new.histogram(
            "axis_attachment_size_bytes", "Size of one part, inline or referenced.", _SIZES
        )
        self.replayed_records = Children(
            new.counter(
                "axis_replayed_records_total",
                "Records read a second time; never part of the live counters. `recovery` = decisions that opening tasks read back.",
                purpose=ReplayPurpose,
            ),
            ReplayPurpose,
        )

    def _declare_receipts(self) -> None:
        new = self._catalogue
        self.receipts = Children(
            new.counter(
                "axis_receipts_total",
                "Receipts committed, by attested event and, for a recipient's, by status.",
                event=Event,
                status=ReceiptStatus,
            ),
            (
                (event, status)
                for event, status in product(Event, ReceiptStatus)
                if event.by_axis == (status is ReceiptStatus.NONE)
            ),
        )
        self.receipt_latency_seconds = Children(
            new.histogram(
                "axis_receipt_latency_seconds",
                "Time from when a receipt, or the submission that it answers, reached the axis until the receipt is readable.",
                _LATENCIES,
                status=ReceiptStatus,
            ),
            ReceiptStatus,
        )
        self.delivery_latency_seconds = Children(
            new.histogram(
                "axis_delivery_latency_seconds",
                "Time from when a document reached the axis until the recipient's receipt of status 01 did.",
                _LATENCIES,
                priority=Urgency,
            ),
            Urgency,
        )
        self.deliveries = Children(
            new.counter(
                "axis_deliveries_total",
                "Ends of deliveries that recipients attested: `fetched` = status 01, `refused` = 02; one delivery may have both.",
                outcome=DeliveryOutcome,
            ),
            DeliveryOutcome,
        )

    def _declare_decisions(self) -> None:
        new = self._catalogue
        refused = [reason for reason in Reason if disposition_of(reason) is Disposition.REFUSED]
        judged: list[tuple[Disposition, Reason | None]] = [
            (Disposition.ACCEPTED, None),
            (Disposition.DUPLICATE, None),
            *((disposition_of(reason), reason) for reason in Reason),
        ]
        self.verifications = Children(
            new.counter(
                "axis_verifications_total",
                "Submissions judged; `reason` is `none` where nothing was wrong.",
                result=Disposition,
                reason=Reason,
            ),
            judged,
        )
        self.verification_duration_seconds = Children(
            new.histogram(
                "axis_verification_duration_seconds",
                "Time to judge one submission.",
                _DURATIONS,
                result=Disposition,
            ),
            Disposition,
        )
        self.refusals = Children(
            new.counter(
                "axis_refusals_total",
                "Submissions refused with an answer to the sender.",
                stage=Stage,
                reason=Reason,
            ),
            product((Stage.VERIFY, Stage.ROUTE), refused),
        )
        self.quarantined = Children(
            new.counter("axis_quarantined_total", "Records parked for an officer.", reason=Reason),
            sorted(UNESTABLISHED),
        )
        self.duplicates_suppressed = Children(
            new.counter(
                "axis_duplicates_suppressed_total",
                "Repeated message ids without a second effect; `conflicting` = same id, another envelope.",
                stage=Stage,
                kind=DuplicateKind,
            ),
            product((Stage.ROUTE,), DuplicateKind),
        )

    def _declare_kafka(self) -> None:
        new = self._catalogue
        self.transactions = Children(
            new.counter(
                "axis_transactions_total",
                "Kafka transactions, by how they ended.",
                result=TransactionResult,
            ),
            TransactionResult,
        )
        self.produce_errors = Children(
            new.counter(
                "axis_produce_errors_total",
                "Transactions given up because a write was not acknowledged.",
                kind=ProduceFault,
            ),
            ProduceFault,
        )
        unmeasured: tuple[tuple[GroupClass, TopicClass], ...] = ()
        self.consumer_lag_records = Children(
            new.gauge(
                "axis_consumer_lag_records",
                "Records not yet committed, over the partitions this process owns.",
                group=GroupClass,
                topic=TopicClass,
            ),
            unmeasured,
        )
        self.consumer_lag_seconds = Children(
            new.gauge(
                "axis_consumer_lag_seconds",
                "Age of the oldest record not yet committed; 0 when there is none. Before a task has read it, since it was seen to wait.",
                group=GroupClass,
                topic=TopicClass,
            ),
            unmeasured,
        )
        self.router_tasks = new.gauge("axis_router_tasks", "Submission partitions that this process owns.")
        self.batch_size_records = new.histogram(
            "axis_batch_size_records", "Submissions in one transaction.", _BATCH_SIZES
        )

    def _declare_process(self, config_hash: str) -> None:
        new = self._catalogue
        self.ready = new.gauge(READY, READY_HELP)
        self.certificate_not_after_timestamp_seconds = new.gauge(
            "axis_certificate_not_after_timestamp_seconds",
            "End of a certificate's validity.",
            subject="organisation code",
            usage=CertificateUsage,
        )
        self.log_events = Children(
            new.counter("axis_log_events_total", "Log events written.", level=LogLevel), LogLevel
        )
        self.build = new.facts(
            "axis_build_info",
            "The running software; `revision` is a short digest of its own files.",
            version=__version__,
            revision=revision(),
            python=platform.python_version(),
        )
        self.config_hash = new.facts(
            "axis_config_hash_info", "Short digest of the configuration in force.", hash=config_hash
        )
