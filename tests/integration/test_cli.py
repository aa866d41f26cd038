"""The real `axis`, as people and scripts run it, against a site that the real `axis up` runs."""

import json
import os
import pty
import signal
import subprocess
from pathlib import Path
from time import monotonic
from urllib.request import urlopen

import pytest

from axis.cli.exit_codes import ExitCode
from axis.core.envelope import is_message_id
from axis.storage.journal import Journal
from tests.integration.installation import AXIS, PROVINCE, SECONDS, Installation, ready_port

pytestmark = pytest.mark.kafka


def test_a_document_travels_from_publish_to_the_receipt_of_its_hand_over(
    site: Installation, letter: Path, tmp_path: Path
) -> None:
    """Published, listed, read with its files verified, taken; and the sender, following its inbox, learns of it."""
    attachment = tmp_path / "phụ lục.xlsx"
    attachment.write_bytes(os.urandom(200_000))
    words = ["--subject", "Kế hoạch \x1b[31mquý IV", "--urgency", "flash", "--number", "12", "--due", "24h"]
    addressed = ["--as", PROVINCE, "--to", "H56.14812,H56.14818"]
    [sent] = site.rows("publish", letter, attachment, *addressed, *words)
    assert sent["state"] == "accepted"
    consigned = [(each["recipient"], each["outcome"]) for each in sent["recipients"]]
    assert consigned == [("H56.14812", "CONSIGNED"), ("H56.14818", "CONSIGNED")]

    listed = site.run("inbox", "list", "--as", "H56.14812")
    assert sent["message_id"] in listed.stdout
    assert "Kế hoạch \\x1b[31mquý IV" in listed.stdout
    assert "\x1b" not in listed.stdout + listed.stderr
    [row] = site.rows("inbox", "list", "--as", "H56.14812")
    assert (row["urgency"], row["number"], row["state"]) == ("flash", "12", "waiting")
    assert row["subject"] == "Kế hoạch \x1b[31mquý IV"

    folder = tmp_path / "read"
    read = site.run("inbox", "read", sent["message_id"], "--as", "H56.14812", "--to", folder)
    assert read.stdout.splitlines() == [str(folder / letter.name), str(folder / attachment.name)]
    assert (folder / attachment.name).read_bytes() == attachment.read_bytes()

    [taken] = site.rows("inbox", "take", sent["message_id"], "--as", "H56.14812", "--to", tmp_path / "taken")
    assert taken["state"] == "taken"
    assert (
        tmp_path / "taken" / PROVINCE / sent["message_id"] / letter.name
    ).read_bytes() == letter.read_bytes()
    assert site.rows("inbox", "list", "--as", "H56.14812") == []

    with site.running("inbox", "follow", "--as", PROVINCE, "-o", "jsonl") as follow:
        assert follow.stdout is not None
        receipts = (json.loads(line) for line in follow.stdout)
        handed_over = next(each for each in receipts if each.get("event") == "CONTENT_HANDOVER")
        assert (handed_over["issuer"], handed_over["message_id"]) == ("H56.14812", sent["message_id"])
        follow.send_signal(signal.SIGINT)
        assert follow.wait(SECONDS) == 130


def test_a_dry_run_says_who_would_receive_and_sends_nothing(site: Installation, letter: Path) -> None:
    """`--dry-run` names a code and the members of a group and leaves neither a submission behind nor a document in an inbox."""
    options = ["--as", "H56.01", "--to", "H56.14932,@bim-son", "--subject", "Thử", "--dry-run"]
    [preview] = site.rows("publish", letter, *options)
    assert preview["recipients"] == ["H56.14812", "H56.14818", "H56.14932"]
    assert (
        "01/12/2025 23:59 (+07:00) đã qua"
        in site.run("publish", letter, *options, "--due", "2025-12-01").stderr
    )
    journal = Journal(site.folder / "nodes" / "H56.01" / "journal.db")
    assert journal.submissions() == []
    journal.close()
    assert "H56.01" not in {row["sender"] for row in site.rows("inbox", "list", "--all", "--as", "H56.14818")}


