"""What the topics of an installation hold, as bare facts: the oracle notes them, `tests.fault.verdict` judges them."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

Place = tuple[str, int]
"""A partition of a topic."""
Position = tuple[str, int, int]
"""Where a record stands: topic, partition, offset."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """An envelope of a lane.

    Attributes:
        record: SHA-256 of the whole record, here and below.
        recipients: codes of those among its recipients whom the directory knows, groups resolved.
        fault: the reason code of what is wrong with this record by itself; None where nothing is.
        noted: its urgency and when the broker took it, in milliseconds since 1970.
    """

    digest: bytes
    record: bytes
    sender: str
    message_id: str
    recipients: frozenset[str]
    fault: str | None
    noted: tuple[int, int]


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A recipient's receipt of a lane.

    Attributes:
        digest: SHA-256 of its statement.
        document: the envelope that it is about, and `sender` who had sent that.
    """

    digest: bytes
    record: bytes
    issuer: str
    sender: str
    message_id: str
    document: bytes
    status: str


@dataclass(frozen=True, slots=True)
class Statement:
    """What an entry of the legal record says.

    Attributes:
        about: where the submission stands that the axis speaks of; None in a recipient's receipt.
        digest: of the envelope or statement that the axis speaks of; of a recipient's receipt SHA-256 of the record.
        concerned: who submitted it; of a recipient's receipt, who is told of the hand-over.
        recipients: to whom it was consigned, or handed over.
        reason: why it was rejected.
    """

    event: str
    about: Position | None
    digest: bytes
    concerned: str
    message_id: str
    recipients: frozenset[str] = frozenset()
    reason: str | None = None

    def __str__(self) -> str:
        about = self.about or self.digest.hex()[:12]
        return (
            f"{self.event} ({self.reason}) of {self.concerned}/{self.message_id} about {about},"
            f" for {len(self.recipients)} recipients"
        )


Decided = tuple[str, bytes, bytes | None, tuple[int, int] | None]
"""An entry of the changelog: key, digest, SHA-256 of the receipt that answers a repetition, if one does, and what is noted of
a document."""


@dataclass(slots=True)
class History:
    """Everything read so far.

    Attributes:
        lanes: what was submitted where; None where the bytes are nothing.
        inboxes: per inbox topic the records, in order, but for the one that opened it.
        legal: the legal record: what each entry says, and the record.
    """

    lanes: dict[Position, Submitted | HandedOver | None] = field(default_factory=dict)
    quarantined: Counter[Position] = field(default_factory=Counter)
    inboxes: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    legal: list[tuple[Statement, bytes]] = field(default_factory=list)
    decisions: Counter[Decided] = field(default_factory=Counter)

    def copy(self) -> "History":
        """Return one that can be changed without changing this one."""
        inboxes = defaultdict(list, {topic: list(records) for topic, records in self.inboxes.items()})
        return History(
            dict(self.lanes), self.quarantined.copy(), inboxes, list(self.legal), self.decisions.copy()
        )

    def envelopes(self) -> Counter[bytes]:
        """Return how often each envelope stands in its lane."""
        return Counter(each.digest for each in self.lanes.values() if isinstance(each, Submitted))

    def deliveries(self, digest: bytes) -> int:
        """Return in how many inbox records an envelope stands."""
        records = {
            each.record
            for each in self.lanes.values()
            if isinstance(each, Submitted) and each.digest == digest
        }
        return sum(record in records for inbox in self.inboxes.values() for record in inbox)
