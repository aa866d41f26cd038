"""Receipts of hand-over: what holds one up holds up no other, and one that can never pass is not sent for ever."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from axis.consumers.inbox import Answer, Entry
from axis.core.disposition import Reason
from axis.core.receipt import Event, Receipt, SignedReceipt
from axis.core.topics import RECEIPTS, SUBMISSIONS_STANDARD
from axis.errors import OutcomeUnknown, Refused, Unavailable
from axis.ports import Append
from axis.schemas import avro
from axis.storage.journal import StoredDelivery
from tests.unit.consumers.recipient import Recipient
from tests.unit.consumers.town import AXIS, NOW, OFFICE, OTHER_WARD, WARD, Site, Town

SKEWED = timedelta(minutes=6)


@pytest.fixture
async def site(town: Town) -> Site:
    """A bus, on which the office's document to the ward was accepted."""
    running = Site(town)
    running.submit(avro.encode_envelope(town.letter(OFFICE, WARD)))
    await running.route()
    return running


async def take_all(ward: Recipient) -> None:
    """Read the inbox, then take what waits, as one command does."""
    await ward.read()
    assert await ward.taker.take(ward.waiting(), ward.directory.current()) == []


def events(site: Site) -> list[tuple[Event, str | None]]:
    """What the legal record holds, in order: event and reason."""
    statements = [avro.decode(record.value or b"") for record in site.bus.records(RECEIPTS)]
    receipts = [avro.decode_receipt(each.statement) for each in statements if isinstance(each, SignedReceipt)]
    return [(each.event, each.reason) for each in receipts]


ACCEPTED = (Event.SUBMISSION_ACCEPTANCE, None)
SKEW_REFUSED = (Event.SUBMISSION_REJECTION, Reason.SIGNING_TIME_SKEWED)


async def test_a_receipt_of_a_slow_clock_is_signed_anew_when_the_document_is_taken_again(site: Site) -> None:
    """What was refused for its time is never sent again, by no command; a later signature passes."""
    ward = Recipient(site, WARD)
    ward.clock.set(NOW - SKEWED)
    await take_all(ward)
    await site.route()
    for _ in range(3):
        await ward.read()
        assert await ward.taker.append_waiting() == []
        await site.route()
    assert events(site) == [ACCEPTED, SKEW_REFUSED]
    [waiting] = ward.waiting()
    assert waiting.receipt is None
    ward.clock.set(NOW)
    await take_all(ward)
    await site.route()
    assert events(site) == [ACCEPTED, SKEW_REFUSED, (Event.CONTENT_HANDOVER, None)]
    await ward.read()
    assert ward.waiting() == []


async def test_a_clock_that_stays_slow_costs_one_refusal_for_each_taking(site: Site) -> None:
    """Each taking signs once, whatever is answered to it: the legal record grows by what somebody did."""
    ward = Recipient(site, WARD)
    for number in range(1, 4):
        ward.clock.set(NOW - SKEWED + timedelta(microseconds=number))
        await take_all(ward)
        await site.route()
        assert events(site) == [ACCEPTED, *[SKEW_REFUSED] * number]


async def test_another_answer_to_a_withdrawn_receipt_touches_nothing(site: Site) -> None:
    """What the broker has several times is answered each time; the receipt that was signed since stays as it is."""
    ward = Recipient(site, WARD)
    ward.clock.set(NOW - SKEWED)
    await take_all(ward)
    [first] = ward.journal.deliveries()
    assert first.receipt is not None
    site.submit(first.receipt)
    await site.route()
    assert answers(await ward.read()) == [Reason.SIGNING_TIME_SKEWED] * 2
    ward.clock.set(NOW)
    await take_all(ward)
    [second] = ward.journal.deliveries()
    assert (second.receipt_appended, second.receipt != first.receipt) == (True, True)
    await site.route()
    site.submit(first.receipt)
    await site.route()
    assert answers(await ward.read()) == [Reason.MESSAGE_ID_CONFLICT]
    assert list(ward.journal.deliveries()) == [second]


def answers(entries: list[Entry]) -> list[str | None]:
    """The reasons of these entries, all of which are answers that were not there before."""
    assert all(isinstance(each, Answer) and not each.repeated for each in entries)
    return [each.receipt.reason for each in entries if isinstance(each, Answer)]


async def test_only_the_axis_answers_a_withdrawn_receipt(site: Site) -> None:
    """A refusal by a member about a document that is here is rejected, whatever it is said to be about."""
    ward = Recipient(site, WARD)
    await ward.read()
    [delivery] = ward.waiting()
    site.bus.append(Append("axis.inbox." + WARD, 0, b"", refusal(site.town, delivery, OTHER_WARD)))
    [entry] = await ward.read()
    assert getattr(entry, "reason", None) == Reason.RECEIPT_NOT_ALLOWED
    assert ward.journal.receipts(delivery.message_id) == []