def test_every_fault_of_a_draft_is_named_at_once(site: Installation, tmp_path: Path) -> None:
    """Three faults in one draft give three lines and exit status 6, and nothing is sent."""
    missing = tmp_path / "missing.pdf"
    options = ["--as", PROVINCE, "--to", "H56.99999", "--subject", "x" * 501, "-o", "json"]
    done = site.run("publish", missing, *options)
    assert (done.returncode, done.stdout) == (6, "")
    faults = [line for line in done.stderr.splitlines() if line.startswith("  - ")]
    assert len(faults) == 3
    for reason in ("header-malformed", "recipient-unknown", "file-missing"):
        assert any(f"({reason})" in fault for fault in faults)


def test_a_full_blob_store_holds_nothing_back_and_costs_no_document(
    site: Installation, letter: Path, tmp_path: Path
) -> None:
    """Where no room is left for an attachment nothing was sent or kept, it is said plainly, and later the same passes."""
    attachment = tmp_path / "ban-do.bin"
    attachment.write_bytes(os.urandom(8 * 1024 * 1024))
    addressed = ("--as", "H56.09", "--to", "H56.14980", "--subject", "Bản đồ", "-o", "id")
    full = site.run("publish", letter, attachment, *addressed, largest_file=4 * 1024 * 1024)
    assert (full.returncode, full.stdout) == (ExitCode.UNAVAILABLE, ""), full.stderr
    assert "File too large" in full.stderr
    assert "Traceback" not in full.stderr
    assert site.run("publish", "--resume", "--as", "H56.09", "-o", "id").stdout == ""
    [sent] = site.run("publish", letter, attachment, *addressed).stdout.split()
    assert [row["message_id"] for row in site.rows("inbox", "list", "--as", "H56.14980")] == [sent]


@pytest.mark.parametrize(
    ("sender", "to", "code"),
    [(PROVINCE, "H56.99999", 6), ("H56.99999", PROVINCE, 5), ("h56", PROVINCE, 2)],
    ids=["unknown recipient", "unknown sender", "no code"],
)
def test_an_unknown_organisation_is_told_by_the_exit_status(
    site: Installation, letter: Path, sender: str, to: str, code: int
) -> None:
    """A recipient that does not exist is a refusal, a sender that does not exist is not found, a typo is usage."""
    done = site.run("publish", letter, "--as", sender, "--to", to, "--subject", "Thử")
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr


def test_a_wait_that_is_not_over_in_time_is_partly_done(site: Installation, letter: Path) -> None:
    """A document that nobody takes is sent all the same: its id is the result, the exit status says not that far."""
    options = ["--as", PROVINCE, "--to", "H56.14818", "--subject", "Thử", "-o", "id"]
    done = site.run("publish", letter, *options, "--wait", "handed-over", "--timeout", "3")
    assert done.returncode == 8
    assert is_message_id(done.stdout.strip())


def test_what_cannot_be_unpacked_is_not_attested(site: Installation, letter: Path, tmp_path: Path) -> None:
    """Of two documents, the one whose file would overwrite another stays waiting; the other is taken, which its sender learns."""
    first, second = (site.publish(letter, to="H56.14932") for _ in range(2))
    (tmp_path / "to" / PROVINCE / first).mkdir(parents=True)
    (tmp_path / "to" / PROVINCE / first / letter.name).write_text("something else")
    done = site.run("inbox", "take", "--all", "--as", "H56.14932", "--to", tmp_path / "to", "-o", "jsonl")
    assert done.returncode == 8
    assert [json.loads(line)["message_id"] for line in done.stdout.splitlines()] == [second]
    assert "file-exists" in done.stderr
    [waiting] = site.rows("inbox", "list", "--as", "H56.14932")
    assert waiting["message_id"] == first
    told = ""
    end = monotonic() + SECONDS
    while f"nơi nhận đã nhận · H56.14932 · {second}" not in told:
        assert monotonic() < end, told
        told += site.run("inbox", "list", "--as", PROVINCE).stderr
    assert first not in told


def test_what_does_not_pass_verification_is_reported_and_not_shown(site: Installation, letter: Path) -> None:
    """Bytes that somebody wrote past the router are a warning with a reason on stderr, and no part of the result."""
    site.append("H56.14950", b"\xc3\x01forged\x1b[2J")
    message_id = site.publish(letter, to="H56.14950")
    done = site.run("inbox", "list", "--as", "H56.14950", "-o", "jsonl")
    assert [json.loads(line)["message_id"] for line in done.stdout.splitlines()] == [message_id]
    assert "(schema-unknown)" in done.stderr
    assert "1 inbox entries did not pass verification" in done.stderr
    assert "forged" not in done.stderr
    assert "\x1b" not in done.stderr


