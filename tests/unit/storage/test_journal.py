"""The journal of a node: what is in it survives, what failed is not in it, and no message id is burnt."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from axis.core.consignment import State
from axis.core.digest import sha256
from axis.core.envelope import MessageId
from axis.core.receipt import Event
from axis.errors import ConfigurationError, Unavailable
from axis.storage.journal import Journal, StoredDelivery, StoredReceipt, StoredSubmission
from axis.storage.rejections import StoredRejection
from tests.unit.storage.full_disk import full_disk

NOW = datetime(2026, 11, 22, 3, 0, 0, 123456, tzinfo=UTC)

STATEMENTS = 4
"""Of keeping two documents with the position behind them: begin, two inserts and the position; then the commit."""

UNNUMBERED = """
CREATE TABLE submission (
    message_id TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, topic TEXT NOT NULL, value BLOB NOT NULL,
    state TEXT NOT NULL, stored_at TEXT NOT NULL
);
CREATE TABLE receipt (
    digest BLOB PRIMARY KEY, message_id TEXT, event TEXT NOT NULL, issuer TEXT NOT NULL, value BLOB NOT NULL,
    received_at TEXT NOT NULL
);
CREATE INDEX receipt_of ON receipt (message_id);
CREATE TABLE delivery (
    sender TEXT NOT NULL, message_id TEXT NOT NULL, digest BLOB NOT NULL, value BLOB NOT NULL,
    delivered_at TEXT NOT NULL, receipt BLOB, receipt_appended INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (sender, message_id)
);
CREATE TABLE cursor (topic TEXT PRIMARY KEY, next_offset INTEGER NOT NULL);
INSERT INTO delivery VALUES ('H56', 'a', x'00', x'01', '2026-11-22T03:00:00+00:00', x'02', 0);
INSERT INTO cursor VALUES ('inbox', 7);
"""
"""A journal as the first version left it."""

WRITER = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from axis.core.digest import sha256
from axis.core.envelope import MessageId
from axis.storage.journal import Journal, StoredDelivery

def die_before(statement, connection):
    left = iter(range(statement))
    def trace(sql):
        if next(left) == statement - 1:
            os.kill(os.getpid(), signal.SIGKILL)
    connection.set_trace_callback(trace)

journal = Journal(Path(sys.argv[1]))
die_before(int(sys.argv[2]), journal._database.connection)
with journal.together():
    for name in (b"a", b"b"):
        at = datetime.now(UTC)
        journal.add_delivery(StoredDelivery("H56", MessageId(name.decode()), sha256(name), name, at, None, False))
    journal.set_position("inbox", 2)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal of a test lies."""
    return tmp_path / "nodes" / "H56" / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    """An empty journal."""
    opened = Journal(path)
    yield opened
    opened.close()


def submission(name: str, *, size: int = 10, stored_at: datetime = NOW) -> StoredSubmission:
    """A submission that is told apart by its name."""
    digest = sha256(name.encode())
    return StoredSubmission(
        MessageId(name), digest, "axis.submissions.standard", bytes(size), State.STORED, stored_at
    )


def delivery(name: str, sender: str = "H56") -> StoredDelivery:
    """A received document that is told apart by its name."""
    return StoredDelivery(sender, MessageId(name), sha256(name.encode()), name.encode(), NOW, None, False)


def receipt(name: str, event: Event, issuer: str) -> StoredReceipt:
    """A receipt about a submission."""
    value = f"{name} {event} {issuer}".encode()
    return StoredReceipt(sha256(value), MessageId(name), event, issuer, value, NOW)


def test_submissions_come_back_in_order(journal: Journal, path: Path) -> None:
    """Oldest first, each with its exact bytes, by message id and by digest, also after the file was opened again."""
    late, early = submission("b", stored_at=NOW + timedelta(microseconds=1)), submission("c")
    for each in (late, early):
        journal.store_submission(each)
    journal.set_state(MessageId("b"), State.ACCEPTED)
    again = Journal(path)
    assert again.submissions() == [early, replace(late, state=State.ACCEPTED)]
    assert again.submissions([State.STORED]) == [early]
    assert again.submission(message_id=MessageId("c")) == again.submission(digest=early.digest) == early
    assert again.submission(message_id=MessageId("d"), digest=sha256(b"d")) is None
    again.close()


def test_a_receipt_is_kept_once(journal: Journal) -> None:
    """The same statement again is not new, and who was handed the document is counted by organisation."""
    acceptance = receipt("a", Event.SUBMISSION_ACCEPTANCE, "H56.W00")
    assert [journal.add_receipt(acceptance), journal.add_receipt(acceptance)] == [True, False]
    assert journal.add_receipt(receipt("a", Event.CONTENT_HANDOVER, "H56.1"))
    assert journal.acceptance(MessageId("a")) == acceptance.value
    assert journal.acceptance(MessageId("b")) is None
    assert journal.handed_over_to(MessageId("a")) == {"H56.1"}
    assert [each.issuer for each in journal.receipts(MessageId("a"))] == ["H56.W00", "H56.1"]


