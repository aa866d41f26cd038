"""A node's own memory: what it sent, what it was answered, what it received and took, and how far it has read.

One SQLite file per organisation. It is what lets a node say "this receipt is about something I sent", repeat an
unfinished submission with the same bytes, and go on after weeks without a link. Everything in it can be read again
from the organisation's inbox, except what was stored but never appended: that is the reason for FULL synchronisation.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from axis.core.consignment import State
from axis.core.digest import Digest
from axis.core.envelope import MessageId
from axis.core.receipt import Event
from axis.errors import Unavailable

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS submission (
    message_id TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, topic TEXT NOT NULL, value BLOB NOT NULL,
    state TEXT NOT NULL, stored_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS receipt (
    digest BLOB PRIMARY KEY, message_id TEXT, event TEXT NOT NULL, issuer TEXT NOT NULL, value BLOB NOT NULL,
    received_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS receipt_of ON receipt (message_id);
CREATE TABLE IF NOT EXISTS delivery (
    sender TEXT NOT NULL, message_id TEXT NOT NULL, digest BLOB NOT NULL, value BLOB NOT NULL,
    delivered_at TEXT NOT NULL, receipt BLOB, receipt_appended INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (sender, message_id)
);
CREATE TABLE IF NOT EXISTS cursor (topic TEXT PRIMARY KEY, next_offset INTEGER NOT NULL);
"""


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
    """A verified receipt about something this node sent."""

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
        path: the SQLite file; its folder is made when missing. ":memory:" for none.

    Raises:
        Unavailable: the file cannot be opened.
    """

    def __init__(self, path: Path | str) -> None:
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=30.0)
            self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _SCHEMA)
        except sqlite3.Error as error:
            raise Unavailable(f"cannot open the journal {path}: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make all writes of the block one atomic step.

        Raises:
            Unavailable: the disk refuses; nothing of the block was stored.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite rolls back by itself on a full disk.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise Unavailable(f"cannot write the journal: {error}; check its disk") from error

    def _run(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise Unavailable(f"cannot use the journal: {error}; check its disk") from error

    def store_submission(self, submission: StoredSubmission) -> None:
        """Store a submission before it is appended for the first time."""
        with self.together():
            self._run(
                "INSERT INTO submission VALUES (?, ?, ?, ?, ?, ?)",
                (
                    submission.message_id,
                    submission.digest,
                    submission.topic,
                    submission.value,
                    submission.state,
                    _text(submission.stored_at),
                ),
            )

    def set_state(self, message_id: MessageId, state: State) -> None:
        """Move a submission on."""
        self._run("UPDATE submission SET state = ? WHERE message_id = ?", (state, message_id))

    def submission(
        self, *, message_id: MessageId | None = None, digest: bytes = b""
    ) -> StoredSubmission | None:
        """Return a submission by message id or by digest, None when this node did not send it."""
        row = self._run(
            "SELECT * FROM submission WHERE message_id = ? OR digest = ?", (message_id, digest)
        ).fetchone()
        return _submission(row) if row else None

    def submissions(self, states: Iterable[State] = State) -> list[StoredSubmission]:
        """Return submissions in the order in which they were stored."""
        wanted = list(states)
        marks = ",".join("?" * len(wanted))
        rows = self._run(
            f"SELECT * FROM submission WHERE state IN ({marks}) ORDER BY stored_at, message_id",  # noqa: S608 - marks only
            wanted,
        )
        return [_submission(row) for row in rows]

    def add_receipt(self, receipt: StoredReceipt) -> bool:
        """Keep a receipt; return whether it is new."""
        cursor = self._run(
            "INSERT OR IGNORE INTO receipt VALUES (?, ?, ?, ?, ?, ?)",
            (
                receipt.digest,
                receipt.message_id,
                receipt.event,
                receipt.issuer,
                receipt.value,
                _text(receipt.received_at),
            ),
        )
        return cursor.rowcount == 1

    def receipts(self, message_id: MessageId) -> list[StoredReceipt]:
        """Return the receipts of one submission, oldest first."""
        rows = self._run(
            "SELECT * FROM receipt WHERE message_id = ? ORDER BY received_at, rowid", (message_id,)
        )
        return [
            StoredReceipt(Digest(row[0]), row[1], Event(row[2]), row[3], row[4], _time(row[5]))
            for row in rows
        ]

    def acceptance(self, message_id: MessageId) -> bytes | None:
        """Return the axis's receipt of acceptance of a submission (record value)."""
        row = self._run(
            "SELECT value FROM receipt WHERE message_id = ? AND event = ?",
            (message_id, Event.SUBMISSION_ACCEPTANCE),
        ).fetchone()
        return bytes(row[0]) if row else None

    def handed_over_to(self, message_id: MessageId) -> frozenset[str]:
        """Return the recipients whose receipt of hand-over is here."""
        rows = self._run(
            "SELECT issuer FROM receipt WHERE message_id = ? AND event = ?",
            (message_id, Event.CONTENT_HANDOVER),
        )
        return frozenset(row[0] for row in rows)

    def add_delivery(self, delivery: StoredDelivery) -> bool:
        """Keep a received document; return whether it is new. A second copy of it changes nothing."""
        cursor = self._run(
            "INSERT OR IGNORE INTO delivery VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                delivery.sender,
                delivery.message_id,
                delivery.digest,
                delivery.value,
                _text(delivery.delivered_at),
                delivery.receipt,
                int(delivery.receipt_appended),
            ),
        )
        return cursor.rowcount == 1

    def delivery(self, sender: str, message_id: str) -> StoredDelivery | None:
        """Return one received document."""
        row = self._run(
            "SELECT * FROM delivery WHERE sender = ? AND message_id = ?", (sender, message_id)
        ).fetchone()
        return _delivery(row) if row else None

    def deliveries(self, *, message_id: str | None = None, waiting: bool = False) -> list[StoredDelivery]:
        """Return received documents in order of delivery; `waiting` leaves out those taken and acknowledged."""
        rows = self._run(
            "SELECT * FROM delivery WHERE (? IS NULL OR message_id = ?) AND (NOT ? OR receipt_appended = 0)"
            " ORDER BY delivered_at, rowid",
            (message_id, message_id, waiting),
        )
        return [_delivery(row) for row in rows]

    def store_handovers(self, receipts: Sequence[tuple[str, MessageId, bytes]]) -> None:
        """Keep hand-over receipts (sender, message id, record value) before they are appended."""
        with self.together():
            self._connection.executemany(
                "UPDATE delivery SET receipt = ? WHERE sender = ? AND message_id = ? AND receipt IS NULL",
                [(value, sender, message_id) for sender, message_id, value in receipts],
            )

    def handover_appended(self, sender: str, message_id: MessageId) -> None:
        """Note that the broker has a hand-over receipt."""
        self._run(
            "UPDATE delivery SET receipt_appended = 1 WHERE sender = ? AND message_id = ?",
            (sender, message_id),
        )

    def position(self, topic: str) -> int:
        """Return the offset up to which a topic was read; 0 when it never was."""
        row = self._run("SELECT next_offset FROM cursor WHERE topic = ?", (topic,)).fetchone()
        return int(row[0]) if row else 0

    def set_position(self, topic: str, next_offset: int) -> None:
        """Note how far a topic was read; to be called together with what was read."""
        self._run(
            "INSERT INTO cursor VALUES (?, ?) ON CONFLICT (topic) DO UPDATE SET next_offset = ?",
            (topic, next_offset, next_offset),
        )


def _submission(row: tuple[str, bytes, str, bytes, str, str]) -> StoredSubmission:
    return StoredSubmission(MessageId(row[0]), Digest(row[1]), row[2], row[3], State(row[4]), _time(row[5]))


def _delivery(row: tuple[str, str, bytes, bytes, str, bytes | None, int]) -> StoredDelivery:
    return StoredDelivery(
        row[0], MessageId(row[1]), Digest(row[2]), row[3], _time(row[4]), row[5], bool(row[6])
    )


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
