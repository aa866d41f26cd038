"""The example of `axis.toml` is one that works."""

from dataclasses import MISSING, fields
from pathlib import Path

from axis import settings

EXAMPLE = Path(__file__).parents[3] / "config" / "axis.example.toml"


def test_the_example_is_read_without_a_fault_and_names_every_setting(tmp_path: Path) -> None:
    """Copied into a data folder, the example loads, and it leaves no setting for the reader to guess."""
    text = EXAMPLE.read_text("utf-8")
    (tmp_path / settings.FILE_NAME).write_text(text, "utf-8")
    loaded = settings.load(tmp_path)
    assert loaded.node == "H56.W00"
    for section in (loaded.broker, loaded.signatures, loaded.directory, loaded.router):
        assert all(f"\n{field.name} = " in text for field in fields(section))


def test_the_example_shows_the_defaults(tmp_path: Path) -> None:
    """Where a setting may be left out, the example has the value that it would have then."""
    (tmp_path / settings.FILE_NAME).write_text(EXAMPLE.read_text("utf-8"), "utf-8")
    loaded = settings.load(tmp_path)
    assert loaded.router == settings.RouterSettings()
    for field in fields(loaded.broker):
        if field.default is not MISSING:
            assert getattr(loaded.broker, field.name) == field.default
