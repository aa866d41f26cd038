"""What `axis up` tells people to type in another window can be typed there."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from axis.cli import up
from axis.cli.main import app
from axis.settings import FILE_NAME, load

CONFIG = Path(__file__).parents[3] / "config"


@pytest.fixture
def hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines to type, of a site whose folder has a name that a shell would take apart."""
    folder = tmp_path / "dữ liệu trục"
    folder.mkdir()
    shutil.copy(CONFIG / "axis.example.toml", folder / FILE_NAME)
    shutil.copy(CONFIG / "topics.toml", folder)
    up._announce(load(folder), 9464)
    _, lines = capsys.readouterr().err.split("in another window):\n")
    return [line.strip() for line in lines.splitlines()]


def test_another_shell_finds_the_command_and_the_file(hint: list[str], tmp_path: Path) -> None:
    """In a shell that knows nothing of this one, elsewhere, `axis` is found and the document to publish is there."""
    shell = [line for line in hint if not line.startswith("axis ")]
    (published,) = (line.split()[2] for line in hint if line.startswith("axis publish "))
    script = "\n".join(["set -e", *shell, "command -v axis", f"test -r {published}"])
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, script + done.stderr


def test_every_command_can_be_given(hint: list[str]) -> None:
    """Each line is a command with options that exist."""
    commands = [shlex.split(line)[1:] for line in hint if line.startswith("axis ")]
    assert len(commands) == 5
    for command in commands:
        app.parse_args(command, print_error=False, exit_on_error=False)
