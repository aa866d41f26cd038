"""What a router tells operators: one log event per refusal, quarantine, fault; counters for everything."""

from collections.abc import Sequence

import structlog

from axis.consumers.decide import Judgement
from axis.core.addressing import Level
from axis.core.disposition import Disposition, Reason
from axis.errors import OutcomeUnknown, Unavailable
from axis.ports import Clock, DirectorySource
from axis.telemetry.metrics import Metrics
from axis.telemetry.vocabulary import DuplicateKind, Stage, TransactionResult

_log = structlog.stdlib.get_logger("axis.router")


class RouterObserver:
    """Implements `axis.consumers.route.Observer` with structured logs and Prometheus metrics."""

    def __init__(self, metrics: Metrics, clock: Clock, directory: DirectorySource) -> None:
        self._metrics = metrics
        self._clock = clock
        self._directory = directory

    def committed(self, task: int, judgements: Sequence[Judgement], seconds: float) -> None:
        """Count a committed batch and log what an officer may be asked about."""
        metrics, now = self._metrics, self._clock.now()
        metrics.transactions[TransactionResult.COMMITTED].inc()
        metrics.batch_size_records.observe(len(judgements))
        metrics.stage_duration_seconds[Stage.ROUTE].observe(seconds)
        for judgement in judgements:
            self._count(judgement)
            if judgement.urgency is not None and judgement.recipients:
                latency = (now - judgement.record.appended_at).total_seconds()
                metrics.inbox_latency_seconds[judgement.urgency].observe(max(0.0, latency))
            if judgement.disposition in {Disposition.REFUSED, Disposition.QUARANTINED}:
                self._report(task, judgement)
        _log.debug("batch_committed", task=task, records=len(judgements), seconds=round(seconds, 4))

    def failed(self, task: int, error: Unavailable, retry_in_seconds: float) -> None:
        """Report an incarnation that was given up."""
        unknown = isinstance(error, OutcomeUnknown)
        result = TransactionResult.UNKNOWN if unknown else TransactionResult.ABORTED
        self._metrics.transactions[result].inc()
        _log.warning(
            "task_failed",
            task=task,
            error=str(error),
            outcome_unknown=unknown,
            retry_in_seconds=retry_in_seconds,
        )

    def opened(self, task: int, restored: int) -> None:
        """Report an incarnation that is ready."""
        _log.info("task_opened", task=task, restored_decisions=restored)

    def _count(self, judgement: Judgement) -> None:
        metrics = self._metrics
        metrics.verifications[judgement.disposition, judgement.reason].inc()
        match judgement.disposition:
            case Disposition.ACCEPTED:
                for level in self._levels(judgement):
                    metrics.deliveries_routed[level].inc()
                if judgement.recipients and judgement.record.value is not None:
                    metrics.consignment_size_bytes.observe(len(judgement.record.value))
            case Disposition.REFUSED if judgement.reason is not None:
                metrics.refusals[Stage.ROUTE, judgement.reason].inc()
                if judgement.reason is Reason.MESSAGE_ID_CONFLICT:
                    metrics.duplicates_suppressed[Stage.ROUTE, DuplicateKind.CONFLICTING].inc()
            case Disposition.QUARANTINED if judgement.reason is not None:
                metrics.quarantined[judgement.reason].inc()
            case Disposition.DUPLICATE:
                metrics.duplicates_suppressed[Stage.ROUTE, DuplicateKind.SAME].inc()
            case _:
                pass
        if judgement.receipt is not None:
            metrics.receipts[judgement.receipt].inc()

    def _levels(self, judgement: Judgement) -> list[Level]:
        directory = self._directory.current()
        return [directory.get(code).level for code in judgement.recipients]

    def _report(self, task: int, judgement: Judgement) -> None:
        record = judgement.record
        _log.warning(
            "submission_not_delivered",
            task=task,
            result=judgement.disposition,
            reason=judgement.reason,
            sender=judgement.signer,
            message_id=judgement.message_id,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
        )
