"""The decision store: a true prefix of its changelog, whatever happens to the process or the disk."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from axis.core.digest import sha256
from axis.core.envelope import Urgency
from axis.errors import Unavailable
from axis.schemas.avro import Decision
from axis.storage.decisions import VERSIONS, SqliteDecisions
from tests.unit.storage.full_disk import full_disk

CHANGELOG = "AAAAAAAAAAAAAAAAAAAAAg"

STATEMENTS = 6
"""Of storing three decisions: begin, three inserts, the position, commit."""

WRITER = f"""
import os, signal, sys
from axis.core.digest import sha256
from axis.schemas.avro import Decision
from axis.storage.decisions import SqliteDecisions

def die_before(statement, connection):
    left = iter(range(statement))
    def trace(sql):
        if next(left) == statement - 1:
            os.kill(os.getpid(), signal.SIGKILL)
    connection.set_trace_callback(trace)

path, statement = sys.argv[1], int(sys.argv[2])
store = SqliteDecisions(path, {CHANGELOG!r})
position = store.position(0)
die_before(statement, store._database.connection)
store.apply(0, [(str(n), Decision(sha256(b""), bytes(500))) for n in range(position, position + 3)], position + 3)
"""


def decision(text: str) -> Decision:
    """A decision that is told apart by this text."""
    return Decision(sha256(text.encode()), text.encode())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store of a test lies."""
    return tmp_path / "decisions.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteDecisions]:
    """An empty store."""
    opened = SqliteDecisions(path, CHANGELOG)
    yield opened
    opened.close()


def test_decisions_come_back_with_their_position(store: SqliteDecisions) -> None:
    """What was applied is found by key, a later decision of a key stands, and what is unknown is not there."""
    assert (store.position(3), store.lookup(["a"])) == (0, {})
    store.apply(3, [("a", decision("1")), ("b", Decision(sha256(b""), None))], 7)
    later = Decision(sha256(b"2"), b"2", Urgency.FLASH, datetime(2026, 11, 23, 1, 2, 3, 456_000, tzinfo=UTC))
    store.apply(3, [("a", later)], 9)
    assert store.position(3) == 9
    assert store.lookup(["a", "b", "c"]) == {"a": later, "b": Decision(sha256(b""), None)}


def test_a_file_of_an_older_version_is_kept(path: Path) -> None:
    """What it noted is found, without what only later versions note."""
    with closing(sqlite3.connect(path)) as older:
        for statement in VERSIONS[0]:
            older.execute(statement)
        older.execute("INSERT INTO origin VALUES (?)", (CHANGELOG,))
        older.execute("INSERT INTO decision VALUES ('a', 3, ?, ?)", (sha256(b"1"), b"1"))
        older.execute("INSERT INTO position VALUES (3, 7)")
        older.execute("PRAGMA user_version = 1")
        older.commit()
    store = SqliteDecisions(path, CHANGELOG)
    assert (store.position(3), store.lookup(["a"])) == (7, {"a": Decision(sha256(b"1"), b"1")})
    store.close()


def test_any_number_of_keys_is_looked_up(store: SqliteDecisions) -> None:
    """A batch may ask for more keys than one statement takes."""
    keys = [f"key-{number}" for number in range(2_345)]
    store.apply(0, [(key, decision(key)) for key in keys], len(keys))
    assert store.lookup(keys) == {key: decision(key) for key in keys}


def test_partitions_are_forgotten_one_by_one(store: SqliteDecisions) -> None:
    """Rebuilding one partition leaves the others alone."""
    store.apply(0, [("a", decision("a"))], 1)
    store.apply(1, [("b", decision("b"))], 5)
    store.forget(0)
    assert (store.position(0), store.position(1)) == (0, 5)
    assert store.lookup(["a", "b"]) == {"b": decision("b")}


@pytest.mark.parametrize(("changelog", "position"), [(CHANGELOG, 4), ("AnotherChangelog", 0)])
def test_a_file_of_another_changelog_is_discarded(path: Path, changelog: str, position: int) -> None:
    """Opened again it is whole; beside a topic that was made anew nothing of it is believed."""
    first = SqliteDecisions(path, CHANGELOG)
    first.apply(2, [("a", decision("a"))], 4)
    first.close()
    again = SqliteDecisions(path, changelog)
    assert (again.position(2), bool(again.lookup(["a"]))) == (position, position > 0)
    again.close()


def test_a_full_disk_stores_nothing_by_halves(path: Path, store: SqliteDecisions) -> None:
    """The write is refused whole, what was there stays, and the same call succeeds once there is room."""
    store.apply(0, [("a", decision("a"))], 1)
    batch = [(str(number), Decision(sha256(b""), bytes(2_000))) for number in range(500)]
    with full_disk(path):
        for some in (batch, batch[:1]):
            with pytest.raises(Unavailable, match="cannot write the decision store"):
                store.apply(0, some, 1 + len(some))
        assert store.position(0) == 1
        assert set(store.lookup(["a", *dict(batch)])) == {"a"}
    store.apply(0, batch, 501)
    assert (store.position(0), len(store.lookup(dict(batch)))) == (501, 500)


@pytest.mark.parametrize("statement", range(1, STATEMENTS + 2))
def test_a_writer_killed_at_any_statement_leaves_a_true_prefix(path: Path, statement: int) -> None:
    """Decisions and position agree: all of a batch is there or nothing, and what was applied before stays."""
    first = SqliteDecisions(path, CHANGELOG)
    first.apply(0, [(str(number), decision(str(number))) for number in range(4)], 4)
    first.close()
    ended = subprocess.run([sys.executable, "-c", WRITER, str(path), str(statement)], check=False, timeout=60)
    assert ended.returncode == (-signal.SIGKILL if statement <= STATEMENTS else 0)
    store = SqliteDecisions(path, CHANGELOG)
    assert store.position(0) == (4 if statement <= STATEMENTS else 7)
    assert set(store.lookup(map(str, range(20)))) == set(map(str, range(store.position(0))))
    store.close()


def test_a_damaged_file_says_how_to_go_on(path: Path) -> None:
    """What is no database is reported with the way out: it may be removed, because it is rebuilt."""
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(Unavailable, match="may be removed: it is rebuilt"):
        SqliteDecisions(path, CHANGELOG)


def test_two_routers_never_share_a_file(path: Path, store: SqliteDecisions) -> None:
    """A second router that was given the same file is told so."""
    store.apply(0, [], 1)
    with pytest.raises(Unavailable, match="give each its own instance"):
        SqliteDecisions(path, CHANGELOG)


def test_lookups_from_another_thread_are_answered(store: SqliteDecisions) -> None:
    """Decisions are looked up in a worker's thread while the loop applies others."""
    with ThreadPoolExecutor(1) as worker:
        for number in range(200):
            store.apply(0, [(str(number), decision(str(number)))], number + 1)
            assert worker.submit(store.lookup, [str(number)]).result() == {str(number): decision(str(number))}


def test_a_store_that_cannot_be_read_says_so(store: SqliteDecisions) -> None:
    """A fault of SQLite never leaves the adapter as SQLite's own."""
    store._database.connection.execute("DROP TABLE decision")
    with pytest.raises(Unavailable, match="cannot read the decision store"):
        store.lookup(["a"])
    with pytest.raises(Unavailable, match="cannot write the decision store"):
        store.forget(0)
    assert not store._database.connection.in_transaction
