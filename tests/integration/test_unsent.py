"""What a node has signed and kept but not sent: it is named, sent on or given up, and never sent unseen."""

import asyncio
import json
import os
import signal
import sqlite3
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from axis import settings
from axis.apps.demo.router_process import RouterProcess
from axis.apps.demo.stage import Stage
from axis.apps.demo.witness import Witness
from axis.connection import connect_as
from axis.consumers.kafka import PartitionReader
from axis.core.addressing import OrganisationCode
from axis.core.consignment import State
from axis.core.digest import sha256
from axis.errors import Refused
from axis.storage.journal import Journal
from tests.integration.installation import PROVINCE, SECONDS, Installation
from tests.waiting import until

pytestmark = pytest.mark.kafka


def test_what_the_broker_refuses_holds_up_no_other_document(site: Installation) -> None:
    """`--resume` sends what it can, shows what was sent and what was not and why, and ends with 8 every time."""
    refused, sent = asyncio.run(site.kept("H56.02", bytes(3 * 1024 * 1024), b"%PDF"))
    done = site.run("publish", "--resume", "--as", "H56.02", "-o", "json")
    assert done.returncode == 8, done.stderr
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert (first["message_id"], first["state"], first["reason"]) == (refused, "stored", "broker-refused")
    assert (first["offset"], "MessageSizeTooLarge" in first["detail"]) == (None, True)
    assert (second["message_id"], second["state"]) == (sent, "accepted")
    assert "axis publish --resume --as H56.02" in done.stderr
    again = site.run("publish", "--resume", "--as", "H56.02", "-o", "id")
    assert (again.returncode, again.stdout) == (6, "")
    assert refused in again.stderr
    (other,) = asyncio.run(site.kept("H56.02", b"%PDF"))
    table = site.run("publish", "--resume", "--as", "H56.02")
    assert table.returncode == 8, table.stderr
    assert "Kafka không nhận (broker-refused)" in table.stdout
    assert f"axis receipts show {other}" in table.stderr
    assert f"axis receipts show {refused}" not in table.stderr


def test_what_was_kept_is_named_when_more_is_published_and_can_be_given_up(
    site: Installation, letter: Path
) -> None:
    """Whoever publishes again sees what would be sent on as well, and drops it by its id; it is never sent."""
    (kept,) = asyncio.run(site.kept("H56.03", b"%PDF"))
    options = ["--as", "H56.03", "--to", PROVINCE, "--subject", "Thử", "-o", "id"]
    again = site.run("publish", letter, *options)
    assert again.returncode == 0, again.stderr
    assert kept in again.stderr
    assert "axis publish --drop <mã> --as H56.03" in again.stderr
    dropped = site.run("publish", "--drop", kept, "--as", "H56.03", "-o", "json")
    assert (dropped.returncode, json.loads(dropped.stdout)["message_id"]) == (0, kept)
    assert "will not be sent any more" in dropped.stderr
    resumed = site.run("publish", "--resume", "--as", "H56.03", "-o", "id")
    assert (resumed.returncode, resumed.stdout) == (0, "")
    assert kept not in site.run("publish", letter, *options).stderr
    sent = again.stdout.strip()
    for message_id, code in ((kept, 6), (sent, 6), ("unknown", 5)):
        done = site.run("publish", "--drop", message_id, "--as", "H56.03")
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert kept not in {row["message_id"] for row in site.rows("inbox", "list", "--all", "--as", PROVINCE)}


def test_an_interrupted_submission_is_named(site: Installation, tmp_path: Path) -> None:
    """Ctrl-C while the broker does not answer tells the id of what was kept, and how to send it on or give it up."""
    letter = tmp_path / "a.pdf"
    letter.write_bytes(os.urandom(100_000))
    blob = sha256(letter.read_bytes()).hex()
    path = site.folder / "nodes" / "H56.05" / "journal.db"
    journal = Journal(path)
    options = ("--as", "H56.05", "--to", "H56.14818", "--subject", "Thử")
    with closing(sqlite3.connect(path, isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        with site.publishing(letter, *options) as publishing:
            # The broker must answer until the document is signed; the lock holds it there until the broker is silent.
            stored = site.folder / "blobs" / "sha256" / blob[:2] / blob[2:]
            until(stored.exists, "the part is stored", SECONDS)
            with site.silent_broker():
                lock.execute("COMMIT")
                until(lambda: journal.submissions([State.STORED]), "the document is kept", SECONDS)
                publishing.send_signal(signal.SIGINT)
                _, said = publishing.communicate(timeout=SECONDS)
    (kept,) = (each.message_id for each in journal.submissions([State.STORED]))
    journal.close()
    assert publishing.returncode == 130
    assert kept in said
    assert "axis publish --resume --as H56.05" in said
    assert "axis publish --drop <mã> --as H56.05" in said
    assert site.run("publish", "--resume", "--as", "H56.05", "-o", "id").stdout.strip() == kept


def test_an_interrupted_wait_names_what_was_sent(site: Installation, letter: Path) -> None:
    """Ctrl-C while nobody takes the document tells the id of what was sent, and offers to send nothing."""
    journal = Journal(site.folder / "nodes" / "H56.07" / "journal.db")
    options = ("--as", "H56.07", "--to", "H56.14818", "--subject", "Thử", "--wait", "handed-over")
    with site.publishing(letter, *options) as publishing:
        until(lambda: journal.submissions([State.ACCEPTED]), "the document is accepted", SECONDS)
        publishing.send_signal(signal.SIGINT)
        _, said = publishing.communicate(timeout=SECONDS)
    (sent,) = journal.submissions()
    journal.close()
    assert publishing.returncode == 130
    assert f"axis receipts show {sent.message_id}" in said
    assert "--resume" not in said


async def test_the_demo_does_not_go_on_with_what_was_left_unsent(site: Installation) -> None:
    """A node whose leftover the broker refuses takes no part: what is counted afterwards would not hold."""
    await site.kept("H56.06", bytes(3 * 1024 * 1024))
    installation = settings.load(site.folder)
    async with AsyncExitStack() as stack:
        reader = PartitionReader(connect_as("admin", installation.broker, "test"))
        await stack.enter_async_context(reader)
        stage = Stage(installation, RouterProcess(site.folder), Witness(reader), stack)
        for _ in range(2):
            with pytest.raises(Refused, match="broker-refused"):
                await stage.node(OrganisationCode("H56.06"))
