"""The second opinion: what the topics hold, read by another client library and compared by other code than the axis's.

    submissions in the lanes  =  documents in the inboxes of their recipients  =  receipts of acceptance

and besides: the sender has one answer per submission, all byte for byte the same; the quarantine holds what is no
envelope, once; per sender and lane the order is kept in every inbox; no transaction is left hanging; every input
position stands at the end. Only decoding is the axis's own.
"""

import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
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
    inbox_topic,
)
from axis.errors import Refused
from axis.schemas import avro
from axis.settings import Settings
from axis.testing.broker import ADMIN_NAME

GROUP: Final = "axis-router"
LANES: Final = (SUBMISSIONS_EXPRESS, SUBMISSIONS_STANDARD)
_INBOXES: Final = inbox_topic("")
_READ_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1
_UNSETTLED: Final = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)
Place = tuple[str, int]
"""A partition of a topic."""


@dataclass(slots=True)
class Submission:
    """An envelope of the lanes.

    Attributes:
        record: SHA-256 of the whole record.
        places: its copies, in the order of the log.
    """

    digest: bytes
    record: bytes
    sender: str
    message_id: str
    recipients: tuple[str, ...]
    places: list[tuple[str, int, int]] = field(default_factory=list)


@dataclass(slots=True)
class History:
    """Everything read so far.

    Attributes:
        documents: per inbox topic, digest and SHA-256 of the whole record of every document, in order.
        accepted: per envelope, recipients and record of every receipt of acceptance in the legal record.
        answers: per inbox topic and envelope, the records that answer it.
        decisions: how often each key stands in the changelog.
    """

    submissions: dict[bytes, Submission] = field(default_factory=dict)
    unreadable: Counter[tuple[str, int, int]] = field(default_factory=Counter)
    quarantined: Counter[tuple[str, int, int]] = field(default_factory=Counter)
    documents: dict[str, list[tuple[bytes, bytes]]] = field(default_factory=lambda: defaultdict(list))
    accepted: dict[bytes, list[tuple[frozenset[str], bytes]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    answers: dict[tuple[str, bytes], list[bytes]] = field(default_factory=lambda: defaultdict(list))
    decisions: Counter[str] = field(default_factory=Counter)


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
        self._groups = _groups(settings)
        self._positions: dict[Place, int] = {}
        self._history = History()
        self._reported: set[str] = set()

    def findings(self) -> list[str]:
        """Return what does not hold and was not reported before."""
        self._read()
        judged = (*judge(self._history), *self._judge_positions())
        found = [each for each in judged if each not in self._reported]
        self._reported.update(found)
        return found

    def history(self) -> History:
        """Return everything read so far, and what is new."""
        self._read()
        return self._history

    def submissions(self) -> int:
        """Return how many different envelopes stand in the lanes, reading what is new first."""
        self._read()
        return len(self._history.submissions)

    def copies(self, *digests: bytes) -> list[int]:
        """Return how often each of these envelopes stands in its lane, reading what is new first."""
        self._read()
        found = (self._history.submissions.get(digest) for digest in digests)
        return [len(known.places) if known else 0 for known in found]

    def deliveries(self, digest: bytes) -> int:
        """Return in how many inbox records an envelope stands, reading what is new first."""
        self._read()
        return sum(each == digest for inbox in self._history.documents.values() for each, _ in inbox)

    def lag(self) -> dict[Place, int]:
        """Return, per lane partition, how many offsets the router's committed position is behind the end."""
        return self._lag(self._admin())

    def wait_until_routed(self, seconds: float = 60.0) -> None:
        """Return when the router's positions stand at the ends of the lanes."""
        deadline = time.monotonic() + seconds
        admin = self._admin()
        while any((lag := self._lag(admin)).values()):
            assert time.monotonic() < deadline, f"not routed within {seconds:g} s: {lag}"
            time.sleep(_LOOK_SECONDS)

    def _lag(self, admin: AdminClient) -> dict[Place, int]:
        places = [place for place in _partitions(admin) if place[0] in LANES]
        committed = self._committed(places)
        return {place: end - committed[place] for place, end in _ends(admin, places, committed=True).items()}

    def _committed(self, places: Iterable[Place]) -> dict[Place, int]:
        """Return the router's positions, by a consumer that joins nothing: it looks for the coordinator by itself."""
        consumer = Consumer({**self._options, "group.id": GROUP})
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
                consumer.close()
                return {(tp.topic, tp.partition): max(0, tp.offset) for tp in answer}

    def _admin(self) -> AdminClient:
        """Return a new client: one that lived through a broker's death may wait for its coordinator in vain."""
        return AdminClient({**self._options})

    def _read(self) -> None:
        """Read every topic of the axis from where the last reading ended to the end of what is committed."""
        waiting = set(_partitions(self._admin()))
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
                    self._note(place, offset, message.key() or b"", message.value() or b"")
                elif error.code() == KafkaError._PARTITION_EOF:
                    waiting.discard(place)
        consumer.close()

    def _note(self, place: tuple[str, int], offset: int, key: bytes, value: bytes) -> None:
        topic, history = place[0], self._history
        if topic in LANES:
            self._note_submission((*place, offset), value)
        elif topic == ROUTER_STATE:
            history.decisions[key.decode()] += 1
        elif topic == QUARANTINE:
            record = avro.decode(value)
            assert isinstance(record, avro.QuarantineRecord)
            source = record.source
            history.quarantined[source.topic, source.partition, source.offset] += 1
        elif topic == RECEIPTS or topic.startswith(_INBOXES):
            self._note_output(topic, value)

    def _note_submission(self, place: tuple[str, int, int], value: bytes) -> None:
        try:
            envelope = avro.decode(value)
        except Refused:
            self._history.unreadable[place] += 1
            return
        assert isinstance(envelope, Envelope), f"{place} holds a {type(envelope).__name__}"
        header = avro.decode_header(envelope.header)
        recipients = {code for each in header.recipients for code in self._groups.get(each, (each,))}
        if any(each in self._groups for each in header.recipients):
            recipients.discard(header.sender)
        submission = self._history.submissions.setdefault(
            envelope.digest,
            Submission(
                envelope.digest, sha256(value), header.sender, header.message_id, tuple(sorted(recipients))
            ),
        )
        submission.places.append(place)

    def _note_output(self, topic: str, value: bytes) -> None:
        match avro.decode(value):
            case Envelope(digest=digest):
                self._history.documents[topic].append((digest, sha256(value)))
            case SignedReceipt(statement=statement):
                receipt = avro.decode_receipt(statement)
                if receipt.event is not Event.SUBMISSION_ACCEPTANCE:
                    return
                consigned = frozenset(o.recipient for o in receipt.outcomes if o.outcome is Outcome.CONSIGNED)
                if topic == RECEIPTS:
                    self._history.accepted[receipt.envelope_digest].append((consigned, value))
                else:
                    self._history.answers[topic, receipt.envelope_digest].append(value)

    def _judge_positions(self) -> Iterator[str]:
        admin = self._admin()
        places = _partitions(admin)
        stable, written = _ends(admin, places, committed=True), _ends(admin, places, committed=False)
        yield from (
            f"a transaction hangs in {place}: stable to {stable[place]}, written to {written[place]}"
            for place in places
            if stable[place] != written[place]
        )
        yield from (f"{place} is {lag} behind" for place, lag in self._lag(admin).items() if lag)


def judge(history: History) -> Iterator[str]:
    """Yield what is wrong with a history."""
    inboxes = {topic: Counter(documents) for topic, documents in history.documents.items()}
    for submission in history.submissions.values():
        yield from _judge_one(history, submission, inboxes)
    for topic, documents in inboxes.items():
        for digest, record in documents:
            known = history.submissions.get(digest)
            if known is None or topic.removeprefix(_INBOXES) not in known.recipients:
                yield f"{topic} holds {digest.hex()[:12]}, which nobody sent there"
            elif known.record != record:
                yield f"{topic} holds {digest.hex()[:12]} with other bytes than its sender published"
    for digest in history.accepted.keys() - history.submissions.keys():
        yield f"a receipt is about {digest.hex()[:12]}, which nobody submitted"
    if history.quarantined != history.unreadable:
        yield (
            f"quarantined {history.quarantined - history.unreadable} too much,"
            f" {history.unreadable - history.quarantined} too little"
        )
    yield from _judge_order(history)


def _judge_one(
    history: History, submission: Submission, inboxes: Mapping[str, Counter[tuple[bytes, bytes]]]
) -> Iterator[str]:
    name = f"{submission.sender}/{submission.message_id}"
    for code in submission.recipients:
        count = inboxes.get(inbox_topic(code), Counter())[submission.digest, submission.record]
        if count != 1:
            yield f"{name} stands {count} times in the inbox of {code}"
    accepted = history.accepted[submission.digest]
    if [recipients for recipients, _ in accepted] != [frozenset(submission.recipients)]:
        yield f"{name} has {len(accepted)} receipts: {[sorted(recipients) for recipients, _ in accepted]}"
        return
    answers = history.answers[inbox_topic(submission.sender), submission.digest]
    if answers != [accepted[0][1]] * len(submission.places):
        yield (
            f"{name} was submitted {len(submission.places)} times and answered {len(answers)} times,"
            f" with {len(set(answers))} different receipts"
        )
    if history.decisions[name] != 1:
        yield f"{name} is {history.decisions[name]} times in the changelog"


def _judge_order(history: History) -> Iterator[str]:
    submissions = history.submissions
    for topic, documents in history.documents.items():
        last: dict[tuple[str, str, int], int] = {}
        for known in (submissions[digest] for digest, _ in documents if digest in submissions):
            lane, partition, offset = known.places[0]
            if offset < last.get((known.sender, lane, partition), -1):
                yield f"{topic}: {known.sender}/{known.message_id} came after a later one of its lane"
            last[known.sender, lane, partition] = offset


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


def _groups(settings: Settings) -> dict[str, Sequence[str]]:
    """Return the members of @all and of the named groups, read from the files."""
    tables = [tomllib.loads(path.read_text("utf-8")) for path in settings.directory.folder.glob("*.toml")]
    organisations = [each for table in tables for each in table.get("organisation", ())]
    groups: dict[str, Sequence[str]] = {
        each["name"]: each["members"] for table in tables for each in table.get("group", ())
    }
    groups["@all"] = [each["code"] for each in organisations if each["level"] != "axis"]
    return groups
