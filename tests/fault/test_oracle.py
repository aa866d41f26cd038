"""The oracle of the fault tests sees what it is there to see: each kind of damage to a history is a finding."""

from collections.abc import Callable
from copy import deepcopy

import pytest

from axis.core.topics import inbox_topic
from tests.fault.installation import Installation
from tests.fault.judging import routed
from tests.fault.oracle import History, Oracle, Submission, judge
from tests.fault.routers import WatchedRouter, routing
from tests.fault.sending import DIEN_LU, QUANG_TRUNG, Senders

pytestmark = pytest.mark.kafka

Damage = Callable[[History, Submission], object]

DAMAGES: dict[str, Damage] = {
    "a delivery lost": lambda history, _: history.documents[inbox_topic(DIEN_LU)].pop(),
    "a delivery doubled": lambda history, _: _again(history.documents[inbox_topic(DIEN_LU)]),
    "a delivery to somebody else": lambda history, one: history.documents[inbox_topic("H56.W00")].append(
        (one.digest, one.record)
    ),
    "a delivery from nowhere": lambda history, _: history.documents[inbox_topic(DIEN_LU)].append(
        (b"?", b"?")
    ),
    "other bytes": lambda history, one: history.documents[inbox_topic(QUANG_TRUNG)].append(
        (one.digest, b"?")
    ),
    "another order": lambda history, _: history.documents[inbox_topic(DIEN_LU)].reverse(),
    "a receipt lost": lambda history, one: history.accepted[one.digest].pop(),
    "a receipt doubled": lambda history, one: _again(history.accepted[one.digest]),
    "a receipt from nowhere": lambda history, _: history.accepted[b"?"].append((frozenset(), b"?")),
    "an answer lost": lambda history, one: history.answers[inbox_topic(one.sender), one.digest].pop(),
    "another answer": lambda history, one: history.answers[inbox_topic(one.sender), one.digest].append(b"?"),
    "a decision lost": lambda history, one: history.decisions.pop(f"{one.sender}/{one.message_id}"),
    "a record dropped": lambda history, _: history.quarantined.popitem(),
}


def _again(entries: list[tuple[bytes, bytes]] | list[tuple[frozenset[str], bytes]]) -> None:
    entries.extend(entries[-1:])  # type: ignore[arg-type] # of the same list


async def test_every_kind_of_damage_is_a_finding(site: Installation, oracle: Oracle) -> None:
    """The history of a batch holds as it is, and does not with any one change."""
    async with Senders.open(site.settings) as senders:
        await senders.publish_batch()
    async with routing(WatchedRouter(site.settings)):
        await routed(oracle)
    history = oracle.history()
    assert list(judge(history)) == []
    one = next(each for each in history.submissions.values() if len(each.places) > 1)
    unseen = []
    for name, damage in DAMAGES.items():
        damaged = deepcopy(history)
        damage(damaged, one)
        if not list(judge(damaged)):
            unseen.append(name)
    assert unseen == []
