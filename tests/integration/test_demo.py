"""The demo as a newcomer plays it, and that it cannot be satisfied with less than it claims."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Timer
from typing import Final

import psutil
import pytest

from axis.apps.demo import accounting, documents, overtaking
from axis.apps.demo.claims import Claim, Findings, Phrase
from axis.apps.demo.programme import STEPS, StepResult
from axis.apps.demo.replayed import Reading
from axis.cli.demo import exit_code
from axis.cli.exit_codes import ExitCode
from axis.consumers.replay import DOCUMENT, Verdict
from axis.core.envelope import Urgency
from axis.core.history import Entry, EstablishedEnvelope, EstablishedReceipt
from axis.ports import Record
from tests.unit.core.history_model import SENDERS, History, Model

DEADLINE_SECONDS = 300
COMMAND = (sys.executable, "-m", "axis.cli.main", "demo")


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment whose temporary files, and so the demo's folder, lie under `tmp_path`."""
    yield {**os.environ, "TMPDIR": str(tmp_path)}
    for process in _processes_of(tmp_path):
        process.kill()


@pytest.mark.kafka
@pytest.mark.timeout(DEADLINE_SECONDS + 30)
def test_every_step_holds(environment: dict[str, str], tmp_path: Path) -> None:
    """The demo must end with 0, show six steps held with their evidence, print no content and leave nothing behind."""
    played = subprocess.run(
        COMMAND, env=environment, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
    )

    assert played.returncode == ExitCode.OK, played.stdout + played.stderr
    assert played.stdout.count("có (yes)") == len(STEPS) == 6
    assert "✘" not in played.stderr
    for step in STEPS:
        assert step.title.english in played.stderr
    for evidence in (
        r"CONTENT_HANDOVER · H56\.14812 · sha256:[0-9a-f]{16}",
        r"24/24 axis\.inbox\.\*",
        r"(1[6-9]\d\d|2000) / 2000 · ",
        r"SUBMISSION_REJECTION: sender-mismatch · H56\.W00",
        r"algorithm-refused · axis\.quarantine\[\d\]@\d+",
        r"SIGKILL pid \d+: [1-9]\d* ",
        r"waiting=0 ",
    ):
        assert re.search(evidence, played.stderr), evidence
    for content in _contents():
        assert content not in played.stdout + played.stderr
    assert list(tmp_path.iterdir()) == []
    assert _processes_of(tmp_path) == []


