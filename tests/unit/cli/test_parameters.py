"""What commands share."""

from pathlib import Path

import pytest

from axis.cli.parameters import DEFAULT_DATA, next_command


def test_a_hint_names_the_data_folder_where_nothing_else_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """Typed as it stands in the same shell, a hint works on the same data folder."""
    monkeypatch.delenv("AXIS_DATA", raising=False)
    assert next_command("reconcile", DEFAULT_DATA) == "axis reconcile"
    assert next_command("reconcile", Path("/var/my data")) == "axis reconcile --data '/var/my data'"
    monkeypatch.setenv("AXIS_DATA", "/srv/axis")
    assert next_command("reconcile", Path("/srv/axis")) == "axis reconcile"
    assert next_command("reconcile", DEFAULT_DATA) == f"axis reconcile --data {DEFAULT_DATA}"
