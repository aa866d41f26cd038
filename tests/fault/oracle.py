"""The second opinion: what the topics hold, read by another client library and compared by other code than the axis's.

    what stands in the lanes  =  what stands in the inboxes  =  what the legal record says  =  what the changelog keeps

by the rules of `tests.fault.verdict`: documents, acceptances, rejections, hand-overs and quarantined records, each in its
places, each as often as it must be, and in order. Besides, no transaction is left hanging, and every input position
stands at the end. Only decoding is the axis's own.
"""

import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined] # its documented names

from axis.connection import librdkafka_options
from axis.core.digest import sha256
from axis.core.envelope import Envelope
from axis.core.receipt import Event, Outcome, SignedReceipt
from axis.core.topics import (
    PREFIX,
    QUARANTINE,
    RECEIPTS,
    ROUTER_STATE,
    SUBMISSIONS_EXPRESS,
    SUBMISSIONS_STANDARD,
)
from axis.errors import Refused
from axis.schemas import avro
from axis.settings import Settings
from axis.testing.broker import ADMIN_NAME
from tests.fault.history import HandedOver, History, Place, Statement, Submitted
from tests.fault.verdict import ALTERED, FOREIGN, INBOXES, UNKNOWN, judge

GROUP: Final = "axis-router"
LANES: Final = (SUBMISSIONS_EXPRESS, SUBMISSIONS_STANDARD)
_READ_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1
_ASKED_SECONDS: Final = 3.0
_UNSETTLED: Final = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)


