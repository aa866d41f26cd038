"""What a correct router writes, worked out again from its commits: the simple model that the loop is compared with.

The model takes one commit after the other and, in each, the submissions that the commit's positions went past. What it
expects of them must be what the commit holds, partition by partition and in order: nothing before, nothing after,
nothing besides. So a position that ran ahead of an effect, an effect that came twice, and a changed order all differ.

Where two submissions in different lanes depend on each other (two documents under one message id, a hand-over that
travels in another lane than its document, or in both), either order is right, and the model takes the one that the commit took.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Final

from axis.core.digest import Digest
from axis.core.disposition import Reason
from axis.core.envelope import Envelope, Urgency
from axis.core.receipt import Event, Receipt, SignedReceipt, Source
from axis.core.topics import QUARANTINE, RECEIPTS, ROUTER_STATE, inbox_topic
from axis.ports import PartitionId, Record
from axis.schemas.avro import (
    Decision,
    QuarantineRecord,
    decode,
    decode_header,
    decode_receipt,
    encode_decision,
)
from axis.testing.log import Commit, deaf
from tests.unit.consumers.town import AXIS, EXPRESS, STANDARD, Site

NOTHING: Final = Digest(b"")


class Kind(Enum):
    """What a submission is."""

    DOCUMENT = auto()
    ALTERED = auto()
    HANDOVER = auto()
    GARBAGE = auto()


@dataclass(frozen=True, slots=True, eq=False)
class Submission:
    """Something that may be put into the lanes, any number of times.

    Attributes:
        signer: whose signature it bears.
        key: its idempotency key.
        digest: its identity.
        place: the partition that it belongs into.
        recipients: of a document.
        document: of a hand-over, what it is about.
    """

    kind: Kind
    value: bytes
    signer: str = ""
    name: str = ""
    key: str = ""
    digest: Digest = NOTHING
    place: PartitionId = STANDARD
    recipients: tuple[str, ...] = ()
    document: "Submission | None" = None


_Written = tuple[PartitionId, bytes, bytes]


@dataclass(slots=True)
class Ledger:
    """Goes through the commits of a site and compares each with what had to be in it."""

    submissions: dict[bytes, Submission]
    settled: dict[str, tuple[Digest, bytes | None]] = field(default_factory=dict)
    passed: dict[PartitionId, int] = field(default_factory=lambda: defaultdict(int))
    _receipts: dict[Source, tuple[bytes, Receipt]] = field(init=False)
    _commit: Commit = field(init=False)
    _site: Site = field(init=False)

    def judge(self, site: Site) -> None:
        """Compare all commits, and check that nothing is left to be done and nothing wrong remembered."""
        self._site, site.bus.listener = site, deaf
        for commit in site.bus.commits:
            if commit.writer is not None:
                self._judge(commit)
        for place in (EXPRESS, STANDARD):
            records = site.bus.visible(place)
            end = records[-1].offset + 1 if records else 0
            assert self.passed[place] == end, f"{place.topic} was not routed to its end"
        remembered = site.decisions.lookup(self.settled)
        assert {key: (each.digest, each.receipt) for key, each in remembered.items()} == self.settled

    def _judge(self, commit: Commit) -> None:
        fresh: list[Record] = []
        for place, position in sorted(commit.positions.items()):
            assert position > self.passed[place], f"the position of {place.topic} went back or stood still"
            fresh += [
                each for each in self._site.bus.visible(place, self.passed[place]) if each.offset < position
            ]
            self.passed[place] = position
        self._commit, self._receipts = commit, self._attested(commit)
        expected = [written for record in fresh for written in self._expected(record)]
        actual = [(each.place, each.key or b"", each.value or b"") for each in commit.records]
        for place in {written[0] for written in (*expected, *actual)}:
            assert _of(place, actual) == _of(place, expected), f"not what had to be written to {place}"

    def _attested(self, commit: Commit) -> dict[Source, tuple[bytes, Receipt]]:
        """Return the axis's own receipts of a commit by the submission that they are about."""
        found: dict[Source, tuple[bytes, Receipt]] = {}
        for record in commit.records:
            if record.topic != RECEIPTS:
                continue
            signed = decode(record.value or b"")
            assert isinstance(signed, SignedReceipt)
            receipt = decode_receipt(signed.statement)
            if receipt.issuer == AXIS:
                assert receipt.source is not None
                assert receipt.source not in found, "one submission was answered twice"
                found[receipt.source] = (record.value or b"", receipt)
        return found

    def _expected(self, record: Record) -> list[_Written]:
        each = self.submissions[record.value or b""]
        match each.kind:
            case Kind.GARBAGE:
                return [self._quarantined(record)]
            case Kind.HANDOVER:
                return self._handover(record, each)
            case _:
                return self._document(record, each)

    def _document(self, record: Record, each: Submission) -> list[_Written]:
        if record.partition != each.place.partition:
            return self._refused(record, each, Reason.WRONG_PARTITION)
        if record.topic != each.place.topic:
            return self._refused(record, each, Reason.WRONG_LANE)
        if each.key in self.settled:
            digest, receipt = self.settled[each.key]
            if digest != each.digest:
                overtaken = self._reason(record) is Reason.PART_ALTERED and self._has_rival_elsewhere(each)
                reason = Reason.PART_ALTERED if overtaken else Reason.MESSAGE_ID_CONFLICT
                return self._refused(record, each, reason)
            return [_inbox(each.signer, each.name, receipt or b"")]
        if (
            self._reason(record) is Reason.MESSAGE_ID_CONFLICT
            and each.place == EXPRESS
            and self._has_rival_elsewhere(each)
        ):
            return self._refused(record, each, Reason.MESSAGE_ID_CONFLICT)
        if each.kind is Kind.ALTERED:
            return self._refused(record, each, Reason.PART_ALTERED)
        receipt = self._receipt(record, Event.SUBMISSION_ACCEPTANCE, each)
        self.settled[each.key] = (each.digest, receipt)
        return [
            *(_inbox(code, each.name, each.value) for code in each.recipients),
            *_published(each.signer, each.name, receipt),
            _remembered(each, receipt, _urgency(each), record.appended_at),
        ]

    def _handover(self, record: Record, each: Submission) -> list[_Written]:
        document = each.document
        assert document is not None
        elsewhere = record.topic != document.place.topic
        # A copy in the other lane may have had its turn between this one's decision and its commit.
        overtaken = each.key in self.settled and self._in_other_lane(each, record, 0)
        if (elsewhere or overtaken) and self._reason(record) is Reason.RECEIPT_NOT_ALLOWED:
            return self._refused(record, each, Reason.RECEIPT_NOT_ALLOWED)
        if each.key in self.settled:
            return []
        answered = _source(record) in self._receipts or each.value in [
            written.value for written in self._commit.records
        ]
        if not answered and self._in_other_lane(each, record):
            return []
        if not elsewhere and document.digest != self.settled.get(document.key, (None, None))[0]:
            return self._refused(record, each, Reason.RECEIPT_NOT_ALLOWED)
        self.settled[each.key] = (each.digest, None)
        return [*_published(document.signer, each.name, each.value), _remembered(each, None)]

    def _refused(self, record: Record, each: Submission, reason: Reason) -> list[_Written]:
        receipt = self._receipt(record, Event.SUBMISSION_REJECTION, each)
        assert self._reason(record) is reason
        return _published(each.signer, each.name, receipt)

    def _receipt(self, record: Record, event: Event, each: Submission) -> bytes:
        source = _source(record)
        assert source in self._receipts, f"{source} was passed and not answered in the same transaction"
        value, receipt = self._receipts[source]
        assert (receipt.event, receipt.envelope_digest) == (event, each.digest)
        return value

    def _reason(self, record: Record) -> Reason | None:
        _, receipt = self._receipts.get(_source(record), (b"", None))
        return Reason(receipt.reason) if receipt is not None and receipt.reason is not None else None

    def _has_rival_elsewhere(self, each: Submission) -> bool:
        """Tell whether another document under this key is submitted in the other lane."""
        return any(
            other.key == each.key and other.digest != each.digest and other.place != each.place
            for other in self.submissions.values()
        )

    def _in_other_lane(self, each: Submission, record: Record, start: int | None = None) -> bool:
        """Tell whether a copy stands in the other lane, from an offset on; by default where it is not committed yet."""
        other = EXPRESS if record.place == STANDARD else STANDARD
        waiting = self._site.bus.visible(other, self.passed[other] if start is None else start)
        return each.value in [copy.value for copy in waiting]

    def _quarantined(self, record: Record) -> _Written:
        key = f"{record.topic}/{record.partition}/{record.offset}".encode()
        for written in self._commit.records:
            parked = decode(written.value or b"") if written.topic == QUARANTINE else None
            if isinstance(parked, QuarantineRecord) and parked.source == _source(record):
                assert parked.value == record.value
                return (written.place, key, written.value or b"")
        raise AssertionError(f"{key.decode()} was passed and not parked in the same transaction")


