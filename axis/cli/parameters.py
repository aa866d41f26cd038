"""Parameters that several commands share, so that they look and work the same everywhere."""

import os
from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import Annotated, Final

from cyclopts import Parameter
from cyclopts.validators import Number

from axis.settings import PORTS

DEFAULT_DATA: Final = Path("axis-data")

_DATA_VARIABLE: Final = "AXIS_DATA"

DataFolder = Annotated[
    Path,
    Parameter(
        name="--data",
        env_var=_DATA_VARIABLE,
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

Client = Annotated[
    str, Parameter(name="--client", help="Tên chứng thư dùng để đọc. Name of the certificate that reads.")
]
"""By whose mTLS certificate Kafka is read; nobody is acted for."""

TelemetryPort = Annotated[
    int | None,
    Parameter(
        name="--telemetry-port",
        validator=Number(gte=PORTS[0], lte=PORTS[-1]),
        help="Cổng /metrics, /readyz; 0: cổng trống bất kỳ. Port of metrics; 0 for any free one.",
    ),
]
"""Instead of the port in the settings."""


class Format(StrEnum):
    """How rows are written: for people, or as a contract for machines."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


class StreamFormat(StrEnum):
    """How rows are written while they come."""

    TABLE = "table"
    JSONL = "jsonl"


FormatOption = Annotated[
    Format,
    Parameter(name=["-o", "--output"], help="Dạng kết quả. Form of the result: `axis help formats`."),
]

StreamFormatOption = Annotated[
    StreamFormat, Parameter(name=["-o", "--output"], help="Dạng kết quả. Form of the result.")
]

Switch = Parameter(negative="", show_default=False)
"""Marks a flag that has no `--no-…` form."""


def next_command(words: str, data: Path) -> str:
    """Return a command line for people to go on with: it names the data folder where nothing else would."""
    known = Path(os.environ.get(_DATA_VARIABLE) or DEFAULT_DATA)
    return f"axis {words}" if data == known else f"axis {words} --data {quote(str(data))}"
