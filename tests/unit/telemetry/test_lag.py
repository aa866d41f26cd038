"""The lag of the lanes: what a process has taken and not committed, and what waits behind it."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from axis.apps.gauges import BROKER_CHECK, RouterGauges
from axis.apps.silence import silence_limit
from axis.apps.uncommitted import Uncommitted
from axis.consumers.kafka import GroupReader
from axis.core.topics import SUBMISSIONS_EXPRESS, SUBMISSIONS_STANDARD
from axis.ports import Clock, DirectorySource, PartitionId, Record
from axis.telemetry.health import Check, Health
from axis.telemetry.metrics import Metrics

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
STANDARD, OTHER = PartitionId(SUBMISSIONS_STANDARD, 3), PartitionId(SUBMISSIONS_STANDARD, 4)
EXPRESS = PartitionId(SUBMISSIONS_EXPRESS, 3)


def record(place: PartitionId, offset: int, age_seconds: float = 0) -> Record:
    """Return a record that was appended a while before `NOW`."""
    at = NOW - timedelta(seconds=age_seconds)
    return Record(place.topic, place.partition, offset, at, key=b"H56", value=b"")


class Reader:
    """What a group member knows: its partitions, and how many records wait to be taken, where anybody told."""

    def __init__(self, waiting: Mapping[PartitionId, int | None]) -> None:
        self.waiting = dict(waiting)
        self.joined = True
        self.marks: dict[PartitionId, int | None] = {}

    def assignment(self) -> frozenset[PartitionId]:
        """Return the partitions."""
        return frozenset(self.waiting)

    def lag(self, place: PartitionId) -> int | None:
        """Return how many records wait."""
        return self.waiting[place]

    def asked(self) -> Mapping[PartitionId, int | None]:
        """Return what brokers are asked about."""
        return self.marks


class Bench:
    """Gauges on a reader, and the samples that they show."""

    def __init__(self, waiting: Mapping[PartitionId, int | None]) -> None:
        self.reader, self.held = Reader(waiting), Uncommitted()
        self._registry = CollectorRegistry()
        metrics = Metrics(self._registry)
        self.health = Health("router", {BROKER_CHECK: "an answer"}, metrics)
        self._gauges = RouterGauges(
            cast("GroupReader", self.reader),
            self.held,
            cast("DirectorySource", None),
            cast("Clock", None),
            metrics,
            self.health,
            silence_limit_seconds=0.0,
        )

    def silent(self) -> tuple[PartitionId, ...]:
        """Measure which partitions no broker answers about."""
        return tuple(self._gauges._measure_silence())

    def check(self) -> Check:
        """Return what the router's readiness says about brokers."""
        return next(check for check in self.health.readiness().checks if check.name == BROKER_CHECK)

    def unknown(self, silent: Collection[PartitionId] = (), topic: str = "submissions-standard") -> bool:
        """Measure; return whether nothing is shown of a lane."""
        self._gauges._measure_lag(NOW, silent)
        labels = {"group": "router", "topic": topic}
        return [
            self._registry.get_sample_value(f"axis_consumer_lag_{unit}", labels)
            for unit in ("records", "seconds")
        ] == [None, None]

    def lag(
        self,
        after_seconds: float = 0,
        topic: str = "submissions-standard",
        silent: Collection[PartitionId] = (),
    ) -> tuple[float, float]:
        """Measure some time after `NOW`; return the records and the age in seconds."""
        self._gauges._measure_lag(NOW + timedelta(seconds=after_seconds), silent)
        labels = {"group": "router", "topic": topic}
        records, seconds = (
            self._registry.get_sample_value(f"axis_consumer_lag_{unit}", labels)
            for unit in ("records", "seconds")
        )
        assert records is not None
        assert seconds is not None
        return records, seconds


@pytest.fixture
def bench() -> Bench:
    """Two partitions of the standard lane and one of the express lane, nothing waiting."""
    return Bench({STANDARD: 0, OTHER: 0, EXPRESS: 0})


def test_nothing_uncommitted_is_no_lag(bench: Bench) -> None:
    """Where nothing waits and nothing is in hand, both gauges are 0."""
    assert bench.lag() == (0, 0)


def test_the_oldest_record_in_hand_gives_the_age(bench: Bench) -> None:
    """Records in hand count with those behind them, each lane on its own; the age is that of the oldest."""
    bench.held.take(
        [record(STANDARD, 7, 40), record(STANDARD, 8, 30), record(OTHER, 1, 50), record(EXPRESS, 0, 5)]
    )
    bench.reader.waiting[STANDARD] = 10

    assert bench.lag() == (13, 50)
    assert bench.lag(topic="submissions-express") == (1, 5)


