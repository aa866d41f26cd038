"""The router's idempotency store: SQLite as the index of a changelog that lives in Kafka.

The changelog (`axis.router-state`) is the truth and is written in the transaction that it describes. This file only
answers "what did we decide about this key" without reading it again: each change is stored together with the changelog
position it was read at, so whatever survives a crash is a true prefix, and a restart reads the tail alone. A lost or
foreign file is rebuilt from the beginning.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from axis.core.digest import Digest
from axis.errors import Unavailable
from axis.schemas.avro import Decision

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS origin (changelog TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS position (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS decision (
    key TEXT PRIMARY KEY, partition INTEGER NOT NULL, digest BLOB NOT NULL, receipt BLOB
) WITHOUT ROWID;
"""
_KEYS_PER_QUERY: Final = 500


class SqliteDecisions:
    """Implements `axis.ports.DecisionStore` in one SQLite file (":memory:" for none).

    Args:
        path: the file; its folder exists.
        changelog: identity of the changelog topic (Kafka's topic id). A file made from another one is discarded.

    Raises:
        Unavailable: the file cannot be opened, e.g. the disk is full or another router has it.
    """

    def __init__(self, path: Path | str, changelog: str) -> None:
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            # WAL with NORMAL: a power cut may lose the newest entries but never order or atomicity; the changelog has them.
            self._connection.executescript(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA locking_mode=EXCLUSIVE;"
            )
            self._connection.executescript(_SCHEMA)
            self._adopt(changelog)
        except sqlite3.Error as error:
            raise Unavailable(f"cannot open the decision store {path}: {error}") from error

    def lookup(self, keys: Iterable[str]) -> Mapping[str, Decision]:
        """Return the decisions known for these keys."""
        wanted = list(keys)
        found: dict[str, Decision] = {}
        for start in range(0, len(wanted), _KEYS_PER_QUERY):
            some = wanted[start : start + _KEYS_PER_QUERY]
            marks = ",".join("?" * len(some))
            rows = self._connection.execute(
                f"SELECT key, digest, receipt FROM decision WHERE key IN ({marks})",  # noqa: S608 - question marks only
                some,
            )
            found.update((key, Decision(Digest(digest), receipt)) for key, digest, receipt in rows)
        return found

    def apply(self, partition: int, decisions: Sequence[tuple[str, Decision]], position: int) -> None:
        """Store decisions and the changelog position behind them in one step.

        Raises:
            Unavailable: the disk refuses; nothing was stored.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany(
                    "INSERT OR REPLACE INTO decision VALUES (?, ?, ?, ?)",
                    [(key, partition, decision.digest, decision.receipt) for key, decision in decisions],
                )
                self._connection.execute(
                    "INSERT INTO position VALUES (?, ?) ON CONFLICT (partition) DO UPDATE SET next_offset = ?",
                    (partition, position, position),
                )
            except BaseException:
                # SQLite rolls back by itself on a full disk.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise Unavailable(f"cannot write the decision store: {error}") from error

    def position(self, partition: int) -> int:
        """Return the changelog position up to which a partition is indexed; 0 when nothing is."""
        row = self._connection.execute(
            "SELECT next_offset FROM position WHERE partition = ?", (partition,)
        ).fetchone()
        return int(row[0]) if row else 0

    def forget(self, partition: int) -> None:
        """Drop everything of a partition."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("DELETE FROM decision WHERE partition = ?", (partition,))
        self._connection.execute("DELETE FROM position WHERE partition = ?", (partition,))
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _adopt(self, changelog: str) -> None:
        with closing(self._connection.execute("SELECT changelog FROM origin")) as rows:
            row = rows.fetchone()
        if row and row[0] == changelog:
            return
        self._connection.executescript(
            "BEGIN; DELETE FROM origin; DELETE FROM decision; DELETE FROM position;"
        )
        self._connection.execute("INSERT INTO origin VALUES (?)", (changelog,))
        self._connection.execute("COMMIT")
