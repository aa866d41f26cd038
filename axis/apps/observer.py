"""What a router tells operators: an event per submission and fault; counters for everything; readiness."""

import logging
from collections.abc import Collection, Sequence
from typing import Final

import structlog

from axis.apps.uncommitted import Uncommitted
from axis.consumers.decide import Judgement
from axis.consumers.equipment import Timings
from axis.core.addressing import Level
from axis.core.disposition import Disposition, Reason
from axis.errors import OutcomeUnknown, Unavailable
from axis.ports import Clock, DirectorySource, Record
from axis.telemetry.health import Health
from axis.telemetry.metrics import Metrics
from axis.telemetry.vocabulary import (
    Channel,
    DeliveryOutcome,
    DuplicateKind,
    ProduceFault,
    ReceiptStatus,
    ReplayPurpose,
    Stage,
    TransactionResult,
)

_NAME: Final = "axis.router"
_log = structlog.stdlib.get_logger(_NAME)
_OUTCOMES: Final = {
    ReceiptStatus.ARRIVED: DeliveryOutcome.FETCHED,
    ReceiptStatus.DECLINED: DeliveryOutcome.REFUSED,
}
"""How a delivery ended, by the status that its recipient attests; the others are about what came of the document."""


class RouterObserver:
    """Implements `axis.consumers.equipment.Observer` with structured logs, Prometheus metrics and readiness.

    Readiness: every task that the process owns is open. A task that waits for the broker is not, so a router that has
    lost its broker says so.

    Attributes:
        uncommitted: what the tasks hold; the lag is measured with it.
    """

    def __init__(self, metrics: Metrics, health: Health, clock: Clock, directory: DirectorySource) -> None:
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._directory = directory
        self._owned: frozenset[int] = frozenset()
        self._open: set[int] = set()
        self._delayed: set[int] = set()
        self.uncommitted = Uncommitted()

    def owns(self, tasks: Collection[int]) -> None:
        """Note which tasks this process owns now; none, while it is no member of the group or there are too many."""
        for lost in self._owned.difference(tasks):
            self.uncommitted.forget(lost)
        self._owned = frozenset(tasks)
        self._open &= self._owned
        self._delayed &= self._owned
        self._metrics.router_tasks.set(len(self._owned))
        self._report_tasks()

    @property
    def all_open(self) -> bool:
        """Whether every owned task is open."""
        return self._open >= self._owned

    def taken(self, task: int, records: Sequence[Record]) -> None:  # noqa: ARG002 - a record knows its partition
        """Note what is in hand until it is committed."""
        self.uncommitted.take(records)

    def committed(self, task: int, judgements: Sequence[Judgement], timings: Timings) -> None:  # noqa: ARG002 - a record knows its partition
        """Count a committed batch."""
        self.uncommitted.commit(judgement.record for judgement in judgements)
        metrics = self._metrics
        metrics.transactions[TransactionResult.COMMITTED].inc()
        metrics.batch_size_records.observe(len(judgements))
        metrics.stage_duration_seconds[Stage.VERIFY].observe(timings.examine)
        metrics.stage_duration_seconds[Stage.ROUTE].observe(timings.decide)
        metrics.stage_duration_seconds[Stage.DELIVER].observe(timings.commit)

    def decided(self, task: int, judgements: Sequence[Judgement]) -> None:
        """Count and log what became of each submission: warnings about what was not delivered."""
        metrics, now = self._metrics, self._clock.now()
        debugging = logging.getLogger(_NAME).isEnabledFor(logging.DEBUG)
        for judgement in judgements:
            latency = max(0.0, (now - judgement.record.appended_at).total_seconds())
            self._count(judgement)
            self._count_receipt(judgement, latency)
            if judgement.urgency is not None and judgement.recipients:
                metrics.inbox_latency_seconds[judgement.urgency].observe(latency, _exemplar(judgement))
            delivered = judgement.disposition not in {Disposition.REFUSED, Disposition.QUARANTINED}
            # Asked first: to make an event that nobody sees costs something, and there are thousands in a second.
            if not delivered or debugging:
                _report(task, judgement, delivered=delivered)

    def failed(self, task: int, error: Unavailable, retry_in_seconds: float) -> None:
        """Report an incarnation that was given up."""
        unknown = isinstance(error, OutcomeUnknown)
        result = TransactionResult.UNKNOWN if unknown else TransactionResult.ABORTED
        self._metrics.transactions[result].inc()
        if error.fault is not None:
            self._metrics.produce_errors[ProduceFault(error.fault)].inc()
        self._open.discard(task)
        self._delayed.discard(task)
        self._report_tasks()
        _log.warning(
            "task_failed",
            task=task,
            position=self.uncommitted.first(task),
            error=error,
            outcome_unknown=unknown,
            retry_in_seconds=retry_in_seconds,
        )

    def opened(self, task: int, restored: int) -> None:
        """Report an incarnation that is ready."""
        # Not before: until the partitions are rewound, what the failed incarnation held counts as taken.
        self.uncommitted.forget(task)
        self._metrics.replayed_records[ReplayPurpose.RECOVERY].inc(restored)
        self._open.add(task)
        self._report_tasks()
        _log.info("task_opened", task=task, restored_decisions=restored)

    def delayed(self, task: int, error: Unavailable, retry_in_seconds: float) -> None:
        """Report an examination that waits for blob store or broker."""
        self._delayed.add(task)
        self._report_tasks()
        _log.warning("examination_delayed", task=task, error=error, retry_in_seconds=retry_in_seconds)

    def resumed(self, task: int) -> None:
        """Report that it waits no more."""
        self._delayed.discard(task)
        self._report_tasks()
        _log.info("examination_resumed", task=task)

    def _report_tasks(self) -> None:
        self._health.report(
            "tasks",
            passed=self.all_open and not self._delayed,
            got=f"{len(self._open)} of {len(self._owned)} open, {len(self._delayed)} delayed",
        )

    def _count(self, judgement: Judgement) -> None:
        metrics = self._metrics
        metrics.verifications[judgement.disposition, judgement.reason].inc()
        duration = metrics.verification_duration_seconds[judgement.disposition]
        duration.observe(judgement.seconds, _exemplar(judgement))
        match judgement.disposition:
            case Disposition.ACCEPTED:
                self._count_accepted(judgement)
            case Disposition.REFUSED if judgement.reason is not None:
                stage = Stage.VERIFY if judgement.examined else Stage.ROUTE
                metrics.refusals[stage, judgement.reason].inc()
                if judgement.reason is Reason.MESSAGE_ID_CONFLICT:
                    metrics.duplicates_suppressed[Stage.ROUTE, DuplicateKind.CONFLICTING].inc()
            case Disposition.QUARANTINED if judgement.reason is not None:
                metrics.quarantined[judgement.reason].inc()
            case Disposition.DUPLICATE:
                metrics.duplicates_suppressed[Stage.ROUTE, DuplicateKind.SAME].inc()
            case _:
                pass

    def _count_receipt(self, judgement: Judgement, latency: float) -> None:
        if judgement.receipt is None:
            return
        status = ReceiptStatus(judgement.status or ReceiptStatus.NONE)
        self._metrics.receipts[judgement.receipt, status].inc()
        self._metrics.receipt_latency_seconds[status].observe(latency)
        if (outcome := _OUTCOMES.get(status)) is not None:
            self._metrics.deliveries[outcome].inc()
        document = judgement.document
        if (
            status is ReceiptStatus.ARRIVED
            and document
            and document.urgency is not None
            and document.submitted_at
        ):
            # By the broker's clock, as the document's own append was; not by that of whoever attests it.
            taken = judgement.record.appended_at - document.submitted_at
            self._metrics.delivery_latency_seconds[document.urgency].observe(max(0.0, taken.total_seconds()))

    def _count_accepted(self, judgement: Judgement) -> None:
        metrics = self._metrics
        if judgement.urgency is None:
            return  # a recipient's receipt, counted by its event
        metrics.consignments_published[Channel.KAFKA, judgement.urgency].inc()
        metrics.consignment_size_bytes.observe(len(judgement.record.value or b""))
        for size in judgement.part_sizes:
            metrics.attachment_size_bytes.observe(size)
        directory = self._directory.current()
        levels: dict[Level, int] = {}
        # The directory may have changed since the batch was decided; a count must never stop a router.
        for code in filter(directory.__contains__, judgement.recipients):
            level = directory.get(code).level
            levels[level] = levels.get(level, 0) + 1
        for level, count in levels.items():
            metrics.deliveries_routed[level].inc(count)


def _exemplar(judgement: Judgement) -> dict[str, str] | None:
    """Return what leads from a histogram to the log; message ids are short by their form."""
    return None if judgement.message_id is None else {"message_id": judgement.message_id}


def _report(task: int, judgement: Judgement, *, delivered: bool) -> None:
    record = judgement.record
    log = _log.bind(
        task=task,
        result=judgement.disposition,
        reason=judgement.reason,
        sender=judgement.signer,
        message_id=judgement.message_id,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
    )
    if delivered:
        log.debug("submission_delivered", recipients=len(judgement.recipients))
    else:
        log.warning("submission_not_delivered")
