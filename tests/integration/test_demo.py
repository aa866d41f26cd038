"""The demo as a newcomer plays it, and that it cannot be satisfied with less than it claims."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Timer

import psutil
import pytest

from axis.apps.demo import documents
from axis.apps.demo.claims import Claim, Findings, Phrase
from axis.apps.demo.programme import STEPS, StepResult
from axis.cli.demo import exit_code
from axis.cli.exit_codes import ExitCode
from axis.core.envelope import Urgency

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