def refusal(town: Town, delivery: StoredDelivery, issuer: str, **changes: object) -> bytes:
    """A refusal of something that the ward is said to have submitted under the document's message id."""
    statement = town.forgers[issuer].handover(delivery.message_id, delivery.digest, WARD, NOW)
    receipt: Receipt = replace(
        statement,
        event=Event.SUBMISSION_REJECTION,
        outcomes=(),
        status=None,
        reason=Reason.SIGNING_TIME_SKEWED,
        **changes,  # type: ignore[arg-type] # the test names fields of a receipt
    )
    return town.forgers[issuer].signed(receipt, NOW)


async def test_a_refusal_without_a_message_id_is_matched_with_no_document(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is about something that cannot be read, and not every document of the journal is gone through for it."""
    ward = Recipient(site, WARD)
    await ward.read()
    [delivery] = ward.waiting()
    nameless = refusal(site.town, delivery, AXIS, message_id=None)
    site.bus.append(Append("axis.inbox." + WARD, 0, b"", nameless))
    asked: list[object] = []

    def deliveries(**which: object) -> Iterator[StoredDelivery]:
        asked.append(which)
        yield from ()

    monkeypatch.setattr(ward.journal, "deliveries", deliveries)
    [entry] = await ward.read()
    assert (getattr(entry, "reason", None), asked) == ("receipt-not-ours", [])


@dataclass(slots=True)
class Lane:
    """A writer to which the receipts about some senders' documents do not get through.

    Attributes:
        failures: what to raise, by the record's key.
        appended: what was tried.
    """

    failures: dict[bytes, Exception]
    appended: list[bytes] = field(default_factory=list)

    async def append(self, append: Append) -> int:
        """Note the record."""
        self.appended.append(append.key)
        if (failure := self.failures.get(append.key)) is not None:
            raise failure
        return len(self.appended)


async def with_three(site: Site, failures: dict[bytes, Exception]) -> tuple[Recipient, Lane]:
    """Return a ward that has taken documents of three senders over this lane, in the order axis, office, other ward."""
    lane = Lane({})
    ward = Recipient(site, WARD, writer=lane)
    for code in (AXIS, OFFICE, OTHER_WARD):
        letter = avro.encode_envelope(site.town.letter(code, WARD))
        site.bus.append(Append("axis.inbox." + WARD, 0, b"", letter))
    await ward.read()
    lane.failures |= failures
    return ward, lane


async def test_a_receipt_that_the_broker_refuses_holds_up_no_other(town: Town) -> None:
    """It is named with what the broker said, and stays kept; the others are acknowledged."""
    error = Refused("broker-refused", SUBMISSIONS_STANDARD)
    ward, lane = await with_three(Site(town), {AXIS.encode(): error})
    unacknowledged = await ward.taker.take(ward.waiting(), town.directory)
    assert [(each.sender, each.error) for each in unacknowledged] == [(AXIS, error)]
    assert lane.appended == [AXIS.encode(), OFFICE.encode(), OTHER_WARD.encode()]
    [kept] = ward.journal.unsent_handovers()
    assert kept.sender == AXIS


@pytest.mark.parametrize("error", [OutcomeUnknown("no answer"), Unavailable("unreachable")])
async def test_a_silent_broker_is_asked_once(town: Town, error: Unavailable) -> None:
    """After the first receipt without an answer the others are not tried; all of them go out with the next call."""
    ward, lane = await with_three(Site(town), {OFFICE.encode(): error})
    unacknowledged = await ward.taker.take(ward.waiting(), town.directory)
    assert [(each.sender, each.error) for each in unacknowledged] == [(OFFICE, error)]
    assert lane.appended == [AXIS.encode(), OFFICE.encode()]
    lane.failures.clear()
    assert await ward.taker.append_waiting() == []
    assert lane.appended[2:] == [OFFICE.encode(), OTHER_WARD.encode()]
    assert ward.waiting() == []


async def test_an_acknowledgement_is_not_taken_for_that_of_another_receipt(site: Site) -> None:
    """Where a receipt is withdrawn while it is appended by another command, the document still waits."""
    ward = Recipient(site, WARD)
    await ward.read()
    ward.clock.set(NOW - SKEWED)
    ward.site.bus.listener = lambda moment: withdraw(ward) if moment == "after append one" else None
    assert await ward.taker.take(ward.waiting(), ward.directory.current()) == []
    [waiting] = ward.waiting()
    assert (waiting.receipt, waiting.receipt_appended) == (None, False)


def withdraw(ward: Recipient) -> None:
    """Forget the receipt, as a command does that has read its refusal."""
    [delivery] = ward.journal.deliveries()
    ward.journal.withdraw_handover(delivery)
