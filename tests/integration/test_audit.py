"""The auditor's tools on a history that a real router wrote, whole and falsified."""

import asyncio
import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from axis.apps import wiring
from axis.apps.audit import AUDITOR, reconcile, replay
from axis.apps.router import GROUP
from axis.cli.exit_codes import exit_code_of
from axis.cli.main import app
from axis.consumers.replay import Period, Verdict
from axis.core.disposition import Reason
from axis.core.findings import FindingKind
from axis.core.topics import RECEIPTS, inbox_topic
from axis.errors import AxisError, ConfigurationError
from axis.ports import PartitionId
from tests.integration.audited_site import (
    DEPARTMENT,
    PROVINCE,
    SUBJECT,
    WARD,
    Played,
    forged_acceptance,
    handover_by,
    played_site,
    route_one,
    write,
)

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

EVERYTHING = Period(())


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """A history that nobody touched; tests only read it."""
    with played_site(tmp_path_factory.mktemp("audit") / "site") as played:
        yield played


@pytest.fixture(scope="module")
def falsifiable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """A history that tests may falsify: nothing in it is expected to hold."""
    with played_site(tmp_path_factory.mktemp("falsified") / "site") as played:
        yield played


@dataclass(frozen=True, slots=True)
class Done:
    """What a command did."""

    code: int
    out: str
    error: str


Command = Callable[..., Done]


