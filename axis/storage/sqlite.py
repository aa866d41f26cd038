"""A SQLite file of the axis: its form in versions, atomic steps, faults as our own."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, Final

from axis.errors import Bilingual, ConfigurationError, Unavailable

_PRAGMAS: Final = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
"""A power cut may take the newest steps away, but no part of one, and none before one that was durable."""
_CHECK_DISK: Final = Bilingual("kiểm tra đĩa chứa tệp", "check its disk")


class Database:
    """One connection with one transaction at a time, from whichever thread.

    Args:
        path: the file; its folder exists. ":memory:" for none.
        name: what messages call it.
        pragmas: how it is shared.
        versions: for each version of its form the statements that make it of the one before. A file of an older form is
            brought up to date; a published version is never changed.
        advice: what to do about a file that cannot be read.

    Raises:
        Unavailable: the file cannot be opened.
        ConfigurationError: a later version of the axis has written it.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        name: Bilingual,
        pragmas: str,
        versions: Sequence[Sequence[str]],
        advice: Bilingual = _CHECK_DISK,
    ) -> None:
        self._name = name
        self._advice = advice
        self._lock = RLock()
        try:
            self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self.connection.executescript(_PRAGMAS + pragmas)
            if self._version() != len(versions):
                self._update(path, versions)
        except sqlite3.Error as error:
            raise Unavailable(
                Bilingual(
                    f"không mở được {name.vietnamese} {path}: {error}; {advice.vietnamese}",
                    f"cannot open the {name} {path}: {error}; {advice}",
                )
            ) from error

    def close(self) -> None:
        """Close the file, when no thread is at work on it."""
        with self._lock:
            self.connection.close()

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement that reads, and return its rows.

        Raises:
            Unavailable: the file cannot be read.
        """
        try:
            with self._lock:
                return self.connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise Unavailable(
                Bilingual(
                    f"không đọc được {self._name.vietnamese}: {error}; {self._advice.vietnamese}",
                    f"cannot read the {self._name}: {error}; {self._advice}",
                )
            ) from error

    def change(self, statement: str, values: Sequence[object] = ()) -> int:
        """Run one statement that writes, alone or within `together`, and return how many rows it changed.

        Raises:
            Unavailable: the disk refuses; nothing was stored.
        """
        with self._faults_of_writing(), self._lock:
            return self.connection.execute(statement, values).rowcount

    def change_each(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement for each row of values, within `together`, whose faults it raises."""
        self.connection.executemany(statement, rows)

    @contextmanager
    def together(self, *, durable: bool = False) -> Iterator[None]:
        """Make all writes of the block one atomic step.

        Args:
            durable: whether it must outlast a power cut, together with everything before it. It costs a round to the
                disk, so what can be read or done again is not asked for.

        Raises:
            Unavailable: the disk refuses; nothing of the block was stored.
        """
        with self._faults_of_writing(), self._lock:
            if durable:
                self.connection.execute("PRAGMA synchronous=FULL")
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                # SQLite rolls back by itself on a full disk.
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
            finally:
                if durable:
                    self.connection.execute("PRAGMA synchronous=NORMAL")

    @contextmanager
    def _faults_of_writing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise Unavailable(
                Bilingual(
                    f"không ghi được {self._name.vietnamese}: {error}; {_CHECK_DISK.vietnamese}",
                    f"cannot write the {self._name}: {error}; {_CHECK_DISK}",
                )
            ) from error

    def _version(self) -> int:
        return int(self.connection.execute("PRAGMA user_version").fetchone()[0])

    def _update(self, path: Path | str, versions: Sequence[Sequence[str]]) -> None:
        with self.together():
            # Read again: another process may have brought it up to date since.
            version = self._version()
            if version > len(versions):
                raise ConfigurationError(
                    Bilingual(
                        f"{self._name.vietnamese} {path} ở phiên bản {version}, phải từ {len(versions)} trở xuống: phiên bản"
                        " mới hơn của trục đã ghi tệp này; hãy dùng phiên bản đó",
                        f"the {self._name} {path} has version {version}, expected at most {len(versions)}: a later version"
                        " of the axis has written it; use that one",
                    )
                )
            for statements in versions[version:]:
                for statement in statements:
                    self.connection.execute(statement)
            self.connection.execute(f"PRAGMA user_version = {len(versions)}")
