"""`axis help`: what holds for all commands, one topic at a time."""

from typing import Annotated, Final, Literal

from cyclopts import App, Parameter

from axis.cli.exit_codes import ExitCode
from axis.cli.moments import FORMS
from axis.core.document_types import DOCUMENT_TYPES

Topic = Literal["exit-codes", "formats", "time", "environment", "document-types"]

_FORMATS: Final = """\
table   bảng cho người đọc; mặc định          a table for people; the default
json    một mảng JSON                         one JSON array
jsonl   mỗi dòng một đối tượng JSON           one JSON object per line
csv     UTF-8 có BOM, mở được bằng bảng tính  UTF-8 with BOM, opens in spreadsheets

Kết quả ra stdout, mọi thứ khác ra stderr. Tên trường trong JSON và CSV không đổi giữa các phiên bản.
Results go to stdout, everything else to stderr. The names in JSON and CSV do not change between versions.
JSON: thời gian theo UTC (times in UTC), SHA-256 dạng thập lục phân (in hexadecimal)."""

_TIME: Final = f"""\
Cách ghi thời gian (ways to write a time): {FORMS}
Không ghi múi giờ là giờ Việt Nam (+07:00). What names no zone is Vietnamese time.
Khoảng như 24h: --due, --expires tính từ nay về sau; --since, --until tính ngược từ nay.
A span such as 24h counts forward for --due and --expires, back for --since and --until.
Chỉ ghi ngày: với --due, --expires là hết ngày đó. A day alone means its end for --due and --expires."""

_ENVIRONMENT: Final = """\
AXIS_DATA    thư mục dữ liệu khi không ghi --data    the data folder where --data is not given
AXIS_CONFIG  thư mục có directory/ và topics.toml    the folder with directory/ and topics.toml
AXIS_CACHE   nơi giữ các tệp jar của Kafka           where the broker's jars are kept
JAVA_HOME    Java 17 trở lên cho Kafka               Java 17 or newer for the broker
AWS_*        kho S3 của tệp lớn                      the S3 store of large parts
NO_COLOR     tắt màu                                 no colour"""

app = App(name="help", help_epilogue="Ví dụ (example):\n\n  axis help exit-codes")


@app.default
def explain(
    topic: Annotated[Topic | None, Parameter(help="Chủ đề. The topic.")] = None,
) -> None:
    """Giải thích điều chung cho mọi lệnh. Explain what holds for all commands."""
    match topic:
        case None:
            print("axis help exit-codes | formats | time | environment | document-types")
        case "exit-codes":
            for code in ExitCode:
                vietnamese, english = code.meaning
                print(f"{code:>3}  {vietnamese} ({english})")
        case "formats":
            print(_FORMATS)
        case "time":
            print(_TIME)
        case "environment":
            print(_ENVIRONMENT)
        case "document-types":
            for document_type in DOCUMENT_TYPES.values():
                print(f"{document_type.code:<16} {document_type.abbreviation:<5} {document_type.name}")
