"""The router's idempotency store: SQLite as the index of a changelog that lives in Kafka.

The changelog (`axis.router-state`) is the truth and is written in the transaction that it describes. This file only
answers "what did we decide about this key" without reading it again: each change is stored together with a changelog
position before which nothing is missing, whatever survives a crash, and a restart reads the tail alone. A lost or foreign
file is rebuilt from the beginning.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from axis.core.digest import Digest
from axis.core.envelope import Urgency
from axis.errors import Bilingual
from axis.schemas.avro import Decision
from axis.storage.sqlite import Database

# The first version was not numbered: a file of it is taken as it is.
VERSIONS: Final = (
    (
        "CREATE TABLE IF NOT EXISTS origin (changelog TEXT NOT NULL)",
        "CREATE TABLE IF NOT EXISTS position (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL)",
        (
            "CREATE TABLE IF NOT EXISTS decision"
            " (key TEXT PRIMARY KEY, partition INTEGER NOT NULL, digest BLOB NOT NULL, receipt BLOB)"
        ),
    ),
    (
        "ALTER TABLE decision ADD COLUMN urgency INTEGER",
        "ALTER TABLE decision ADD COLUMN submitted_ms INTEGER",
    ),
)
# No step is durable: what a power cut takes away stands in the changelog.
_PRAGMAS: Final = "PRAGMA locking_mode=EXCLUSIVE;"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_KEYS_PER_QUERY: Final = 500
_NAME: Final = Bilingual("kho quyết định", "decision store")
_REBUILD: Final = Bilingual(
    "nếu bộ định tuyến khác đang dùng tệp này, đặt --instance riêng cho mỗi bộ; tệp hỏng thì xóa được: nó sẽ được dựng lại",
    "where another router has the file, give each its own instance; a damaged file may be removed: it is rebuilt",
)


class SqliteDecisions:
    """Implements `axis.ports.DecisionStore` in one SQLite file (":memory:" for none).

    Args:
        path: the file; its folder exists.
        changelog: identity of the changelog topic (Kafka's topic id). A file made from another one is discarded.

    Raises:
        Unavailable: the file cannot be opened, e.g. the disk is full or another router has it.
    """

    def __init__(self, path: Path | str, changelog: str) -> None:
        # Used by the threads that decide, and by the one that restores.
        self._database = Database(path, name=_NAME, pragmas=_PRAGMAS, versions=VERSIONS, advice=_REBUILD)
        self._adopt(changelog)

    def lookup(self, keys: Iterable[str]) -> Mapping[str, Decision]:
        """Return the decisions known for these keys."""
        wanted = list(keys)
        found: dict[str, Decision] = {}
        for start in range(0, len(wanted), _KEYS_PER_QUERY):
            some = wanted[start : start + _KEYS_PER_QUERY]
            marks = ",".join("?" * len(some))
            rows = self._database.rows(
                "SELECT key, digest, receipt, urgency, submitted_ms FROM decision"  # noqa: S608 - question marks only
                f" WHERE key IN ({marks})",
                some,
            )
            found.update((key, _decision(*values)) for key, *values in rows)
        return found

    def apply(self, partition: int, decisions: Sequence[tuple[str, Decision]], position: int) -> None:
        """Store decisions and the changelog position behind them in one step.

        Raises:
            Unavailable: the disk refuses; nothing was stored.
        """
        with self._database.together():
            self._database.change_each(
                "INSERT OR REPLACE INTO decision VALUES (?, ?, ?, ?, ?, ?)",
                [(key, partition, *_values(decision)) for key, decision in decisions],
            )
            self._database.change(
                "INSERT INTO position VALUES (?, ?) ON CONFLICT (partition) DO UPDATE SET next_offset = ?",
                (partition, position, position),
            )

    def position(self, partition: int) -> int:
        """Return the changelog position up to which a partition is indexed; 0 when nothing is."""
        rows = self._database.rows("SELECT next_offset FROM position WHERE partition = ?", (partition,))
        return int(rows[0][0]) if rows else 0

    def forget(self, partition: int) -> None:
        """Drop everything of a partition; raises as `apply` does."""
        with self._database.together():
            self._database.change("DELETE FROM decision WHERE partition = ?", (partition,))
            self._database.change("DELETE FROM position WHERE partition = ?", (partition,))

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _adopt(self, changelog: str) -> None:
        """Keep what was made from this changelog; drop what was made from another one."""
        if self._database.rows("SELECT changelog FROM origin") == [(changelog,)]:
            return
        with self._database.together():
            for table in ("origin", "decision", "position"):
                self._database.change(f"DELETE FROM {table}")  # noqa: S608 - names of our own
            self._database.change("INSERT INTO origin VALUES (?)", (changelog,))


def _values(decision: Decision) -> tuple[bytes, bytes | None, int | None, int | None]:
    at = decision.submitted_at
    submitted_ms = None if at is None else (at - _EPOCH) // _MILLISECOND
    return decision.digest, decision.receipt, decision.urgency, submitted_ms


def _decision(
    digest: bytes, receipt: bytes | None, urgency: int | None, submitted_ms: int | None
) -> Decision:
    return Decision(
        Digest(digest),
        receipt,
        None if urgency is None else Urgency(urgency),
        None if submitted_ms is None else _EPOCH + submitted_ms * _MILLISECOND,
    )
