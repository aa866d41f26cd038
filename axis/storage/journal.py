"""A node's own memory: what it sent, what it was answered, what it received, took or rejected, and how far it has read.

One SQLite file per organisation. It is what lets a node say "this receipt is about something I sent", repeat an
unfinished submission with the same bytes, and go on after weeks without a link.

A lost journal is not rebuilt from the inbox. The inbox gives back the documents that retention has kept, all of them as
not taken. It does not give back what this node sent: an unfinished submission is gone, and receipts about finished ones
are not recognised any more (the axis's legal record still has them). So what was signed here is synchronised to the disk
before it is sent, and the file belongs into the backup of the machine; `docs/architecture.md` says how. What was read is
stored together with the position: a power cut takes both back, and it is read again.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from axis.core.consignment import State
from axis.core.digest import Digest
from axis.core.envelope import MessageId
from axis.core.receipt import Event
from axis.errors import Bilingual, Unavailable
from axis.storage.moments import moment_of, text_of
from axis.storage.rejections import Rejections
from axis.storage.sqlite import Database

_NAME: Final = Bilingual("sổ văn bản", "journal")
# The first version was not numbered: a file of it is taken as it is, and brought up to date.
_VERSIONS: Final = (
    (
        (
            "CREATE TABLE IF NOT EXISTS submission"
            " (message_id TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, topic TEXT NOT NULL, value BLOB NOT NULL,"
            " state TEXT NOT NULL, stored_at TEXT NOT NULL)"
        ),
        (
            "CREATE TABLE IF NOT EXISTS receipt"
            " (digest BLOB PRIMARY KEY, message_id TEXT, event TEXT NOT NULL, issuer TEXT NOT NULL, value BLOB NOT NULL,"
            " received_at TEXT NOT NULL)"
        ),
        "CREATE INDEX IF NOT EXISTS receipt_of ON receipt (message_id)",
        (
            "CREATE TABLE IF NOT EXISTS delivery"
            " (sender TEXT NOT NULL, message_id TEXT NOT NULL, digest BLOB NOT NULL, value BLOB NOT NULL,"
            " delivered_at TEXT NOT NULL, receipt BLOB, receipt_appended INTEGER NOT NULL DEFAULT 0,"
            " PRIMARY KEY (sender, message_id))"
        ),
        "CREATE TABLE IF NOT EXISTS cursor (topic TEXT PRIMARY KEY, next_offset INTEGER NOT NULL)",
    ),
    (
        "ALTER TABLE cursor ADD COLUMN origin TEXT",
        "CREATE INDEX delivery_of ON delivery (message_id)",
        # Without them each of these questions reads all values, which stand before these columns.
        "CREATE INDEX delivery_order ON delivery (delivered_at)",
        "CREATE INDEX delivery_waiting ON delivery (delivered_at) WHERE receipt_appended = 0",
        "CREATE INDEX delivery_unsent ON delivery (delivered_at) WHERE receipt IS NOT NULL AND receipt_appended = 0",
    ),
    (
        # The value stands last, so that a list does not read it.
        (
            "CREATE TABLE rejection"
            " (record_digest BLOB PRIMARY KEY, record_offset INTEGER NOT NULL, appended_at TEXT NOT NULL,"
            " reason TEXT NOT NULL, detail TEXT NOT NULL, judged_by TEXT NOT NULL, value BLOB)"
        ),
    ),
)
_PRAGMAS: Final = "PRAGMA busy_timeout=30000;"


@dataclass(frozen=True, slots=True)
class StoredSubmission:
    """A submission of this node, with the exact record value that is appended, however often."""

    message_id: MessageId
    digest: Digest
    topic: str
    value: bytes
    state: State
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """A verified receipt about something this node sent.

    Attributes:
        message_id: of the submission; None for an answer to a receipt of hand-over.
    """

    digest: Digest
    message_id: MessageId | None
    event: Event
    issuer: str
    value: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """A verified document in this node's inbox.

    Attributes:
        value: the record as its sender published it.
        receipt: the hand-over receipt once it was taken; None before.
        receipt_appended: whether the broker has acknowledged that receipt.
    """

    sender: str
    message_id: MessageId
    digest: Digest
    value: bytes
    delivered_at: datetime
    receipt: bytes | None
    receipt_appended: bool


class Journal:
    """The journal of one organisation's node.

    Args:
        path: the SQLite file; it and its folder are made when missing, for their owner alone. ":memory:" for none.

    Attributes:
        rejections: what did not pass.

    Raises:
        Unavailable: the file cannot be opened.
        ConfigurationError: a later version of the axis has written it.
    """

    def __init__(self, path: Path | str) -> None:
        if isinstance(path, Path):
            _make_private(path)
        self._database = Database(path, name=_NAME, pragmas=_PRAGMAS, versions=_VERSIONS)
        self.rejections = Rejections(self._database)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def together(self) -> AbstractContextManager[None]:
        """Make all writes of a block one atomic step.

        Raises:
            Unavailable: the disk refuses; nothing of the block was stored.
        """
        return self._database.together()

    def store_submission(self, submission: StoredSubmission) -> None:
        """Store a submission, durably, before it is appended for the first time."""
        with self._database.together(durable=True):
            self._database.change(
                "INSERT INTO submission VALUES (?, ?, ?, ?, ?, ?)",
                (
                    submission.message_id,
                    submission.digest,
                    submission.topic,
                    submission.value,
                    submission.state,
                    text_of(submission.stored_at),
                ),
            )

    def set_state(self, message_id: MessageId, state: State) -> None:
        """Move a submission on."""
        self._database.change("UPDATE submission SET state = ? WHERE message_id = ?", (state, message_id))

    def submission(
        self, *, message_id: MessageId | None = None, digest: bytes = b""
    ) -> StoredSubmission | None:
        """Return a submission by message id or by digest, None when this node did not send it."""
        rows = self._database.rows(
            "SELECT * FROM submission WHERE message_id = ? OR digest = ?", (message_id, digest)
        )
        return _submission(rows[0]) if rows else None

    def submissions(self, states: Iterable[State] = State) -> list[StoredSubmission]:
        """Return submissions in the order in which they were stored."""
        wanted = list(states)
        marks = ",".join("?" * len(wanted))
        rows = self._database.rows(
            f"SELECT * FROM submission WHERE state IN ({marks}) ORDER BY stored_at, message_id",  # noqa: S608 - marks only
            wanted,
        )
        return [_submission(row) for row in rows]

    def add_receipt(self, receipt: StoredReceipt) -> bool:
        """Keep a receipt; return whether it is new."""
        added = self._database.change(
            "INSERT OR IGNORE INTO receipt VALUES (?, ?, ?, ?, ?, ?)",
            (
                receipt.digest,
                receipt.message_id,
                receipt.event,
                receipt.issuer,
                receipt.value,
                text_of(receipt.received_at),
            ),
        )
        return added == 1

    def receipts(self, message_id: MessageId) -> list[StoredReceipt]:
        """Return the receipts of one submission, oldest first."""
        rows = self._database.rows(
            "SELECT * FROM receipt WHERE message_id = ? ORDER BY received_at, rowid", (message_id,)
        )
        return [
            StoredReceipt(Digest(row[0]), row[1], Event(row[2]), row[3], row[4], moment_of(row[5]))
            for row in rows
        ]

    def acceptance(self, message_id: MessageId) -> bytes | None:
        """Return the axis's receipt of acceptance of a submission (record value)."""
        rows = self._database.rows(
            "SELECT value FROM receipt WHERE message_id = ? AND event = ?",
            (message_id, Event.SUBMISSION_ACCEPTANCE),
        )
        return bytes(rows[0][0]) if rows else None

    def handed_over_to(self, message_id: MessageId) -> frozenset[str]:
        """Return the recipients whose receipt of hand-over is here."""
        rows = self._database.rows(
            "SELECT issuer FROM receipt WHERE message_id = ? AND event = ?",
            (message_id, Event.CONTENT_HANDOVER),
        )
        return frozenset(row[0] for row in rows)

    def add_delivery(self, delivery: StoredDelivery) -> bool:
        """Keep a received document; return whether it is new. A second copy of it changes nothing."""
        added = self._database.change(
            "INSERT OR IGNORE INTO delivery VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                delivery.sender,
                delivery.message_id,
                delivery.digest,
                delivery.value,
                text_of(delivery.delivered_at),
                delivery.receipt,
                int(delivery.receipt_appended),
            ),
        )
        return added == 1

    def complete_delivery(self, sender: str, message_id: str, value: bytes) -> None:
        """Replace the record of a received document by one of the same digest that carries more of its content."""
        self._database.change(
            "UPDATE delivery SET value = ? WHERE sender = ? AND message_id = ?", (value, sender, message_id)
        )

    def delivery(self, sender: str, message_id: str) -> StoredDelivery | None:
        """Return one received document."""
        rows = self._database.rows(
            "SELECT * FROM delivery WHERE sender = ? AND message_id = ?", (sender, message_id)
        )
        return _delivery(rows[0]) if rows else None

    def deliveries(self, *, message_id: str | None = None, waiting: bool = False) -> Iterator[StoredDelivery]:
        """Yield received documents in order of delivery; `waiting` leaves out those taken and acknowledged.

        One at a time is in memory; which ones is settled with the first.
        """
        conditions = ["TRUE"]
        if message_id is not None:
            conditions.append("message_id = ?")
        if waiting:
            conditions.append("receipt_appended = 0")
        return self._each_delivery(" AND ".join(conditions), () if message_id is None else (message_id,))

    def unsent_handovers(self) -> Iterator[StoredDelivery]:
        """Yield the documents whose receipt of hand-over is kept and not acknowledged, as `deliveries` does."""
        return self._each_delivery("receipt IS NOT NULL AND receipt_appended = 0")

    def _each_delivery(self, condition: str, values: Sequence[object] = ()) -> Iterator[StoredDelivery]:
        keys = self._database.rows(
            f"SELECT sender, message_id FROM delivery WHERE {condition} ORDER BY delivered_at, rowid",  # noqa: S608 - our own
            values,
        )
        for sender, message_id in keys:
            if (delivery := self.delivery(sender, message_id)) is not None:
                yield delivery

    def store_handovers(self, receipts: Sequence[tuple[str, MessageId, bytes]]) -> None:
        """Keep hand-over receipts (sender, message id, record value), durably, before they are appended."""
        with self._database.together(durable=True):
            self._database.change_each(
                "UPDATE delivery SET receipt = ? WHERE sender = ? AND message_id = ? AND receipt IS NULL",
                [(value, sender, message_id) for sender, message_id, value in receipts],
            )

    def set_handover_appended(self, delivery: StoredDelivery, *, appended: bool) -> None:
        """Note whether the broker has the hand-over receipt of a document; one that it has not is appended again.

        Nothing is noted where another command has put another receipt, or none, into its place.
        """
        self._database.change(
            "UPDATE delivery SET receipt_appended = ? WHERE sender = ? AND message_id = ? AND receipt = ?",
            (int(appended), delivery.sender, delivery.message_id, delivery.receipt),
        )

    def withdraw_handover(self, delivery: StoredDelivery) -> None:
        """Forget a hand-over receipt that can never pass: the document waits again, to be taken under another one."""
        self._database.change(
            "UPDATE delivery SET receipt = NULL, receipt_appended = 0"
            " WHERE sender = ? AND message_id = ? AND receipt = ?",
            (delivery.sender, delivery.message_id, delivery.receipt),
        )

    def position(self, topic: str) -> int:
        """Return the offset up to which a topic was read; 0 when it never was."""
        rows = self._database.rows("SELECT next_offset FROM cursor WHERE topic = ?", (topic,))
        return int(rows[0][0]) if rows else 0

    def origin(self, topic: str) -> str | None:
        """Return the identity of the topic that the position belongs to; None while none was noted."""
        rows = self._database.rows("SELECT origin FROM cursor WHERE topic = ?", (topic,))
        return rows[0][0] if rows else None

    def set_position(self, topic: str, next_offset: int, origin: str | None = None) -> None:
        """Note how far a topic was read; to be called together with what was read.

        Args:
            topic: its name.
            next_offset: where to go on.
            origin: the identity that Kafka gave the topic when it was created; the one noted before when None.
        """
        self._database.change(
            "INSERT INTO cursor VALUES (?1, ?2, ?3)"
            " ON CONFLICT (topic) DO UPDATE SET next_offset = ?2, origin = coalesce(?3, origin)",
            (topic, next_offset, origin),
        )


def _make_private(path: Path) -> None:
    """Make the file and its folders, where they are missing, such that no other user of the machine can read them."""
    try:
        for folder in (path.parent.parent, path.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)  # what SQLite puts beside it has the same mode
    except OSError as error:
        raise Unavailable(
            Bilingual(
                f"không mở được {_NAME.vietnamese} {path}: {error.strerror}; kiểm tra đĩa chứa tệp",
                f"cannot open the {_NAME} {path}: {error.strerror}; check its disk",
            )
        ) from error


def _submission(row: tuple[str, bytes, str, bytes, str, str]) -> StoredSubmission:
    return StoredSubmission(
        MessageId(row[0]), Digest(row[1]), row[2], row[3], State(row[4]), moment_of(row[5])
    )


def _delivery(row: tuple[str, str, bytes, bytes, str, bytes | None, int]) -> StoredDelivery:
    return StoredDelivery(
        row[0], MessageId(row[1]), Digest(row[2]), row[3], moment_of(row[4]), row[5], bool(row[6])
    )