def routed(site: Site) -> list[Commit]:
    """Return the router's commits."""
    return [commit for commit in site.bus.commits if commit.writer is not None]


def lanes(site: Site) -> list[set[PartitionId]]:
    """Return whose positions each of the router's commits advances."""
    return [set(commit.positions) for commit in routed(site)]


def reasons(site: Site) -> list[str | None]:
    """Return the reasons in the legal record, in order."""
    found = []
    for record in site.bus.records(RECEIPTS):
        signed = decode(record.value or b"")
        assert isinstance(signed, SignedReceipt)
        found.append(decode_receipt(signed.statement).reason)
    return found


def _of(place: PartitionId, written: Sequence[_Written]) -> list[tuple[bytes, bytes]]:
    return [(key, value) for where, key, value in written if where == place]


def _source(record: Record) -> Source:
    return Source(record.topic, record.partition, record.offset)


def _inbox(code: str, name: str, value: bytes) -> _Written:
    return (PartitionId(inbox_topic(code), 0), name.encode(), value)


def _published(owner: str, name: str, receipt: bytes) -> list[_Written]:
    return [(PartitionId(RECEIPTS, 0), name.encode(), receipt), _inbox(owner, name, receipt)]


def _urgency(each: Submission) -> Urgency:
    envelope = decode(each.value)
    assert isinstance(envelope, Envelope)
    return decode_header(envelope.header).urgency


def _remembered(
    each: Submission, receipt: bytes | None, urgency: Urgency | None = None, at: datetime | None = None
) -> _Written:
    decision = Decision(each.digest, receipt, urgency, at)
    return (PartitionId(ROUTER_STATE, 0), each.key.encode(), encode_decision(decision))
