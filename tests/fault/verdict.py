"""What must have become of everything in the lanes, worked out anew from the lanes alone, and what differs from that.

Nothing here is the axis's: the rules are written down a second time, in the order of the log.

- Bytes that are nothing stand in the quarantine once.
- The first faultless envelope of a sender and message id stands in the inboxes of its recipients once, as its sender
  published it, and has one receipt of acceptance. Every repetition of it gets that very receipt again.
- Another envelope of the same message id is a conflict: rejected, each time anew.
- An envelope with a fault is rejected. Where the fault lies in what was signed, that is final, and every repetition gets
  the very same receipt; otherwise each one is rejected anew, and nothing is decided about the message id.
- A receipt of hand-over by one of the recipients reaches the document's sender once, however often it comes. Another one
  of the same status is a conflict, and one by somebody else is not allowed.
- Every acceptance, rejection and hand-over stands in the legal record once and in the inbox of whom it concerns, and all
  that is final in the changelog once, with what is to be answered, and a document's urgency and time.
- What comes from one partition of a lane comes into each inbox in its order.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from tests.fault.history import Decided, HandedOver, History, Position, Statement, Submitted

_T = TypeVar("_T")
ACCEPTANCE: Final = "SUBMISSION_ACCEPTANCE"
REJECTION: Final = "SUBMISSION_REJECTION"
HANDOVER: Final = "CONTENT_HANDOVER"
ALTERED: Final = "part-altered"
CONFLICT: Final = "message-id-conflict"
FOREIGN: Final = "environment-mismatch"
NOT_ALLOWED: Final = "receipt-not-allowed"
UNKNOWN: Final = "recipient-unknown"
INBOXES: Final = "axis.inbox."
_FINAL: Final = frozenset({FOREIGN})
"""Of the faults that the senders of these tests make, those that lie in signed bytes and stay faults for ever."""
_MISSING: Final = b"a receipt that is not in the legal record"


@dataclass(slots=True)
class Expected:
    """What must stand in the topics.

    Attributes:
        receipts: the axis's receipt about each submission, as it stands in the legal record.
        settled: what is final about each key: the digest, the receipt that a repetition gets, and the recipients.
        noted: of the documents among them, what the first record of each says besides.
        names: what each record is, for people.
        origins: which submission each record that may stand in an inbox comes from.
    """

    receipts: Mapping[Position, bytes]
    unreadable: Counter[Position] = field(default_factory=Counter)
    inboxes: dict[str, Counter[bytes]] = field(default_factory=lambda: defaultdict(Counter))
    legal: Counter[Statement] = field(default_factory=Counter)
    settled: dict[str, tuple[bytes, bytes | None, frozenset[str]]] = field(default_factory=dict)
    noted: dict[str, tuple[int, int]] = field(default_factory=dict)
    names: dict[bytes, str] = field(default_factory=dict)
    origins: dict[bytes, Position] = field(default_factory=dict)

    def submit(self, place: Position, each: Submitted) -> None:
        """Work out what becomes of an envelope."""
        name = f"{each.sender}/{each.message_id}"
        fault = each.fault
        if (prior := self.settled.get(name)) is not None:
            digest, receipt, _ = prior
            if digest == each.digest:
                self.inboxes[INBOXES + each.sender][receipt or _MISSING] += 1
                return
            fault = CONFLICT
        recipients = frozenset[str]() if fault else each.recipients
        self._expect(each.record, f"document {name}", place, recipients)
        receipt = self._answer(place, each.digest, each.sender, each.message_id, recipients, fault)
        if fault is None or fault in _FINAL:
            self.settled[name] = (each.digest, receipt, recipients)
            self.noted[name] = each.noted

    def hand_over(self, place: Position, each: HandedOver) -> None:
        """Work out what becomes of a recipient's receipt."""
        key = f"{each.issuer}/{HANDOVER}/{each.sender}/{each.message_id}/{each.status}"
        fault = None
        if (prior := self.settled.get(key)) is not None:
            if prior[0] == each.digest:
                return
            fault = CONFLICT
        else:
            digest, _, recipients = self.settled.get(
                f"{each.sender}/{each.message_id}", (b"", None, frozenset[str]())
            )
            if digest != each.document or each.issuer not in recipients:
                fault = NOT_ALLOWED
        if fault is not None:
            self._answer(place, each.digest, each.issuer, each.message_id, frozenset(), fault)
            return
        self._expect(each.record, f"hand-over {key}", place, (each.sender,))
        self.legal[
            Statement(HANDOVER, None, each.record, each.sender, each.message_id, frozenset({each.issuer}))
        ] += 1
        self.settled[key] = (each.digest, None, frozenset())

    def _answer(
        self,
        place: Position,
        digest: bytes,
        submitter: str,
        message_id: str,
        recipients: frozenset[str],
        fault: str | None,
    ) -> bytes:
        """Expect the axis's receipt, and return it."""
        event = REJECTION if fault else ACCEPTANCE
        self.legal[Statement(event, place, digest, submitter, message_id, recipients, fault)] += 1
        receipt = self.receipts.get(place, _MISSING)
        self._expect(
            receipt, f"{event} ({fault}) of {submitter}/{message_id} at {place}", place, (submitter,)
        )
        return receipt

    def _expect(self, record: bytes, name: str, place: Position, owners: Iterable[str]) -> None:
        """Expect a record in inboxes, once in each."""
        self.names[record] = name
        self.origins[record] = place
        for code in owners:
            self.inboxes[INBOXES + code][record] += 1

    def decisions(self) -> Counter[Decided]:
        """Return what must stand in the changelog."""
        return Counter(
            (key, digest, receipt, self.noted.get(key)) for key, (digest, receipt, _) in self.settled.items()
        )