def test_a_commit_counts_as_far_as_it_goes(bench: Bench) -> None:
    """After a part of a batch is committed, the rest is what waits; after all of it, nothing."""
    records = [record(STANDARD, 7, 40), record(STANDARD, 8, 30), record(STANDARD, 9, 20)]
    bench.held.take(records)
    bench.held.commit(records[:2])
    assert bench.lag() == (1, 20)
    bench.held.commit(records[2:])
    assert bench.lag() == (0, 0)


def test_what_is_forgotten_is_its_tasks_alone(bench: Bench) -> None:
    """A task that begins anew holds nothing, in both lanes; the others hold what they held."""
    bench.held.take([record(STANDARD, 7, 40), record(EXPRESS, 0, 40), record(OTHER, 1, 10)])
    assert bench.held.first(3) == [f"{SUBMISSIONS_EXPRESS}/3/0", f"{SUBMISSIONS_STANDARD}/3/7"]
    bench.held.forget(3)

    assert (bench.lag(), bench.held.first(3)) == ((1, 10), [])


def test_a_record_that_waits_to_be_taken_is_as_old_as_it_was_seen(bench: Bench) -> None:
    """Without a record in hand, the age counts from when the same record was first seen to wait."""
    bench.reader.waiting[STANDARD] = 5
    assert bench.lag() == (5, 0)
    assert bench.lag(10) == (5, 10)


def test_a_lane_that_is_never_empty_but_flows_is_not_behind(bench: Bench) -> None:
    """Under a steady load something waits whenever one looks, but never the same: the age does not add up."""
    for number in range(20):
        bench.reader.waiting[STANDARD] = 1
        assert bench.lag(number * 5) == (1, 0)
        taken = [record(STANDARD, number)]
        bench.held.take(taken)
        bench.held.commit(taken)


def test_a_partition_that_went_away_takes_its_age_along(bench: Bench) -> None:
    """A partition that comes back later has not waited here since it was first seen."""
    bench.reader.waiting[STANDARD] = 5
    assert bench.lag() == (5, 0)
    del bench.reader.waiting[STANDARD]
    assert bench.lag(10) == (0, 0)
    bench.reader.waiting[STANDARD] = 5
    assert bench.lag(20) == (5, 0)


def test_where_more_may_wait_than_is_known_nothing_is_not_shown_as_none(bench: Bench) -> None:
    """A lane shows nothing where no broker has told, tells no more, or nobody knows yet what is owned; the other does."""
    assert bench.unknown(silent=[OTHER])
    assert bench.lag(topic="submissions-express") == (0, 0)
    assert bench.lag() == (0, 0)
    bench.reader.waiting[OTHER] = None
    assert bench.unknown()
    bench.reader.waiting[OTHER] = 0
    bench.reader.joined = False
    assert bench.unknown()


def test_what_is_known_to_wait_stays_shown_and_gets_older(bench: Bench) -> None:
    """While no broker answers, what is in hand and what was seen to wait is the least there is."""
    bench.held.take([record(STANDARD, 7, 40)])
    assert bench.lag(10, silent=[STANDARD, OTHER, EXPRESS]) == (1, 50)
    bench.reader.waiting[EXPRESS] = 3
    assert bench.lag(10, "submissions-express", silent=[EXPRESS]) == (3, 0)
    assert bench.lag(100, "submissions-express", silent=[EXPRESS]) == (3, 90)


def test_one_partition_that_nobody_answers_about_is_named_though_others_are_answered(bench: Bench) -> None:
    """One leader out of reach is enough not to be ready; what is not asked about, because it is full, is no silence."""
    bench.reader.marks = {STANDARD: 1, OTHER: 1}
    assert bench.silent() == ()
    assert bench.check().passed
    bench.reader.marks = {STANDARD: 2, OTHER: 1}
    assert bench.silent() == (OTHER,)
    assert not bench.check().passed
    assert bench.check().got.startswith("no answer about axis.submissions.standard/4 for ")
    bench.reader.marks = {STANDARD: 3}
    assert bench.silent() == ()
    bench.reader.marks = {STANDARD: 4, OTHER: 1}
    assert bench.silent() == ()
    bench.reader.marks = {}
    assert bench.silent() == ()
    assert (bench.check().passed, bench.check().got) == (True, "nothing to ask now")


def test_over_a_slow_link_more_silence_is_normal() -> None:
    """Who gives requests more time gives answers more time, too."""
    assert silence_limit(10) == 30
    assert silence_limit(60) == 120