def test_a_document_is_kept_once_for_each_sender(journal: Journal) -> None:
    """A second copy changes nothing; the same message id of another sender is another document."""
    first = delivery("a")
    assert journal.add_delivery(first)
    assert not journal.add_delivery(replace(first, digest=sha256(b"other"), value=b"other"))
    assert journal.add_delivery(delivery("a", "H56.1"))
    assert journal.delivery("H56", "a") == first
    assert len(list(journal.deliveries(message_id="a"))) == 2


def test_a_document_is_completed(journal: Journal) -> None:
    """A record that carries more replaces that of the same sender's document alone, and changes nothing else of it."""
    for sender in ("H56", "H56.1"):
        journal.add_delivery(delivery("a", sender))
    journal.complete_delivery("H56", "a", b"whole")
    assert journal.delivery("H56", "a") == replace(delivery("a"), value=b"whole")
    assert journal.delivery("H56.1", "a") == delivery("a", "H56.1")


def rejection(name: str, offset: int) -> StoredRejection:
    """A rejected record that is told apart by its name."""
    return StoredRejection(
        sha256(name.encode()), offset, NOW, "not-addressed", "to others", "directory 1", kept=True
    )


def test_a_rejected_record_is_kept_until_it_passes(journal: Journal, path: Path) -> None:
    """Once for the same bytes, with the latest judgement, also after the file was opened again."""
    nameless = replace(rejection("a", 1), kept=False)
    journal.rejections.keep(rejection("b", 2), b"b")
    journal.rejections.keep(nameless, b"a")
    again = replace(rejection("b", 3), reason="certificate-not-enrolled", judged_by="directory 2")
    journal.rejections.keep(again, b"b")
    reopened = Journal(path)
    assert reopened.rejections.listed() == [nameless, again]
    assert [reopened.rejections.value(sha256(name)) for name in (b"a", b"b", b"c")] == [None, b"b", None]
    reopened.rejections.remove(sha256(b"b"))
    assert journal.rejections.listed() == [nameless]
    reopened.close()


def test_nobody_else_reads_a_journal(path: Path, journal: Journal) -> None:
    """Neither the folders that are made for it nor any of its files is open to other users of the machine."""
    journal.add_delivery(delivery("a"))
    made = [path.parent.parent, path.parent, *path.parent.iterdir()]
    assert {each.name for each in made} >= {"nodes", "journal.db", "journal.db-wal"}
    assert [each.name for each in made if each.stat().st_mode & 0o077] == []


def test_the_first_handover_receipt_stands(journal: Journal) -> None:
    """A receipt that was made is never replaced, and waits until the broker has it."""
    journal.add_delivery(delivery("a"))
    for value in (b"first", b"second"):
        journal.store_handovers([("H56", MessageId("a"), value)])
    [first] = journal.deliveries(waiting=True)
    assert first.receipt == b"first"
    journal.set_handover_appended(first, appended=True)
    assert not list(journal.deliveries(waiting=True))


def test_a_receipt_that_was_not_acknowledged_is_unsent(journal: Journal) -> None:
    """A document that nobody has taken is not among the unsent receipts; one whose receipt was refused is again."""
    for name in ("a", "b"):
        journal.add_delivery(delivery(name))
    journal.store_handovers([("H56", MessageId("b"), b"receipt")])
    [taken] = journal.unsent_handovers()
    for appended, unsent in ((True, []), (False, ["b"])):
        journal.set_handover_appended(taken, appended=appended)
        assert [each.message_id for each in journal.unsent_handovers()] == unsent


def test_a_withdrawn_receipt_makes_room_for_another(journal: Journal) -> None:
    """The document waits as if it had never been taken; who has another receipt in mind changes nothing."""
    journal.add_delivery(delivery("a"))
    journal.store_handovers([("H56", MessageId("a"), b"first")])
    [first] = journal.unsent_handovers()
    journal.withdraw_handover(replace(first, receipt=b"other"))
    assert list(journal.unsent_handovers()) == [first]
    journal.set_handover_appended(first, appended=True)
    journal.withdraw_handover(first)
    journal.set_handover_appended(first, appended=True)
    assert list(journal.deliveries(waiting=True)) == [delivery("a")]
    journal.store_handovers([("H56", MessageId("a"), b"second")])
    journal.set_handover_appended(first, appended=True)
    assert [each.receipt for each in journal.unsent_handovers()] == [b"second"]