def test_stopped_and_started_again_it_continues(site: Installation, letter: Path) -> None:
    """SIGTERM ends `axis up` with 0; meanwhile commands say unavailable; afterwards nothing is lost."""
    message_id = site.publish(letter, to="H56.14923")
    assert site.stop() == 0
    meanwhile = site.run("inbox", "list", "--as", "H56.14923")
    assert (meanwhile.returncode, meanwhile.stdout) == (7, "")
    assert "Traceback" not in meanwhile.stderr
    site.start()
    assert [row["message_id"] for row in site.rows("inbox", "list", "--as", "H56.14923")] == [message_id]
    assert is_message_id(site.publish(letter, to="H56.14923"))


def test_a_taken_port_or_folder_is_named_before_anything_starts(site: Installation, tmp_path: Path) -> None:
    """`axis up` on a port or a data folder that is in use says so, says what to do, and ends with 2."""
    other = site.run("up", "--data", tmp_path / "other", "--telemetry-port", str(site.port))
    assert (other.returncode, other.stdout) == (2, "")
    assert f"telemetry port {site.port} is taken" in other.stderr
    assert not (tmp_path / "other").exists()
    same = site.run("up", "--telemetry-port", "0")
    assert (same.returncode, same.stdout) == (2, "")
    assert "is in use by a broker of process" in same.stderr
    renamed = site.run("up", "--telemetry-port", "0", "--environment", "production")
    assert "is the installation 'trial'" in renamed.stderr


def test_a_second_router_says_when_it_is_ready_and_leaves_in_order(site: Installation) -> None:
    """`axis router` prints one line when it serves, is ready then by its own account, and ends with 0 on SIGTERM."""
    with site.running("router", "--instance", "1", "--telemetry-port", "0") as router:
        port = ready_port(router)
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=SECONDS) as answer:
            assert json.load(answer)["ready"] is True
        router.terminate()
        assert router.wait(SECONDS) == 0
        assert router.stdout is not None
        assert router.stdout.read() == ""


def test_keys_stay_when_issued_again_and_their_end_is_shown(site: Installation) -> None:
    """`axis pki init` changes nothing that is there; `axis pki show` tells when each certificate ends."""
    key = site.folder / "pki" / "signing" / "H56.pem"
    before = key.read_bytes()
    assert site.run("pki", "init", "--broker-host", "localhost").returncode == 0
    assert key.read_bytes() == before
    rows = site.rows("pki", "show")
    signing = next(row for row in rows if (row["use"], row["name"]) == ("signing", PROVINCE))
    assert signing["days_left"] > 800
    assert signing["organisation"] == "Ủy ban nhân dân tỉnh Thanh Hóa"
    assert {row["use"] for row in rows} == {"anchor", "signing", "tls"}


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)], ids=["colour", "NO_COLOR"])
def test_colour_is_for_terminals_that_want_it(
    site: Installation, letter: Path, no_color: str, *, coloured: bool
) -> None:
    """On a terminal an urgent document stands out in red, unless NO_COLOR is set."""
    options = ["--as", PROVINCE, "--to", "H56.14953", "--subject", "Thử", "--urgency", "flash"]
    assert site.run("publish", letter, *options).returncode == 0
    ours, theirs = pty.openpty()
    environment = site.environment | {"TERM": "xterm-256color", "COLUMNS": "100", "NO_COLOR": no_color}
    with subprocess.Popen(
        [*AXIS, "inbox", "list", "--all", "--as", "H56.14953"], env=environment, stdout=theirs
    ) as process:
        os.close(theirs)
        shown = _read_all(ours)
        assert process.wait(SECONDS) == 0
    assert ("\x1b[1;31mHỏa tốc" in shown) is coloured
    assert "Hỏa tốc" in shown


def _read_all(descriptor: int) -> str:
    """Return what a program writes to its terminal until it ends."""
    chunks: list[bytes] = []
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # the other side of a terminal has closed
            chunk = b""
        if not chunk:
            os.close(descriptor)
            return b"".join(chunks).decode()
        chunks.append(chunk)