def expected(history: History) -> Expected:
    """Work out what must have become of what stands in the lanes."""
    result = Expected({each.about: record for each, record in history.legal if each.about is not None})
    for place, each in sorted(history.lanes.items(), key=lambda item: item[0]):
        match each:
            case None:
                result.unreadable[place] += 1
            case Submitted():
                result.submit(place, each)
            case HandedOver():
                result.hand_over(place, each)
    return result


def judge(history: History) -> Iterator[str]:
    """Yield what is wrong with a history."""
    wanted = expected(history)
    yield from _differences("the legal record", wanted.legal, Counter(each for each, _ in history.legal))
    for topic in sorted({*wanted.inboxes, *history.inboxes}):
        found = Counter(history.inboxes.get(topic, ()))
        if found != wanted.inboxes[topic]:
            yield from _differences(topic, _named(wanted.inboxes[topic], wanted), _named(found, wanted))
    yield from _differences("the changelog", wanted.decisions(), history.decisions)
    yield from _differences("the quarantine", wanted.unreadable, history.quarantined)
    yield from _judge_order(history, wanted)


def _named(records: Counter[bytes], wanted: Expected) -> Counter[str]:
    return Counter(
        {
            f"{wanted.names.get(record, 'what nobody sent there')} ({record.hex()[:12]})": count
            for record, count in records.items()
        }
    )


def _differences(where: str, wanted: Counter[_T], found: Counter[_T]) -> Iterator[str]:
    for each in wanted | found:
        if wanted[each] != found[each]:
            yield f"{where} holds {found[each]} times, expected {wanted[each]} times: {each}"


def _judge_order(history: History, wanted: Expected) -> Iterator[str]:
    for topic, records in history.inboxes.items():
        last: dict[tuple[str, int], int] = {}
        # A receipt that answers repetitions stands there again, later.
        for record in dict.fromkeys(records):
            if (origin := wanted.origins.get(record)) is None:
                continue
            lane, partition, offset = origin
            if offset < last.get((lane, partition), -1):
                yield f"{topic}: {wanted.names[record]} came after a later one of its lane"
            last[lane, partition] = offset
