"""The command line before any command runs: help, version, mistakes."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from axis import __version__
from axis.cli import main
from axis.cli.main import app

VIETNAMESE = "ăâđêôơưạảãàáậẩẫầấặẳẵằắẹẻẽèéệểễềếịỉĩìíọỏõòóộổỗồốợởỡờớụủũùúựửữừứỵỷỹỳý"
COMMANDS = [
    "up",
    "router",
    "pki init",
    "pki show",
    "topics plan",
    "topics apply",
    "topics drift",
    "publish",
    "inbox list",
    "inbox read",
    "inbox take",
    "inbox follow",
    "receipts show",
    "receipts follow",
    "receipts find",
    "replay",
    "reconcile",
    "demo",
    "help",
]


def axis(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `axis` as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "axis.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **(environment or {})},
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_teaches_by_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--help` says what the command is for and shows at least one whole command line."""
    app([*command.split(), "--help"], result_action="return_value")
    text = capsys.readouterr().out
    assert "Ví dụ" in text
    assert f"axis {command.partition(' ')[0]}" in text.partition("Ví dụ")[2]


def test_the_version_is_told_without_loading_what_talks_to_kafka() -> None:
    """`axis --version` stays quick: no Kafka client, no cryptography and no tables are imported for it."""
    code = (
        "import sys\nfrom axis.cli.main import run\nassert run(['--version']) == 0\n"
        "print(sorted({'aiokafka', 'cryptography', 'confluent_kafka', 'structlog', 'lxml'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == [__version__, "[]"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["inbx", "list"], 'did you mean "inbox"?'),
        (["inbox", "lst"], 'Did you mean "list"?'),
        (["inbox", "list"], "--as"),
        (["receipts", "find", "--as", "H56"], "--as"),
        (["replay", "--as", "H56"], "--as"),
        (["reconcile", "--as", "H56"], "--as"),
        (["publish", "--resume", "--as", "H56", "--timeout=0"], "--timeout"),
        (["publish", "--resume", "--as", "H56", "--timeout=-1"], "--timeout"),
        (["publish", "--resume", "--as", "H56", "--timeout=nan"], "--timeout"),
        (["publish", "--resume", "--as", "H56", "--timeout=inf"], "--timeout"),
        (["router", "--telemetry-port", "65536"], "--telemetry-port"),
        (["up", "--telemetry-port", "65536"], "--telemetry-port"),
        (["up", "--environment", " "], "--environment"),
        (["replay", "--since", "tomorrow", "--data", "/nonexistent"], "axis up --data /nonexistent"),
        (["reconcile", "--since", "24h", "--until", "48h", "--data", "/nonexistent"], "--until"),
        (["reconcile", "--since", "2999-01-01", "--data", "/nonexistent"], "bây giờ (now)"),
        (["receipts", "find", "--since", "1h", "--until", "2h", "--data", "/nonexistent"], "--until"),
        (["publish", "--as", "H56"], "--subject is missing"),
        (["publish", "a.pdf", "--as", "H56", "--to", "H56.1", "--subject", " "], "--subject is missing"),
        (["router", "--instance", "../x"], "expected 1 to 32 letters, digits"),
        (["inbox", "take", "--as", "H56"], "--all"),
        (["publish", "--resume", "x.pdf", "--as", "H56"], "--resume"),
        (["publish", "--drop", "x", "--resume", "--as", "H56"], "--drop"),
        (["publish", "--drop", "x", "x.pdf", "--as", "H56"], "--drop"),
        (["inbox", "list", "--as", "H56", "--data", "/nonexistent"], "axis up --data /nonexistent"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_a_mistake_is_answered_in_words_on_standard_error(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong command ends with 2, says what was expected, prints no result and no traceback."""
    # The logs of this process are its other tests'.
    monkeypatch.setattr(main, "_configure_logs", lambda *_: None)
    code, done = main.run(arguments), capsys.readouterr()
    assert (code, done.out) == (2, "")
    assert done.err.startswith("axis: lệnh hoặc cấu hình chưa đúng (wrong usage or configuration)\n")
    assert said in done.err
    assert "Traceback" not in done.err
    vietnamese = [line for line in done.err.splitlines() if line.startswith("  - ")]
    assert any(any(letter in VIETNAMESE for letter in line) for line in vietnamese), done.err


@pytest.mark.parametrize("command", ["inbox list --as H56", "pki show", "up", "demo", "router"])
def test_a_data_folder_that_is_none_is_named(command: str, tmp_path: Path) -> None:
    """A file in place of the data folder, or a folder in place of its settings, is a mistake and no failure."""
    file = tmp_path / "file"
    file.touch()
    (tmp_path / "folder" / "axis.toml").mkdir(parents=True)
    for data in (file, tmp_path / "folder")[: 1 if command == "demo" else 2]:
        done = axis(*command.split(), "--data", str(data))
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert str(data) in done.stderr
        assert "Traceback" not in done.stderr


def test_a_terminal_without_vietnamese_letters_shows_escapes() -> None:
    """Where the encoding lacks a letter the command still does its work and ends with 0."""
    done = axis("help", "exit-codes", environment={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "(refused by a rule)" in done.stdout
    assert done.stdout.isascii()


def test_an_option_means_the_same_in_every_command() -> None:
    """`--as` is the organisation acted for, wherever it is, and a client's certificate never goes by that name."""
    meanings: dict[str, set[object]] = {}
    for command in COMMANDS:
        _, apps, _ = app.parse_commands(command.split())
        for argument in apps[-1].assemble_argument_collection():
            for name in argument.names:
                meanings.setdefault(name, set()).add(argument.parameter.help)
    for name in ("--as", "--telemetry-port"):
        assert len(meanings[name]) == 1, meanings[name]
    assert "chứng thư" in " ".join(map(str, meanings["--client"]))


def test_the_exit_codes_are_printed() -> None:
    """`axis help exit-codes` lists every status with its meaning in both languages."""
    done = axis("help", "exit-codes")
    assert done.returncode == 0
    assert [int(line.split()[0]) for line in done.stdout.splitlines()] == [*range(10), 130]
    assert "  6  bị từ chối theo quy tắc (refused by a rule)" in done.stdout.splitlines()