class Oracle:
    """Reads one installation's topics, each record once, and judges the whole at every call.

    Args:
        settings: the installation.

    Attributes:
        reconciled_until: up to when the axis's own reconciliation was asked as well.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.reconciled_until: datetime | None = None
        # A broker that is away is what these tests are about; nobody needs a line for each refused connection.
        self._options = librdkafka_options(ADMIN_NAME, settings.broker) | {"log_level": "0"}
        self._codes = _codes(settings)
        self._positions: dict[Place, int] = {}
        self._history = History()
        self._reported: set[str] = set()

    def findings(self) -> list[str]:
        """Return what does not hold and was not reported before."""
        with self._asking() as (admin, consumer):
            self._read(admin)
            behind = [f"{place} is {lag} behind" for place, lag in _lag(admin, consumer).items() if lag]
            judged = (*judge(self._history), *_hanging(admin), *behind)
        found = [each for each in judged if each not in self._reported]
        self._reported.update(found)
        return found

    def history(self) -> History:
        """Return everything read so far, and what is new."""
        self._read(self._admin())
        return self._history

    def submissions(self) -> int:
        """Return how many different envelopes stand in the lanes, reading what is new first."""
        return len(self.history().envelopes())

    def copies(self, *digests: bytes) -> list[int]:
        """Return how often each of these envelopes stands in its lane, reading what is new first."""
        found = self.history().envelopes()
        return [found[digest] for digest in digests]

    def deliveries(self, digest: bytes) -> int:
        """Return in how many inbox records an envelope stands, reading what is new first."""
        return self.history().deliveries(digest)

    def hanging(self) -> list[str]:
        """Return where a transaction is neither committed nor aborted."""
        return _hanging(self._admin())

    def lag(self) -> dict[Place, int]:
        """Return, per lane partition, how many offsets the router's committed position is behind the end."""
        with self._asking() as (admin, consumer):
            return _lag(admin, consumer)

    def wait_until_routed(self, seconds: float = 60.0) -> None:
        """Return when the router's positions stand at the ends of the lanes."""
        deadline = time.monotonic() + seconds
        while True:
            # Others after a while: one that asks about the group has found its coordinator for good.
            with self._asking() as (admin, consumer):
                ask_until = time.monotonic() + _ASKED_SECONDS
                while time.monotonic() < ask_until:
                    if not any((lag := _lag(admin, consumer)).values()):
                        return
                    assert time.monotonic() < deadline, f"not routed within {seconds:g} s: {lag}"
                    time.sleep(_LOOK_SECONDS)

    @contextmanager
    def _asking(self) -> Iterator[tuple[AdminClient, Consumer]]:
        """Connect two clients that join nothing; those that lived through a broker's death may wait in vain."""
        consumer = Consumer({**self._options, "group.id": GROUP})
        try:
            yield self._admin(), consumer
        finally:
            consumer.close()

    def _admin(self) -> AdminClient:
        """Return a new client: one that lived through a broker's death may wait for its coordinator in vain."""
        return AdminClient({**self._options})

    def _read(self, admin: AdminClient) -> None:
        """Read every topic of the axis from where the last reading ended to the end of what is committed."""
        waiting = set(_partitions(admin))
        consumer = Consumer(
            {
                **self._options,
                "group.id": "oracle",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
            }
        )
        consumer.assign(
            [TopicPartition(*place, self._positions.get(place, OFFSET_BEGINNING)) for place in waiting]
        )
        deadline = time.monotonic() + _READ_SECONDS
        while waiting:
            assert time.monotonic() < deadline, f"the oracle could not read {sorted(waiting)}"
            for message in consumer.consume(2000, timeout=0.1):
                place, offset = (str(message.topic()), message.partition() or 0), message.offset() or 0
                error = message.error()
                if error is None:
                    self._positions[place] = offset + 1
                    self._note(place, offset, message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    waiting.discard(place)
        consumer.close()

    def _note(self, place: Place, offset: int, message: Message) -> None:
        topic, history = place[0], self._history
        key, value = message.key() or b"", message.value() or b""
        if topic in LANES:
            history.lanes[*place, offset] = self._submission(value, message.timestamp()[1])
        elif topic == ROUTER_STATE:
            decision = avro.decode(value)
            assert isinstance(decision, avro.Decision)
            receipt = None if decision.receipt is None else sha256(decision.receipt)
            noted = None
            if decision.urgency is not None and decision.submitted_at is not None:
                noted = (int(decision.urgency), int(decision.submitted_at.timestamp() * 1000 + 0.5))
            history.decisions[key.decode(), decision.digest, receipt, noted] += 1
        elif topic == QUARANTINE:
            record = avro.decode(value)
            assert isinstance(record, avro.QuarantineRecord)
            source = record.source
            history.quarantined[source.topic, source.partition, source.offset] += 1
        elif topic == RECEIPTS:
            history.legal.append((_statement(value), sha256(value)))
        elif topic.startswith(INBOXES) and not _opens(value):
            history.inboxes[topic].append(sha256(value))

    def _submission(self, value: bytes, appended_ms: int) -> Submitted | HandedOver | None:
        try:
            decoded = avro.decode(value)
        except Refused:
            return None
        if isinstance(decoded, SignedReceipt):
            return _handed_over(decoded, value)
        assert isinstance(decoded, Envelope)
        header = avro.decode_header(decoded.header)
        recipients = {code for each in header.recipients for code in self._codes.get(each, ())}
        if any(each.startswith("@") for each in header.recipients):
            recipients.discard(header.sender)
        fault = None
        if any(part.content is not None and sha256(part.content) != part.digest for part in decoded.parts):
            fault = ALTERED
        elif header.environment != self.settings.environment:
            fault = FOREIGN
        elif not recipients:
            fault = UNKNOWN
        return Submitted(
            decoded.digest,
            sha256(value),
            header.sender,
            header.message_id,
            frozenset(recipients),
            fault,
            (int(header.urgency), appended_ms),
        )


def _handed_over(signed: SignedReceipt, value: bytes) -> HandedOver:
    receipt = avro.decode_receipt(signed.statement)
    assert receipt.event is Event.CONTENT_HANDOVER
    return HandedOver(
        signed.digest,
        sha256(value),
        receipt.issuer,
        receipt.sender,
        str(receipt.message_id),
        receipt.envelope_digest,
        str(receipt.status),
    )


def _opens(value: bytes) -> bool:
    """Tell whether an entry of an inbox is the one that opened it."""
    decoded = avro.decode(value)
    return (
        isinstance(decoded, SignedReceipt)
        and avro.decode_receipt(decoded.statement).event is Event.INBOX_OPENED
    )


def _statement(value: bytes) -> Statement:
    """Return what a record of the legal record says."""
    signed = avro.decode(value)
    assert isinstance(signed, SignedReceipt)
    receipt = avro.decode_receipt(signed.statement)
    source = receipt.source
    served = (Outcome.CONSIGNED, Outcome.HANDED_OVER)
    return Statement(
        str(receipt.event),
        None if source is None else (source.topic, source.partition, source.offset),
        receipt.envelope_digest if source is not None else sha256(value),
        receipt.sender,
        str(receipt.message_id),
        frozenset(each.recipient for each in receipt.outcomes if each.outcome in served),
        receipt.reason,
    )


def _partitions(admin: AdminClient) -> list[Place]:
    topics = admin.list_topics(timeout=_READ_SECONDS).topics
    return [
        (name, number)
        for name, topic in topics.items()
        if name.startswith(PREFIX)
        for number in topic.partitions
    ]


def _ends(admin: AdminClient, places: Iterable[Place], *, committed: bool) -> dict[Place, int]:
    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    asked = {TopicPartition(*place): OffsetSpec.latest() for place in places}  # type: ignore[no-untyped-call]
    answers = admin.list_offsets(asked, isolation_level=level, request_timeout=_READ_SECONDS)
    return {(tp.topic, tp.partition): future.result().offset for tp, future in answers.items()}


def _hanging(admin: AdminClient) -> list[str]:
    places = _partitions(admin)
    stable, written = _ends(admin, places, committed=True), _ends(admin, places, committed=False)
    return [
        f"a transaction hangs in {place}: stable to {stable[place]}, written to {written[place]}"
        for place in places
        if stable[place] != written[place]
    ]


def _lag(admin: AdminClient, consumer: Consumer) -> dict[Place, int]:
    places = [place for place in _partitions(admin) if place[0] in LANES]
    committed = _committed(consumer, places)
    return {place: end - committed[place] for place, end in _ends(admin, places, committed=True).items()}


def _committed(consumer: Consumer, places: Iterable[Place]) -> dict[Place, int]:
    """Return the router's positions."""
    asked = [TopicPartition(*place) for place in places]
    deadline = time.monotonic() + _READ_SECONDS
    while True:
        try:
            answer = consumer.committed(asked, timeout=_READ_SECONDS)
        except KafkaException as error:
            # A fresh broker may name a coordinator that does not know yet that it is one.
            if error.args[0].code() not in _UNSETTLED or time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_SECONDS)
        else:
            return {(tp.topic, tp.partition): max(0, tp.offset) for tp in answer}


def _codes(settings: Settings) -> dict[str, Sequence[str]]:
    """Return whom each code, each named group and @all stand for, read from the files."""
    tables = [tomllib.loads(path.read_text("utf-8")) for path in settings.directory.folder.glob("*.toml")]
    organisations = [each for table in tables for each in table.get("organisation", ())]
    codes: dict[str, Sequence[str]] = {each["code"]: (each["code"],) for each in organisations}
    codes |= {each["name"]: each["members"] for table in tables for each in table.get("group", ())}
    codes["@all"] = [each["code"] for each in organisations if each["level"] != "axis"]
    return codes
