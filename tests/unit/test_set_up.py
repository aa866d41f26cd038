"""What `make` says on a machine whose Python cannot make the environment."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def set_up(folder: Path, python: str = "python3") -> subprocess.CompletedProcess[str]:
    """Run `make setup` for an environment that is not there yet, with modules of the folder before Python's own."""
    # As from a terminal, though these tests may themselves run under make.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    return subprocess.run(
        ["make", "setup", f"PYTHON={python}", f"VENV={folder / 'venv'}"],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(folder), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("module", "content", "command"),
    [
        ("ensurepip", "raise ModuleNotFoundError", "apt-get install --yes python3-venv"),
        (
            "sitecustomize",
            "import sys; sys.version_info = (3, 9, 2)",
            "apt-get install --yes python3 python3-venv",
        ),
    ],
    ids=["without python3-venv", "an older Python"],
)
def test_names_the_command_that_mends_it(tmp_path: Path, module: str, content: str, command: str) -> None:
    """One line in Vietnamese, one in English, each with the command; nothing is begun."""
    (tmp_path / f"{module}.py").write_text(content, "utf-8")
    ended = set_up(tmp_path)
    assert ended.returncode != 0
    assert ended.stdout == ""
    vietnamese, english, failed = ended.stderr.splitlines()
    assert vietnamese.endswith(f"bằng: {command}")
    assert english.endswith(f"with: {command}")
    assert failed.startswith("make: ***")
    assert not (tmp_path / "venv").exists()


def test_names_the_command_that_installs_python(tmp_path: Path) -> None:
    """Where the interpreter is missing altogether the answer is the same."""
    ended = set_up(tmp_path, str(tmp_path / "python3"))
    assert ended.returncode != 0
    assert "apt-get install --yes python3 python3-venv" in ended.stderr
