"""The shipped configuration with fewer partitions: a router opens each with a transaction of its own."""

import re
import shutil
from pathlib import Path

SHIPPED = Path(__file__).parents[1] / "config"
LANE_PARTITIONS = 4


def copy_configuration(folder: Path) -> Path:
    """Write directory and declaration of topics into a folder, and return it."""
    shutil.copytree(SHIPPED / "directory", folder / "directory", dirs_exist_ok=True)
    declared = (SHIPPED / "topics.toml").read_text("utf-8")
    fewer = re.sub(r"partitions = 12\b", f"partitions = {LANE_PARTITIONS}", declared)
    (folder / "topics.toml").write_text(fewer, "utf-8")
    return folder
