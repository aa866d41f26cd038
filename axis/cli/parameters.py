"""Parameters that several commands share, so that they look and work the same everywhere."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

DEFAULT_DATA: Final = Path("axis-data")

DataFolder = Annotated[
    Path,
    Parameter(
        name="--data",
        env_var="AXIS_DATA",
        help="Thư mục dữ liệu có axis.toml. The data folder that holds axis.toml.",
    ),
]
"""The folder of one installation."""

ActingOrganisation = Annotated[
    str,
    Parameter(
        name="--as",
        help="Mã cơ quan mà lệnh này thay mặt. Code of the organisation that the command acts for.",
    ),
]
"""Whose node a command is; its keys must be in the data folder."""


class Format(StrEnum):
    """How rows are written: for people, or as a contract for machines."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


FormatOption = Annotated[
    Format,
    Parameter(name=["-o", "--output"], help="Dạng kết quả. Form of the result: `axis help formats`."),
]

Switch = Parameter(negative="", show_default=False)
"""Marks a flag that has no `--no-…` form."""
