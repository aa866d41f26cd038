"""The example of `axis.toml` is one that works."""

from dataclasses import fields
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
