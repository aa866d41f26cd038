"""The oracle of the fault tests sees what it is there to see: each kind of damage to a history is a finding."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import pytest

from tests.fault.history import Decided, HandedOver, History, Statement, Submitted
from tests.fault.installation import Installation
from tests.fault.judging import routed
from tests.fault.oracle import Oracle
from tests.fault.routers import WatchedRouter, routing
from tests.fault.sending import DIEN_LU, QUANG_TRUNG, Senders
from tests.fault.verdict import (
    ACCEPTANCE,
    ALTERED,
    CONFLICT,
    FOREIGN,
    HANDOVER,
    INBOXES,
    REJECTION,
    UNKNOWN,
    judge,
)

pytestmark = pytest.mark.kafka

Damage = Callable[[History], object]
EVENTS = {
    "an acceptance": (ACCEPTANCE, None),
    "a conflict": (REJECTION, CONFLICT),
    "a rejection for its recipients": (REJECTION, UNKNOWN),
    "a rejection for an altered part": (REJECTION, ALTERED),
    "a final rejection": (REJECTION, FOREIGN),
    "a hand-over": (HANDOVER, None),
}
DIEN_LU_INBOX = INBOXES + DIEN_LU


@dataclass(frozen=True, slots=True)
class Told:
    """An entry of the legal record, its record and the inbox of whom it concerns."""

    statement: Statement
    record: bytes
    inbox: str

    @classmethod
    def latest(cls, history: History, event: str, reason: str | None) -> "Told":
        """Return the latest of a kind."""
        statement, record = next(
            (statement, record)
            for statement, record in reversed(history.legal)
            if (statement.event, statement.reason) == (event, reason)
        )
        return cls(statement, record, INBOXES + statement.concerned)


def damages_to(told: Told) -> Iterator[tuple[str, Damage]]:
    """Yield what can happen to an acceptance, a rejection or a hand-over."""
    entry = (told.statement, told.record)
    yield "lost in the legal record", lambda history: history.legal.remove(entry)
    yield "doubled in the legal record", lambda history: history.legal.append(entry)
    yield "of another reason", partial(_instead, entry, reason="expired")
    yield "of other recipients", partial(_instead, entry, recipients=frozenset({"H56.W00"}))
    yield "about another submission", partial(_instead, entry, about=("axis.submissions.express", 0, 10**9))
    yield "lost in the inbox", lambda history: history.inboxes[told.inbox].remove(told.record)
    yield "doubled in the inbox", lambda history: history.inboxes[told.inbox].append(told.record)
    yield "to somebody else", lambda history: history.inboxes[INBOXES + "H56.W00"].append(told.record)


def _instead(entry: tuple[Statement, bytes], history: History, **changes: object) -> None:
    statement, record = entry
    history.legal[history.legal.index(entry)] = (replace(statement, **changes), record)  # type: ignore[arg-type]


def damages_to_documents(history: History) -> Iterator[tuple[str, Damage]]:
    """Yield what can happen to deliveries and to the quarantine."""
    document = next(
        each
        for each in history.lanes.values()
        if isinstance(each, Submitted) and each.record in history.inboxes[DIEN_LU_INBOX]
    )
    yield "a delivery lost", lambda history: history.inboxes[DIEN_LU_INBOX].remove(document.record)
    yield "a delivery doubled", lambda history: history.inboxes[DIEN_LU_INBOX].append(document.record)
    yield (
        "a delivery to somebody else",
        lambda history: history.inboxes[INBOXES + "H56.W00"].append(document.record),
    )
    yield "a delivery from nowhere", lambda history: history.inboxes[DIEN_LU_INBOX].append(b"?")
    yield "another order", lambda history: history.inboxes[DIEN_LU_INBOX].reverse()
    yield "another order of answers", lambda history: history.inboxes[INBOXES + QUANG_TRUNG].reverse()
    yield "a record dropped", lambda history: history.quarantined.popitem()
    yield "a record quarantined twice", lambda history: history.quarantined.update([max(history.quarantined)])


def damages_to_decisions(history: History) -> Iterator[tuple[str, Damage]]:
    """Yield what can happen to the changelog."""
    refused = Told.latest(history, REJECTION, UNKNOWN).statement
    unremembered = f"{refused.concerned}/{refused.message_id}"
    yield (
        "a decision about what is not final",
        lambda history: history.decisions.update([(unremembered, refused.digest, None, None)]),
    )
    for name, (event, reason) in EVENTS.items():
        told = Told.latest(history, event, reason).statement
        key = f"{told.concerned}/{told.message_id}"
        if event == HANDOVER:
            key = f"{DIEN_LU}/{HANDOVER}/{key}/01"
        elif reason not in (None, FOREIGN):
            continue
        decided = next(each for each in history.decisions if each[0] == key)
        yield f"the decision of {name} lost", partial(_decide, decided, 0)
        yield f"the decision of {name} doubled", partial(_decide, decided, 2)
        yield (
            f"the decision of {name} about something else",
            partial(_decide_otherwise, decided, receipt=b"?"),
        )
        yield f"the decision of {name} noted otherwise", partial(_decide_otherwise, decided, noted=(4, 0))


def _decide(decided: Decided, count: int, history: History) -> None:
    history.decisions[decided] = count


def _decide_otherwise(
    decided: Decided, history: History, receipt: bytes | None = None, noted: tuple[int, int] | None = None
) -> None:
    history.decisions[decided] = 0
    history.decisions[decided[0], decided[1], receipt or decided[2], noted or decided[3]] = 1


async def test_every_kind_of_damage_is_a_finding(site: Installation, oracle: Oracle) -> None:
    """The history of a batch holds as it is, and does not with any one change."""
    async with Senders.open(site.settings) as senders:
        await senders.publish_batch()
    async with routing(WatchedRouter(site.settings)):
        await routed(oracle)
    history = oracle.history()
    assert list(judge(history)) == []
    assert any(isinstance(each, HandedOver) for each in history.lanes.values())
    damages = [*damages_to_documents(history), *damages_to_decisions(history)]
    for name, (event, reason) in EVENTS.items():
        told = Told.latest(history, event, reason)
        damages += [(f"{name} {what}", damage) for what, damage in damages_to(told)]
    unseen = []
    for name, damage in damages:
        damaged = history.copy()
        damage(damaged)
        if not list(judge(damaged)):
            unseen.append(name)
    assert unseen == []
