"""Records that somebody wrote straight into an inbox: nothing that is not verified reaches a consumer's code."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from axis.apps import wiring
from axis.apps.node import Node
from axis.clock import SystemClock
from axis.consumers.inbox import Document, Entry, Rejected
from axis.consumers.verify import Verifier
from axis.core.addressing import OrganisationCode
from axis.core.envelope import Envelope, MessageId
from axis.core.receipt import Source
from axis.schemas import avro
from axis.schemas.avro import QuarantineRecord
from tests.attack.forge import part
from tests.attack.planted import PlantedChecker
from tests.attack.stage import OFFICE, OTHER_WARD, WARD, Stage

pytestmark = pytest.mark.kafka

Intrusion = Callable[[Stage, datetime], bytes | Envelope]


def garbage(_stage: Stage, _now: datetime) -> bytes:
    """Bytes that are nothing."""
    return b"\xc3\x01garbage"


def foreign_record(_stage: Stage, now: datetime) -> bytes:
    """A quarantine record of a version to come."""
    source = Source("axis.inbox.H56", 0, 0)
    return avro.encode_quarantine(QuarantineRecord("later-reason", "", source, now, now, None, None, "2030"))


def unsigned(stage: Stage, now: datetime) -> Envelope:
    """An envelope without a signature."""
    return replace(stage.forger(OFFICE).letter(WARD, now), signature=b"")


def altered(stage: Stage, now: datetime) -> Envelope:
    """An envelope with another part than the signed one."""
    return replace(stage.forger(OFFICE).letter(WARD, now), parts=(part(content=b"another content"),))


def for_another(stage: Stage, now: datetime) -> Envelope:
    """A genuine envelope that names others, by their codes; whom a group meant only the axis knows."""
    return stage.forger(OFFICE).letter(OTHER_WARD, now, recipients=(OTHER_WARD, "H56.66666"))


def in_another_name(stage: Stage, now: datetime) -> Envelope:
    """A document in the office's name under a ward's key."""
    return stage.forger(OFFICE, signed_by=OTHER_WARD).letter(WARD, now)


def of_the_demo(stage: Stage, now: datetime) -> Envelope:
    """A document of another installation."""
    return stage.forger(OFFICE).letter(WARD, now, environment="demo")


def with_a_path(stage: Stage, now: datetime) -> Envelope:
    """A document whose message id would mislead whoever makes a file name of it."""
    return stage.forger(OFFICE).letter(WARD, now, message_id=MessageId("../../evil"))


def what_trips_a_defect(stage: Stage, now: datetime) -> Envelope:
    """A record that raises in the middle of verification."""
    return stage.forger(WARD, signed_by=stage.planted.explosive).letter(WARD, now)


INTRUSIONS: list[tuple[Intrusion, str]] = [
    (garbage, "schema-unknown"),
    (foreign_record, "schema-unknown"),
    (unsigned, "signature-missing"),
    (altered, "part-altered"),
    (for_another, "not-addressed"),
    (in_another_name, "sender-mismatch"),
    (of_the_demo, "environment-mismatch"),
    (with_a_path, "header-malformed"),
    (what_trips_a_defect, "internal-error"),
]


@pytest.fixture
async def ward(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    """The ward's node with an empty journal, which reads its inbox from the beginning, and the planted checker."""
    checker = PlantedChecker(stage.verifier._certificates, *stage.planted.traps)
    monkeypatch.setattr(wiring, "verifier", lambda _settings, policy: Verifier(checker, policy))
    async with Node.open(replace(stage.settings, folder=tmp_path), OrganisationCode(WARD)) as node:
        yield node


async def read(node: Node) -> dict[int, Entry]:
    """Everything that the node makes of its inbox, by offset."""
    return {entry.offset: entry async for entries in node.inbox.synchronise() for entry in entries}


@pytest.mark.parametrize(
    ("intrusion", "reason"), INTRUSIONS, ids=[intrusion.__name__ for intrusion, _ in INTRUSIONS]
)
async def test_an_intruder_is_rejected(stage: Stage, ward: Node, intrusion: Intrusion, reason: str) -> None:
    """It is reported with the reason, is in no journal, and the documents behind it are read."""
    now = SystemClock().now()
    made = intrusion(stage, now)
    value = avro.encode_envelope(made) if isinstance(made, Envelope) else made
    place = stage.put_into_inbox(value, owner=WARD)
    good = stage.forger(OFFICE).letter(WARD, now)
    behind = stage.put_into_inbox(avro.encode_envelope(good), owner=WARD)
    entries = await read(ward)
    entry = entries[place.offset]
    assert isinstance(entry, Rejected)
    assert entry.reason == reason
    assert value not in [delivery.value for delivery in ward.journal.deliveries()]
    assert isinstance(entries[behind.offset], Document)


async def test_a_second_copy_in_the_inbox_is_the_same_document(stage: Stage, ward: Node) -> None:
    """Whoever copies a delivered record makes no second document, and another one under its id is a conflict."""
    now = SystemClock().now()
    office = stage.forger(OFFICE)
    header = office.header(WARD, now)
    letter = office.seal(header, [part()], at=now)
    other = office.seal(replace(header, number="18"), [part()], at=now)
    first, second, third = (
        stage.put_into_inbox(avro.encode_envelope(each), owner=WARD).offset
        for each in (letter, letter, other)
    )
    entries = await read(ward)
    one, two, three = entries[first], entries[second], entries[third]
    assert isinstance(one, Document)
    assert isinstance(two, Document)
    assert (one.repeated, two.repeated) == (False, True)
    assert isinstance(three, Rejected)
    assert three.reason == "message-id-conflict"
    assert [each.digest for each in ward.journal.deliveries(message_id=header.message_id)] == [letter.digest]
