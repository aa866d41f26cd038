"""Gauges that are measured from time to time: lag of the submission lanes, ends of certificates."""

import asyncio
from typing import Final

from axis.consumers.examine import LANES
from axis.consumers.kafka import GroupReader
from axis.core.addressing import Directory
from axis.core.envelope import Lane
from axis.ports import DirectorySource, PartitionId
from axis.telemetry.metrics import Metrics
from axis.telemetry.vocabulary import CertificateUsage, GroupClass, TopicClass

_MEASURE_SECONDS: Final = 5.0
_TOPIC_CLASSES: Final = {
    Lane.EXPRESS: TopicClass.SUBMISSIONS_EXPRESS,
    Lane.STANDARD: TopicClass.SUBMISSIONS_STANDARD,
}


class RouterGauges:
    """Measures for one router process, every few seconds, until cancelled."""

    def __init__(self, reader: GroupReader, directory: DirectorySource, metrics: Metrics) -> None:
        self._reader = reader
        self._directory = directory
        self._metrics = metrics
        self._waiting_since: dict[PartitionId, float] = {}
        self._measured = ""

    async def measure(self) -> None:
        """Run until cancelled; the role's task group owns this task."""
        while True:
            self._measure_lag(asyncio.get_running_loop().time())
            self._measure_certificates(self._directory.current())
            await asyncio.sleep(_MEASURE_SECONDS)

    def _measure_lag(self, now: float) -> None:
        """Set records and age of what waits: the age counts from when a partition was first seen behind."""
        owned = self._reader.assignment()
        for lane, topic in LANES.items():
            behind = {place: self._reader.lag(place) for place in owned if place.topic == topic}
            oldest = 0.0
            for place, records in behind.items():
                if records:
                    oldest = max(oldest, now - self._waiting_since.setdefault(place, now))
                else:
                    self._waiting_since.pop(place, None)
            kind = _TOPIC_CLASSES[lane]
            self._metrics.consumer_lag_records[GroupClass.ROUTER, kind].set(sum(behind.values()))
            self._metrics.consumer_lag_seconds[GroupClass.ROUTER, kind].set(oldest)
        self._waiting_since = {place: at for place, at in self._waiting_since.items() if place in owned}

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
