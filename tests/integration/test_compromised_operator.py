"""What an operator who is compromised decides and removes, and what the auditor's reconciliation says of it."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from axis.apps import audit, wiring
from axis.apps.audit import AUDITOR, reconcile
from axis.apps.router import GROUP
from axis.connection import librdkafka_options
from axis.consumers import decide, examine
from axis.core import inbox_reconciliation
from axis.core.disposition import Reason
from axis.core.findings import Finding, FindingKind
from axis.core.partitioning import partition_of
from axis.core.receipt import Outcome, RecipientOutcome
from axis.core.routing import route
from axis.core.topics import inbox_topic
from axis.errors import Refused
from tests.integration.audited_site import (
    DEPARTMENT,
    PROVINCE,
    WARD,
    Played,
    forged_acceptance,
    played_site,
    route_one,
    write,
)

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

Outcomes = tuple[RecipientOutcome, ...]


@pytest.fixture
def operated(tmp_path: Path) -> Iterator[Played]:
    """A history whose operator is compromised."""
    with played_site(tmp_path / "site") as played:
        yield played


def dropping(outcomes: Outcomes) -> Outcomes:
    """Leave out the first recipient."""
    return outcomes[1:]


def adding(outcomes: Outcomes) -> Outcomes:
    """Consign to an organisation that nobody named."""
    return (*outcomes, RecipientOutcome("H56.14923", Outcome.CONSIGNED))


def expiring(_verified: object, _now: object) -> Refused:
    """Refuse whatever would be accepted as too late."""
    return Refused(Reason.EXPIRED, "expired")


def test_what_a_compromised_operator_decides_is_named(
    operated: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The axis's own key signs it all: recipients dropped or added, and a good document refused as too late."""
    settings, recipients = operated.settings, (WARD, DEPARTMENT)
    frauds = [
        (examine, "route", lambda *given: dropping(route(*given)), FindingKind.RECIPIENT_DROPPED),
        (examine, "route", lambda *given: adding(route(*given)), FindingKind.RECIPIENT_ADDED),
        (decide, "_expired", expiring, FindingKind.REFUSAL_UNFOUNDED),
    ]
    expected = []
    for module, name, fraud, kind in frauds:
        with monkeypatch.context() as compromised:
            compromised.setattr(module, name, fraud)
            decided = asyncio.run(route_one(settings, recipients))
        expected.append((kind, decided.message_id))
    report = asyncio.run(reconcile(settings))
    assert sorted((each.kind, each.message_id) for each in report.findings) == sorted(expected)


def without_inbox(outcomes: Outcomes) -> Outcomes:
    """Say of the first recipient that it has no inbox."""
    first, *others = outcomes
    return (RecipientOutcome(first.recipient, Outcome.REFUSED, Reason.INBOX_MISSING), *others)


def test_a_recipient_dropped_in_a_period_had_an_inbox_before_it(
    operated: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An inbox that was opened before the period was there in it, although nothing in the period says so."""
    for module in (audit, inbox_reconciliation):
        monkeypatch.setattr(module, "CLOCK_MARGIN", timedelta(0))
    since = wiring.clock().now()
    with monkeypatch.context() as compromised:
        compromised.setattr(examine, "route", lambda *given: without_inbox(route(*given)))
        decided = asyncio.run(route_one(operated.settings, (WARD, DEPARTMENT)))
    report = asyncio.run(reconcile(operated.settings, since=since))
    dropped = (FindingKind.RECIPIENT_DROPPED, decided.message_id)
    assert [(each.kind, each.message_id) for each in report.findings] == [dropped]


def test_what_a_compromised_operator_removes_is_named(operated: Played) -> None:
    """An acceptance about nothing, lanes that were shortened, and positions that are gone: none of it holds."""
    settings = operated.settings
    before = asyncio.run(reconcile(settings)).findings
    forged = forged_acceptance(operated, settings.node, settings.node, offset=10**12)
    asyncio.run(write(settings, inbox_topic(PROVINCE), forged))
    forged_in_inbox = asyncio.run(reconcile(settings)).findings
    assert added(before, forged_in_inbox) == {(FindingKind.ANSWER_UNEXPECTED, inbox_topic(PROVINCE))}

    admin = AdminClient({**librdkafka_options(AUDITOR, settings.broker)})
    lane = operated.document.topic
    partition = partition_of(PROVINCE, wiring.topic_admin(settings, AUDITOR).partitions()[lane])
    for future in admin.delete_records([TopicPartition(lane, partition, 2)]).values():
        future.result(30)
    shortened = asyncio.run(reconcile(settings)).findings
    removed = {each.place for each in shortened if each.kind is FindingKind.RECORDS_REMOVED}
    assert removed == {f"{lane}/{partition}/2"}

    for future in admin.delete_consumer_groups([GROUP]).values():
        future.result(30)
    report = asyncio.run(reconcile(settings))
    lost = {each.place for each in report.findings if each.kind is FindingKind.POSITION_LOST}
    assert f"{lane}/{partition}" in lost
    assert report.counts["submissions"] == 0


def added(before: Sequence[Finding], after: Sequence[Finding]) -> set[tuple[FindingKind, str]]:
    """Return kind and topic of the findings that are new."""
    return {(each.kind, each.place.split("/")[0]) for each in after if each not in before}