@pytest.mark.kafka
@pytest.mark.timeout(DEADLINE_SECONDS + 30)
def test_an_interrupt_leaves_nothing_behind(environment: dict[str, str], tmp_path: Path) -> None:
    """An interrupt in the middle must end the demo with 130, and with it broker, router and the temporary folder."""
    with subprocess.Popen(COMMAND, env=environment, stderr=subprocess.PIPE, text=True) as playing:
        assert playing.stderr is not None
        watchdog = Timer(DEADLINE_SECONDS, playing.kill)
        watchdog.start()
        seen = next((line for line in playing.stderr if line.startswith("1. ")), None)
        running = {process.name() for process in _processes_of(tmp_path)}
        playing.send_signal(signal.SIGINT)
        playing.communicate()
        watchdog.cancel()

    assert seen is not None
    assert "java" in running
    assert playing.returncode == ExitCode.INTERRUPTED
    assert _processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_installation_is_not_touched(tmp_path: Path) -> None:
    """A data folder of another installation must be refused: the demo submits forgeries."""
    (tmp_path / "axis.toml").write_text(_PRODUCTION, "utf-8")
    played = subprocess.run(
        [*COMMAND, "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )

    assert played.returncode == ExitCode.USAGE
    assert "'production'" in played.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["axis.toml"]


_HELD = Claim(Phrase("đúng", "true"), held=True)
_BROKEN = Claim(Phrase("sai", "false"), held=False)


def _results(*claims: Sequence[Claim]) -> list[StepResult]:
    """One result for each step, with these claims in the first and one that held in the others."""
    all_claims = [*claims, *([_HELD],) * (len(STEPS) - len(claims))]
    return [
        StepResult(number, step, Findings(tuple(found), ""))
        for number, (step, found) in enumerate(zip(STEPS, all_claims, strict=True), 1)
    ]


def test_the_status_is_zero_only_when_everything_held() -> None:
    """One claim that did not hold, a step without claims or a step that was not played must make the status 3."""
    assert exit_code(_results([_HELD])) is ExitCode.OK
    assert exit_code(_results([_HELD, _BROKEN])) is ExitCode.NOT_VERIFIED
    assert exit_code(_results([])) is ExitCode.NOT_VERIFIED
    assert exit_code(_results()[:-1]) is ExitCode.NOT_VERIFIED
    assert exit_code([]) is ExitCode.NOT_VERIFIED


def _worked() -> History:
    """Return what a correct axis leaves behind: a document to two, a repetition, a refusal, a hand-over."""
    model = Model()
    model.accept(SENDERS[0], SENDERS[1:])
    model.repeat(0)
    model.refuse(SENDERS[1], "recipients-empty")
    model.hand_over(0)
    return model.history


def _last_step(*, replayed: History, reconciled: History) -> list[StepResult]:
    """Return the results of a demo whose last step replayed and reconciled these, and whose other claims held."""
    counts: Counter[tuple[str, str, str]] = Counter(
        (entry.place.topic, _kind(entry), Verdict.VERIFIED)
        for entries in (replayed.submissions, *replayed.inboxes.values())
        for entry in entries
    )
    report = reconciled.judged()
    found = (accounting._replayed(Reading(Path(), counts), report), accounting._reconciled(report), _HELD)
    return _results(*([_HELD] for _ in STEPS[:-1]), found)


def _kind(entry: Entry) -> str:
    match entry.content:
        case EstablishedReceipt(event=event):
            return event
        case _:
            return DOCUMENT


def _second_copy(history: History) -> None:
    """Deliver a document once more."""
    inbox = history.inboxes[SENDERS[1]]
    copy = next(entry for entry in inbox if isinstance(entry.content, EstablishedEnvelope))
    inbox.append(replace(copy, place=replace(copy.place, offset=len(inbox))))


_SABOTAGE: Final[dict[str, Callable[[History], object]]] = {
    "a second copy": _second_copy,
    "an answer missing": lambda history: history.inboxes[SENDERS[1]].pop(),
    "an inbox lost": lambda history: history.inboxes.pop(SENDERS[2]),
    "a receipt missing": lambda history: history.receipts.pop(0),
}


@pytest.mark.parametrize(
    ("behind", "everywhere", "held"), [(9, True, True), (7, True, False), (9, False, False)]
)
def test_overtaking_is_more_than_to_be_served_in_turn(*, behind: int, everywhere: bool, held: bool) -> None:
    """Nearly all ordinary documents must come after the flash one; some always do where lanes are served by turns."""
    start = datetime(2026, 11, 23, tzinfo=UTC)

    def copy(at: int) -> Record:
        return Record("axis.inbox.H56", 0, at, start + timedelta(seconds=at), b"", b"")

    flash, backlog = [copy(10 - behind)], [[copy(number + 1)] for number in range(10)]
    claim = overtaking.overtook(flash, backlog, everywhere=everywhere)
    assert (claim.held, claim.evidence[0].split(" · ")[0]) == (held, f"{behind} / 10")


def test_the_last_step_holds_over_a_correct_history() -> None:
    """What a correct axis leaves behind must be found correct, or the next test proves nothing."""
    history = _worked()
    assert exit_code(_last_step(replayed=history, reconciled=history)) is ExitCode.OK


@pytest.mark.parametrize("sabotage", _SABOTAGE.values(), ids=_SABOTAGE)
def test_the_last_step_fails_over_a_history_that_does_not_agree(
    sabotage: Callable[[History], object],
) -> None:
    """With one thing too many or too few, reconciliation must not hold, nor the step, and the status is 3."""
    history = _worked()
    sabotage(history)
    results = _last_step(replayed=history, reconciled=history)
    assert not results[-1].findings.claims[1].held
    assert exit_code(results) is ExitCode.NOT_VERIFIED


def test_the_last_step_fails_where_replay_counts_otherwise() -> None:
    """A replay that read one record more than was reconciled must not hold, and the status is 3."""
    more = _worked()
    _second_copy(more)
    results = _last_step(replayed=more, reconciled=_worked())
    assert [claim.held for claim in results[-1].findings.claims] == [False, True, True]
    assert exit_code(results) is ExitCode.NOT_VERIFIED


def test_documents_are_what_they_say() -> None:
    """The PDF must have a cross-reference that finds its objects; the letter must exceed what travels inline."""
    content = documents.pdf("MOT", "HAI")
    start = int(content.rsplit(b"startxref\n", 1)[1].split(b"\n", 1)[0])
    offsets = [int(line[:10]) for line in content[start:].splitlines()[3:8]]

    assert content[start:].startswith(b"xref\n0 6\n")
    assert [content[offset:].split(b" ", 1)[0] for offset in offsets] == [b"1", b"2", b"3", b"4", b"5"]
    assert documents.flash().urgency is Urgency.FLASH
    sizes = [
        len(part.content) for part in documents.letter("H56.14812").parts if isinstance(part.content, bytes)
    ]
    assert min(sizes) < 64 * 1024 < max(sizes)


def _contents() -> list[str]:
    """What the documents of the demo say, which nobody but their recipients may see."""
    drafts = (documents.letter("H56.14812"), documents.flash(), documents.notice("H56.14812", 1))
    return [*(draft.subject for draft in drafts), "Ra soat so lieu", "Ung pho mua lu", "Lich tiep cong dan"]


def _processes_of(folder: Path) -> list[psutil.Process]:
    """Return the processes, started by the demo, whose command line names the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(folder) in argument for argument in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue  # it ended meanwhile, or is nobody's business
    return found


_PRODUCTION = """
[axis]
environment = "production"
node = "H56.W00"
blobs = "file:blobs"
[broker]
bootstrap_servers = "127.0.0.1:1"
authority = "pki/ca.pem"
credentials = "pki/tls"
[signatures]
anchors = "pki/ca.pem"
keys = "pki/signing"
[directory]
folder = "directory"
enrolment = "pki/enrolment.json"
[router]
"""
