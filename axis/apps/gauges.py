"""Gauges that are measured from time to time: lag of the submission lanes, ends of certificates."""

import asyncio
from datetime import datetime
from typing import Final

from axis.apps.uncommitted import Uncommitted
from axis.consumers.kafka import GroupReader
from axis.core.directory import Directory
from axis.core.envelope import Lane
from axis.core.topics import LANES
from axis.crypto.keys import load_certificates
from axis.ports import Clock, DirectorySource, PartitionId
from axis.settings import Settings
from axis.telemetry.health import Health
from axis.telemetry.metrics import Metrics
from axis.telemetry.vocabulary import CertificateUsage, GroupClass, TopicClass

_MEASURE_SECONDS: Final = 5.0
_SILENT_SECONDS: Final = 30.0
"""How long brokers may say nothing. Asked without a pause, they answer within a second, even that nothing came."""
BROKER_CHECK: Final = "broker"
BROKER_ANSWERS: Final = f"an answer within {_SILENT_SECONDS:g} s"
_TOPIC_CLASSES: Final = {
    Lane.EXPRESS: TopicClass.SUBMISSIONS_EXPRESS,
    Lane.STANDARD: TopicClass.SUBMISSIONS_STANDARD,
}


def show_transport_certificate(settings: Settings, metrics: Metrics) -> None:
    """Set the end of the certificate that this process reaches Kafka with; it is read once, as the connection does.

    Raises:
        ConfigurationError: there is no usable certificate.
    """
    own, *_ = load_certificates(settings.broker.credential(settings.node).read_bytes())
    gauge = metrics.certificate_not_after_timestamp_seconds
    gauge.labels(settings.node, CertificateUsage.TRANSPORT).set(own.not_valid_after_utc.timestamp())


class RouterGauges:
    """Measures for one router process, every few seconds, until cancelled."""

    def __init__(
        self,
        reader: GroupReader,
        uncommitted: Uncommitted,
        directory: DirectorySource,
        clock: Clock,
        metrics: Metrics,
        health: Health,
    ) -> None:
        self._health = health
        self._reader = reader
        self._uncommitted = uncommitted
        self._directory = directory
        self._clock = clock
        self._metrics = metrics
        self._untaken_since: dict[PartitionId, tuple[int, datetime]] = {}
        self._measured = ""

    async def measure(self) -> None:
        """Run until cancelled; the role's task group owns this task."""
        while True:
            silent = self._reader.silent_seconds()
            answered = silent <= _SILENT_SECONDS
            got = "answers" if answered else f"no answer for {silent:.0f} s"
            self._health.report(BROKER_CHECK, passed=answered, got=got)
            if answered:
                self._measure_lag(self._clock.now())
            else:
                # What nobody can know now is not to be shown as good.
                self._metrics.consumer_lag_records.forget()
                self._metrics.consumer_lag_seconds.forget()
            self._measure_certificates(self._directory.current())
            await asyncio.sleep(_MEASURE_SECONDS)

    def _measure_lag(self, now: datetime) -> None:
        """Set number and age of the records that are not committed, whether they are in hand or wait to be taken."""
        owned = self._reader.assignment()
        self._untaken_since = {place: seen for place, seen in self._untaken_since.items() if place in owned}
        for lane, topic in LANES.items():
            records, oldest = 0, now
            for place in owned:
                if place.topic == topic:
                    untaken = self._reader.lag(place)
                    records += untaken + self._uncommitted.count(place)
                    oldest = min(oldest, self._oldest(place, untaken, now))
            kind = _TOPIC_CLASSES[lane]
            self._metrics.consumer_lag_records[GroupClass.ROUTER, kind].set(records)
            self._metrics.consumer_lag_seconds[GroupClass.ROUTER, kind].set((now - oldest).total_seconds())

    def _oldest(self, place: PartitionId, untaken: int, now: datetime) -> datetime:
        """Return since when the oldest uncommitted record of a partition waits; now, where there is none.

        When a record was appended is known once it is in hand; before, it waits at least since it was seen there.
        """
        in_hand = self._uncommitted.oldest(place)
        taken_to = self._uncommitted.taken_to.get(place, 0)
        if in_hand is None and untaken:
            seen_at, since = self._untaken_since.get(place, (taken_to, now))
            # A record that is no longer the next one to be taken was not the same.
            self._untaken_since[place] = (taken_to, since if seen_at == taken_to else now)
            return self._untaken_since[place][1]
        self._untaken_since.pop(place, None)
        return in_hand or now

    def _measure_certificates(self, directory: Directory) -> None:
        """Set the end of each organisation's longest valid signing certificate, when the directory changed."""
        if directory.version == self._measured:
            return
        self._measured = directory.version
        ends: dict[str, float] = {}
        for enrolment in directory.enrolments:
            end = enrolment.valid_to.timestamp()
            ends[enrolment.organisation] = max(end, ends.get(enrolment.organisation, 0.0))
        for code, end in ends.items():
            gauge = self._metrics.certificate_not_after_timestamp_seconds
            gauge.labels(code, CertificateUsage.SIGNATURE).set(end)