@pytest.fixture
def axis(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line on a site, in this process."""

    def run(played: Played, *arguments: str) -> Done:
        try:
            code = app([*arguments, "--data", str(played.settings.folder)])
        except AxisError as error:
            return Done(exit_code_of(error), "", str(error))
        captured = capsys.readouterr()
        return Done(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run


def process(played: Played, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line on a site, as a shell would."""
    return subprocess.run(
        [sys.executable, "-m", "axis.cli.main", *arguments, "--data", str(played.settings.folder)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )


def test_an_untouched_history_holds_with_the_right_counts(played: Played) -> None:
    """Each submission has the fate that it must have, and every delivery and answer is there."""
    directory = wiring.directory(played.settings).current()
    everybody = len(directory.resolve("@all", PROVINCE, wiring.clock().now()))
    report = asyncio.run(reconcile(played.settings))
    assert report.findings == ()
    assert report.counts == {
        "submissions": 8,
        "waiting": 0,
        "accepted": 2,
        "refused": 3,
        "quarantined": 1,
        "duplicates": 1,
        "forwarded": 1,
        "inboxes": len(directory.organisations),
        "consigned": 1 + everybody,
        "delivered": 1 + everybody,
        "answers_due": 7,
        "answered": 7,
        "taken_as_given": 0,
        "other_rules": 0,
    }


def test_reading_disturbs_nobody(played: Played) -> None:
    """After a reconciliation and a replay, the router's positions are what they were."""
    admin = wiring.topic_admin(played.settings, AUDITOR)
    places = [
        PartitionId(topic, number) for topic, count in admin.partitions().items() for number in range(count)
    ]
    positions = wiring.group_positions(played.settings, AUDITOR, GROUP)
    before = positions.committed(places)
    assert before
    asyncio.run(reconcile(played.settings))
    asyncio.run(replay(played.settings, (), EVERYTHING))
    assert positions.committed(places) == before


def test_a_period_without_submissions_holds_and_judges_none(played: Played) -> None:
    """Receipts and deliveries of what was submitted before the period are no findings in it."""
    report = asyncio.run(reconcile(played.settings, since=wiring.clock().now()))
    assert (report.findings, report.counts["submissions"]) == ((), 0)
    assert asyncio.run(reconcile(played.settings, until=wiring.clock().now())).counts["submissions"] == 8


def test_what_an_insider_writes_is_named(falsifiable: Played, axis: Command) -> None:
    """Copies, forged receipts and a hand-over by a stranger are each found where they stand; the command exits with 3."""
    settings, document = falsifiable.settings, falsifiable.document.value
    writes = [
        (inbox_topic(WARD), document, FindingKind.DOCUMENT_DOUBLED),
        (inbox_topic(DEPARTMENT), document, FindingKind.DOCUMENT_UNEXPECTED),
        (inbox_topic(DEPARTMENT), document + b"\0", FindingKind.ENTRY_UNVERIFIED),
        (RECEIPTS, forged_acceptance(falsifiable, settings.node, WARD), FindingKind.RECEIPT_UNVERIFIED),
        (RECEIPTS, forged_acceptance(falsifiable, WARD, WARD), FindingKind.RECEIPT_NOT_BY_AXIS),
        (RECEIPTS, handover_by(falsifiable, DEPARTMENT), FindingKind.HANDOVER_UNFOUNDED),
        (inbox_topic(PROVINCE), handover_by(falsifiable, DEPARTMENT), FindingKind.ANSWER_UNEXPECTED),
    ]
    for topic, value, _ in writes:
        asyncio.run(write(settings, topic, value))
    done = process(falsifiable, "reconcile", "-o", "json")
    assert done.returncode == 3, done.stderr
    report = json.loads(done.stdout)
    found = {(finding["kind"], finding["place"].split("/")[0]) for finding in report["findings"]}
    assert {(str(kind), topic) for topic, _, kind in writes} <= found
    table = axis(falsifiable, "reconcile")
    assert table.code == 3
    assert all(kind in table.out for _, _, kind in writes)
    assert "KHÔNG KHỚP" in table.error


def test_the_command_says_what_it_judged(played: Played, axis: Command) -> None:
    """Ranges per partition and the versions that decisions were judged by, for machines and for people."""
    done = axis(played, "reconcile", "-o", "json")
    report = json.loads(done.out)
    assert report["directory_version"] == wiring.directory(played.settings).current().version
    ranges = [each for each in report["judged"] if each["end"]]
    assert sum(each["until"] - each["first"] for each in ranges) == report["counts"]["submissions"] == 8
    table = axis(played, "reconcile")
    assert all(each["topic"] in table.out for each in ranges)


def test_replay_shows_each_record_with_its_own_verdict(played: Played) -> None:
    """The rows come in the order of time; what was altered or garbage is told apart from what holds."""
    rows = asyncio.run(replay(played.settings, ("submissions",), EVERYTHING))
    assert [row.appended_at for row in rows] == sorted(row.appended_at for row in rows)
    verdicts = [(row.what, row.verdict, row.reason) for row in rows]
    assert verdicts == [
        ("DOCUMENT", Verdict.VERIFIED, None),
        ("DOCUMENT", Verdict.VERIFIED, None),
        ("DOCUMENT", Verdict.VERIFIED, None),
        ("DOCUMENT", Verdict.VERIFIED, None),
        ("DOCUMENT", Verdict.ALTERED, Reason.PART_ALTERED),
        ("UNKNOWN", Verdict.REFUSED, Reason.UNDECODABLE),
        ("DOCUMENT", Verdict.VERIFIED, None),
        ("CONTENT_HANDOVER", Verdict.VERIFIED, None),
    ]


def test_replay_is_deterministic_and_reads_a_part(played: Played) -> None:
    """The same question has the same answer; periods, offsets and organisations are cut where they should be."""
    everything = asyncio.run(replay(played.settings, (), EVERYTHING))
    assert asyncio.run(replay(played.settings, (), EVERYTHING)) == everything
    middle = everything[len(everything) // 2].appended_at
    early = asyncio.run(replay(played.settings, (), Period((), until=middle)))
    late = asyncio.run(replay(played.settings, (), Period((), since=middle)))
    assert early + late == everything
    assert asyncio.run(replay(played.settings, (), Period((), since=middle + timedelta(days=1)))) == []
    lane = [row for row in everything if row.place.topic == played.document.topic]
    partition = lane[0].place.partition
    part = Period((), offsets={partition: (1, 2)})
    found = asyncio.run(replay(played.settings, (played.document.topic,), part))
    assert [row.place.offset for row in found] == [1, 2]
    last = max(row.place.offset for row in lane if row.place.partition == partition)
    onwards = Period((), offsets={partition: (last + 1, None)})
    assert asyncio.run(replay(played.settings, (played.document.topic,), onwards)) == []
    parked = asyncio.run(replay(played.settings, ("quarantine",), EVERYTHING, organisation=PROVINCE))
    assert [(row.what, row.verdict) for row in parked] == [("QUARANTINED", Verdict.PARKED)]
    assert asyncio.run(replay(played.settings, ("quarantine",), EVERYTHING, organisation=WARD)) == []


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ({99: (0, None)}, "got partition 99, expected one of"),
        ({0: (1000, None)}, r"got offset 1000 of partition 0"),
    ],
)
def test_replay_of_offsets_that_no_topic_has_is_refused(
    played: Played, offsets: Mapping[int, tuple[int, None]], message: str
) -> None:
    """Who mistyped a partition or an offset is not told that there is nothing; the next to be written may be asked for."""
    with pytest.raises(ConfigurationError, match=message):
        asyncio.run(replay(played.settings, (), Period((), offsets=offsets)))


def test_replay_of_an_organisation_is_what_concerns_it(played: Played) -> None:
    """A department that got the broadcast alone sees that, through the group that means it, and nothing else."""
    rows = asyncio.run(replay(played.settings, (), EVERYTHING, organisation=DEPARTMENT))
    assert {row.message_id for row in rows} == {None, played.broadcast.message_id}
    assert {row.what for row in rows} == {"INBOX_OPENED", "DOCUMENT", "SUBMISSION_ACCEPTANCE"}


def test_replay_of_an_unknown_topic_is_refused(played: Played) -> None:
    """A topic that is no part of the history is named, with what could be asked for."""
    with pytest.raises(ConfigurationError, match=r"axis\.router-state.*expected submissions"):
        asyncio.run(replay(played.settings, ("axis.router-state",), EVERYTHING))


def test_the_command_writes_rows_without_content(played: Played, axis: Command) -> None:
    """Every form has the same records, and no subject of any document."""
    arguments = ("replay", "--since", "24h", "--topic", "submissions", "--topic", "receipts")
    forms = {form: axis(played, *arguments, "-o", form).out for form in ("jsonl", "json", "csv", "table")}
    rows = [json.loads(line) for line in forms["jsonl"].splitlines()]
    assert json.loads(forms["json"]) == rows
    cells = list(csv.DictReader(StringIO(forms["csv"].removeprefix("\ufeff"))))
    places = [row["place"] for row in rows]
    assert [cell["place"] for cell in cells] == places
    assert [word for word in forms["table"].split() if word in places] == places
    assert len(rows) == 8 + 6
    assert SUBJECT not in "".join(forms.values())


def test_the_command_reads_a_part(played: Played, axis: Command) -> None:
    """`--until`, `--org` and `--from-offset` cut the same rows where they should."""

    def replayed(*arguments: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(axis(played, "replay", *arguments, "-o", "json").out)
        return rows

    rows = replayed("--topic", "submissions", "--topic", "receipts")
    middle = rows[len(rows) // 2]["appended_at"]
    early = [row for row in rows if row["appended_at"] < middle]
    assert replayed("--topic", "submissions", "--topic", "receipts", "--until", middle) == early != []
    mine = replayed("--topic", "submissions", "--topic", "receipts", "--org", DEPARTMENT)
    assert [row["what"] for row in mine] == ["DOCUMENT", "SUBMISSION_ACCEPTANCE"]
    assert {row["message_id"] for row in mine} == {played.broadcast.message_id}
    lane = played.document.topic
    partition = next(row["place"].split("/")[1] for row in rows if row["place"].startswith(lane))
    part = replayed("--topic", lane, "--from-offset", f"{partition}:1-2")
    assert [row["place"] for row in part] == [f"{lane}/{partition}/{offset}" for offset in (1, 2)]
    wrong = axis(played, "replay", "--from-offset", "first")
    assert (wrong.code, "P:O" in wrong.error) == (2, True)


def test_receipts_are_shown_and_verified_by_openssl(played: Played, axis: Command, tmp_path: Path) -> None:
    """The exact bytes of each receipt about a message verify with OpenSSL alone, and no longer once changed."""
    raw = tmp_path / "raw"
    message_id = played.document.message_id
    shown = axis(played, "receipts", "show", message_id, "--raw", str(raw), "-o", "json")
    assert shown.code == 0, shown.error
    events = [receipt["event"] for receipt in json.loads(shown.out)]
    assert events == ["SUBMISSION_ACCEPTANCE", "SUBMISSION_REJECTION", "CONTENT_HANDOVER"]
    for number in range(1, 4):
        assert openssl(raw, number, played.settings.signatures.anchors) == 0
        statement = raw / f"{number}.statement"
        statement.write_bytes(statement.read_bytes() + b"\0")
        assert openssl(raw, number, played.settings.signatures.anchors) != 0
    again = axis(played, "receipts", "show", message_id, "--raw", str(raw))
    assert (again.code, "is not overwritten" in again.error) == (2, True)
    card = axis(played, "receipts", "show", message_id)
    assert "đúng (verified)" in card.out
    assert "Ủy ban nhân dân phường Bỉm Sơn" in card.out
    assert axis(played, "receipts", "show", "01a2053e-ad93-791d-8998-90cfc2f28b61").code == 5


def openssl(folder: Path, number: int, anchors: Path) -> int:
    """Verify a receipt as the help of `axis receipts show` says; return OpenSSL's exit status."""
    files = ("-in", f"{number}.signature", "-content", f"{number}.statement", "-CAfile", str(anchors))
    command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", *files, "-out", "/dev/null"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=30).returncode


def test_receipts_are_found_by_what_they_say(played: Played, axis: Command) -> None:
    """Each filter of the search keeps what fits and drops the rest."""
    for filters, expected in (
        ((), 6),
        (("--event", "SUBMISSION_REJECTION"), 3),
        (("--reason", "recipient-unknown"), 1),
        (("--recipient", DEPARTMENT), 1),
        (("--sender", WARD), 0),
        (("--until", "1d"), 0),
        (("--since", "1d", "--event", "CONTENT_HANDOVER"), 1),
    ):
        found = axis(played, "receipts", "find", *filters, "-o", "json")
        assert (found.code, len(json.loads(found.out))) == (0, expected), filters


def test_receipts_are_followed_as_they_come(falsifiable: Played) -> None:
    """Receipts that are recorded while somebody follows are shown at once: a forged one, and one by the axis."""
    command = [sys.executable, "-m", "axis.cli.main", "receipts", "follow", "-o", "jsonl", "--data"]
    with subprocess.Popen(
        [*command, str(falsifiable.settings.folder)], stdout=subprocess.PIPE, text=True
    ) as follower:
        try:
            forged, genuine = asyncio.run(_followed(falsifiable, follower))
        finally:
            follower.terminate()
    assert (forged["verified"], forged["reason"]) == (False, Reason.CERTIFICATE_NOT_ENROLLED)
    assert (genuine["verified"], genuine["event"]) == (True, "SUBMISSION_ACCEPTANCE")


async def _followed(
    played: Played, follower: "subprocess.Popen[str]"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write forged receipts until the follower, which starts to read at some moment, shows one; then publish a document.

    Returns:
        The first row that it shows, and the row about the document.
    """
    assert follower.stdout is not None
    read = follower.stdout.readline
    reading = asyncio.create_task(asyncio.to_thread(read))
    async with asyncio.timeout(90):
        while not reading.done():
            await write(played.settings, RECEIPTS, forged_acceptance(played, played.settings.node, WARD))
            await asyncio.wait([reading], timeout=0.5)
        first = row = json.loads(reading.result())
        published = await route_one(played.settings, (WARD,))
        while row["message_id"] != published.message_id:
            row = json.loads(await asyncio.to_thread(read))
    return first, row
