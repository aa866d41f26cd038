"""The router's idempotency store: SQLite as the index of a changelog that lives in Kafka.

The changelog (`axis.router-state`) is the truth and is written in the transaction that it describes. This file only
answers "what did we decide about this key" without reading it again: each change is stored together with the changelog
position it was read at, so whatever survives a crash is a true prefix, and a restart reads the tail alone. A lost or
foreign file is rebuilt from the beginning.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Final

from axis.core.digest import Digest
from axis.errors import Unavailable
from axis.schemas.avro import Decision

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS origin (changelog TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS position (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS decision (
    key TEXT PRIMARY KEY, partition INTEGER NOT NULL, digest BLOB NOT NULL, receipt BLOB
);
"""
_KEYS_PER_QUERY: Final = 500
_REBUILD: Final = "where another router has the file, give each its own instance; a damaged file may be removed: it is rebuilt"


class SqliteDecisions:
    """Implements `axis.ports.DecisionStore` in one SQLite file (":memory:" for none).

    Args:
        path: the file; its folder exists.
        changelog: identity of the changelog topic (Kafka's topic id). A file made from another one is discarded.

    Raises:
        Unavailable: the file cannot be opened, e.g. the disk is full or another router has it.
    """

    def __init__(self, path: Path | str, changelog: str) -> None:
        # Looked up by the thread that decides, written by another one: a connection has one transaction at a time.
        self._lock = Lock()
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            # WAL with NORMAL: a power cut may lose the newest entries but never order or atomicity; the changelog has them.
            self._connection.executescript(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA locking_mode=EXCLUSIVE;"
            )
            self._connection.executescript(_SCHEMA)
            self._adopt(changelog)
        except sqlite3.Error as error:
            raise Unavailable(f"cannot open the decision store {path}: {error}; {_REBUILD}") from error

    def lookup(self, keys: Iterable[str]) -> Mapping[str, Decision]:
        """Return the decisions known for these keys."""
        wanted = list(keys)
        found: dict[str, Decision] = {}
        for start in range(0, len(wanted), _KEYS_PER_QUERY):
            some = wanted[start : start + _KEYS_PER_QUERY]
            marks = ",".join("?" * len(some))
            rows = self._read(
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
        with self._together():
            self._connection.executemany(
                "INSERT OR REPLACE INTO decision VALUES (?, ?, ?, ?)",
                [(key, partition, decision.digest, decision.receipt) for key, decision in decisions],
            )
            self._connection.execute(
                "INSERT INTO position VALUES (?, ?) ON CONFLICT (partition) DO UPDATE SET next_offset = ?",
                (partition, position, position),
            )

    def position(self, partition: int) -> int:
        """Return the changelog position up to which a partition is indexed; 0 when nothing is."""
        rows = self._read("SELECT next_offset FROM position WHERE partition = ?", (partition,))
        return int(rows[0][0]) if rows else 0

    def forget(self, partition: int) -> None:
        """Drop everything of a partition; raises as `apply` does."""
        with self._together():
            self._connection.execute("DELETE FROM decision WHERE partition = ?", (partition,))
            self._connection.execute("DELETE FROM position WHERE partition = ?", (partition,))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Make all writes of the block one atomic step."""
        try:
            with self._lock:
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
            raise Unavailable(f"cannot write the decision store: {error}; check its disk") from error

    def _read(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise Unavailable(f"cannot read the decision store: {error}; {_REBUILD}") from error

    def _adopt(self, changelog: str) -> None:
        """Keep what was made from this changelog; drop what was made from another one."""
        if self._connection.execute("SELECT changelog FROM origin").fetchall() == [(changelog,)]:
            return
        with self._together():
            for table in ("origin", "decision", "position"):
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own
            self._connection.execute("INSERT INTO origin VALUES (?)", (changelog,))
