"""The command line before any command runs: help, version, mistakes."""

import subprocess
import sys

import pytest

from axis import __version__
from axis.cli.main import app

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


def axis(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `axis` as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "axis.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
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
        (["publish", "--as", "H56"], "--subject is missing"),
        (["inbox", "take", "--as", "H56"], "--all"),
        (["publish", "--resume", "x.pdf", "--as", "H56"], "--resume"),
        (["inbox", "list", "--as", "H56", "--data", "/nonexistent"], "axis up --data /nonexistent"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_a_mistake_is_answered_in_words_on_standard_error(arguments: list[str], said: str) -> None:
    """A wrong command ends with 2, says what was expected, prints no result and no traceback."""
    done = axis(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("axis: lệnh hoặc cấu hình chưa đúng (wrong usage or configuration)\n")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_exit_codes_are_printed() -> None:
    """`axis help exit-codes` lists every status with its meaning in both languages."""
    done = axis("help", "exit-codes")
    assert done.returncode == 0
    assert [int(line.split()[0]) for line in done.stdout.splitlines()] == [*range(10), 130]
    assert "  6  bị từ chối theo quy tắc (refused by a rule)" in done.stdout.splitlines()