def test_deliveries_may_change_while_they_are_gone_through(journal: Journal) -> None:
    """What is gone through was settled at the beginning, each with what is known of it by now."""
    for name in ("a", "b"):
        journal.add_delivery(delivery(name))
    seen = []
    for each in journal.deliveries(waiting=True):
        seen.append(each.receipt)
        journal.store_handovers([("H56", MessageId("b"), b"receipt")])
        journal.set_handover_appended(replace(delivery("b"), receipt=b"receipt"), appended=True)
        journal.add_delivery(delivery("c"))
    assert seen == [None, b"receipt"]


def test_a_position_keeps_the_identity_of_its_topic(journal: Journal) -> None:
    """The identity is noted once and stays until another one is noted."""
    journal.set_position("inbox", 1)
    assert journal.origin("inbox") is journal.origin("other") is None
    journal.set_position("inbox", 2, "first")
    journal.set_position("inbox", 3)
    assert (journal.position("inbox"), journal.origin("inbox")) == (3, "first")
    journal.set_position("inbox", 0, "second")
    assert (journal.position("inbox"), journal.origin("inbox")) == (0, "second")


def test_a_journal_of_the_first_version_is_brought_up_to_date(path: Path) -> None:
    """Everything in it stays, what is new is usable, and opening it again changes nothing."""
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as first:
        first.executescript(UNNUMBERED)
    for _ in range(2):
        journal = Journal(path)
        assert (journal.position("inbox"), journal.origin("inbox")) == (7, None)
        assert [each.receipt for each in journal.unsent_handovers()] == [b"\x02"]
        journal.close()


def test_a_journal_of_a_later_version_is_left_alone(path: Path) -> None:
    """Software that does not know its form says so, and does not touch it."""
    Journal(path).close()
    with closing(sqlite3.connect(path)) as later:
        later.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="version 99, expected at most 3"):
        Journal(path)
    assert path.read_bytes() == before


def test_a_block_is_stored_whole_or_not_at_all(journal: Journal) -> None:
    """When anything of a block fails, nothing of it is stored, and the journal is usable afterwards."""

    def fail() -> None:
        with journal.together():
            journal.add_delivery(delivery("a"))
            journal.set_position("inbox", 1)
            raise ValueError("of the block's own")

    with pytest.raises(ValueError, match="of the block's own"):
        fail()
    assert (journal.position("inbox"), list(journal.deliveries())) == (0, [])
    with journal.together():
        journal.add_delivery(delivery("a"))
        journal.set_position("inbox", 1)
    assert (journal.position("inbox"), list(journal.deliveries())) == (1, [delivery("a")])


def test_a_full_disk_burns_no_message_id(journal: Journal, path: Path) -> None:
    """A submission that could not be stored is not there, and storing the same one again succeeds."""
    journal.store_submission(submission("a"))
    journal.add_delivery(delivery("d"))
    taken = replace(delivery("e"), receipt=b"receipt")
    journal.add_delivery(taken)
    failed = submission("b", size=500_000)
    writes: list[Callable[[], object]] = [
        lambda: journal.store_submission(failed),
        lambda: journal.set_state(MessageId("a"), State.ACCEPTED),
        lambda: journal.store_handovers([("H56", MessageId("d"), b"receipt")]),
        lambda: journal.set_handover_appended(taken, appended=True),
        lambda: journal.withdraw_handover(taken),
        lambda: journal.set_position("inbox", 1),
    ]
    with full_disk(path):
        for write in writes:
            with pytest.raises(Unavailable, match="check its disk"):
                write()
        assert journal.submissions() == [submission("a")]
        assert list(journal.deliveries()) == [delivery("d"), taken]
    journal.store_submission(failed)
    assert journal.submission(message_id=MessageId("b")) == failed


@pytest.mark.parametrize("statement", range(1, STATEMENTS + 3))
def test_a_node_killed_at_any_statement_keeps_documents_and_position_in_step(
    path: Path, statement: int
) -> None:
    """What was read is in the journal whole, with the position behind it, or is read again."""
    ended = subprocess.run([sys.executable, "-c", WRITER, str(path), str(statement)], check=False, timeout=60)
    killed = statement <= STATEMENTS + 1
    assert ended.returncode == (-signal.SIGKILL if killed else 0)
    journal = Journal(path)
    expected = (0, []) if killed else (2, ["a", "b"])
    assert (journal.position("inbox"), [each.message_id for each in journal.deliveries()]) == expected
    journal.close()


def test_a_journal_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    """Where no folder can be made the command says so, and does not end with a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="cannot open the journal"):
        Journal(tmp_path / "file" / "H56" / "journal.db")


def test_a_damaged_journal_is_reported(path: Path) -> None:
    """What is no database is a fault outside, not an exception of SQLite."""
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(Unavailable, match="cannot open the journal"):
        Journal(path)
