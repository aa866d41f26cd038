"""Gauges that are measured from time to time: lag of the submission lanes, ends of certificates."""

import asyncio
from collections.abc import Collection
from datetime import datetime
from operator import itemgetter
from typing import Final

from axis.apps.silence import Silence
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
BROKER_CHECK: Final = "broker"
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
    """Measures for one router process, every few seconds, until cancelled.

    Args:
        reader: its group member.
        uncommitted: what it has taken and not committed.
        directory: whose certificates are shown.
        clock: the time.
        metrics: where it is shown.
        health: told whether brokers answer.
        silence_limit_seconds: how long no answer may come about a partition that is asked about.
    """

    def __init__(
        self,
        reader: GroupReader,
        uncommitted: Uncommitted,
        directory: DirectorySource,
        clock: Clock,
        metrics: Metrics,
        health: Health,
        silence_limit_seconds: float,
    ) -> None:
        self._health = health
        self._reader = reader
        self._uncommitted = uncommitted
        self._directory = directory
        self._clock = clock
        self._metrics = metrics
        self._silence_limit = silence_limit_seconds
        self._silence = Silence()
        self._untaken_since: dict[PartitionId, tuple[int, datetime]] = {}
        self._measured = ""

    async def measure(self) -> None:
        """Run until cancelled; the role's task group owns this task."""
        while True:
            self._measure_lag(self._clock.now(), self._measure_silence())
            self._measure_certificates(self._directory.current())
            await asyncio.sleep(_MEASURE_SECONDS)

    def _measure_silence(self) -> Collection[PartitionId]:
        """Report whether brokers answer, and return the partitions about which none does."""
        asked = self._silence.look(self._reader.asked())
        silent = {place: seconds for place, seconds in asked.items() if seconds > self._silence_limit}
        got = "answers" if asked else "nothing to ask now"
        if silent:
            place, seconds = max(silent.items(), key=itemgetter(1))
            got = f"no answer about {place.topic}/{place.partition} for {seconds:.0f} s, {len(silent)} such partitions"
        self._health.report(BROKER_CHECK, passed=not silent, got=got)
        return silent

    def _measure_lag(self, now: datetime, silent: Collection[PartitionId]) -> None:
        """Set number and age of the records that are not committed, whether they are in hand or wait to be taken.

        Where more may wait than anybody can know now, what is known is the least, and nothing is not shown as none.
        """
        owned = self._reader.assignment()
        self._untaken_since = {place: seen for place, seen in self._untaken_since.items() if place in owned}
        for lane, topic in LANES.items():
            records, oldest, known = 0, now, self._reader.joined
            for place in owned:
                if place.topic == topic:
                    untaken = self._reader.lag(place)
                    known = known and untaken is not None and place not in silent
                    records += (untaken or 0) + self._uncommitted.count(place)
                    oldest = min(oldest, self._oldest(place, untaken or 0, now))
            labels = GroupClass.ROUTER, _TOPIC_CLASSES[lane]
            if records or known:
                self._metrics.consumer_lag_records[labels].set(records)
                self._metrics.consumer_lag_seconds[labels].set((now - oldest).total_seconds())
            else:
                self._metrics.consumer_lag_records.forget(labels)
                self._metrics.consumer_lag_seconds.forget(labels)

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
