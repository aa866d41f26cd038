"""`axis topics`: what is declared of the Kafka topics, and what a cluster has."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, assert_never

import cyclopts
from cyclopts import Parameter

from axis import settings
from axis.admin.kafka import TopicAdmin
from axis.apps import topics, wiring
from axis.cli.exit_codes import ExitCode
from axis.cli.parameters import DEFAULT_DATA, DataFolder, Switch
from axis.core.directory import Directory
from axis.core.topics import (
    Declaration,
    Difference,
    Missing,
    SettingDiffers,
    SettingUndeclared,
    ShapeDiffers,
    Undeclared,
)

app = cyclopts.App(
    name="topics",
    help="""Chủ đề Kafka của trục: xem trước, tạo, so sánh với khai báo.

    The axis's Kafka topics: preview, create, compare with the declaration.""",
    help_epilogue="""Ví dụ (examples):

  axis topics plan --data /var/lib/axis
  axis topics apply --data /var/lib/axis
  axis topics drift --data /var/lib/axis --declaration config/topics.toml

Mã thoát 9: khác khai báo. Exit code 9: the cluster is not as declared.""",
)


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which cluster, and what should be there."""

    data: DataFolder = DEFAULT_DATA
    declaration: Annotated[
        Path | None,
        Parameter(
            help="Khai báo các chủ đề; mặc định topics.toml trong thư mục dữ liệu. The declaration of the topics; by"
            " default topics.toml in the data folder."
        ),
    ] = None
    client: Annotated[
        str, Parameter(help="Tên chứng thư của người quản trị. Name of the administrator's certificate.")
    ] = "admin"
    replication_factor: Annotated[
        int | None,
        Parameter(
            help="Số bản sao; mặc định 3, hoặc bằng số broker. Copies; by default 3, or as many as brokers."
        ),
    ] = None

    def opened(self) -> tuple[TopicAdmin, Declaration, Directory, int | None]:
        """Return what the functions of `axis.apps.topics` take.

        Raises:
            ConfigurationError: settings, declaration or directory have faults.
        """
        site = settings.load(self.data)
        return (
            wiring.topic_admin(site, self.client),
            topics.load_declaration(self.declaration or self.data / "topics.toml"),
            wiring.directory(site).current(),
            self.replication_factor,
        )


@app.command
def plan(target: Target | None = None) -> int:
    """Xem `apply` sẽ thay đổi gì; mã thoát 9 nếu có thay đổi.

    Show what `apply` would change; exit status 9 when there is something.
    """
    return _shown(topics.plan(*(target or Target()).opened()))


@app.command
def apply(target: Target | None = None, *, configs: Annotated[bool, Switch] = False) -> int:
    """Tạo các chủ đề còn thiếu và mở các hộp thư còn trống; không xóa, không đổi số phân vùng.

    Create the topics that are missing and open the inboxes that are empty; never delete, never change partitions.

    Args:
        target: which cluster, and what should be there.
        configs: Đưa cấu hình về đúng khai báo. Bring settings to the declared values too.
    """
    target = target or Target()
    applied = topics.apply_and_open(settings.load(target.data), *target.opened(), settings=configs)
    for name in applied.created:
        print(f"đã tạo (created) {name}")
    for each in applied.altered:
        print(f"đã sửa (changed) {each.topic}: {each.setting} {each.found} -> {each.declared}")
    if applied.opened:
        print(f"đã mở {applied.opened} hộp thư (inboxes opened)")
    if applied.left:
        print("còn khác khai báo, dùng --configs để sửa (still different, --configs changes it):")
        _shown(applied.left)
    return ExitCode.OK


@app.command
def drift(target: Target | None = None) -> int:
    """So sánh cụm Kafka với khai báo; mã thoát 9 nếu khác.

    Compare the cluster with the declaration; exit status 9 when they differ.
    """
    return _shown(topics.drift(*(target or Target()).opened()))


def _shown(found: Iterable[Difference]) -> int:
    """Print one line per difference; return the exit status."""
    lines = [_line(each) for each in found]
    print("\n".join(lines) if lines else "đúng như khai báo (as declared)")
    return ExitCode.WOULD_CHANGE if lines else ExitCode.OK


def _line(difference: Difference) -> str:
    match difference:
        case Missing(declaration, replication_factor):
            return (
                f"thiếu (missing) {declaration.name}: {declaration.partitions} phân vùng (partitions),"
                f" {replication_factor} bản sao (copies)"
            )
        case SettingDiffers(topic, setting, found, declared):
            return f"khác (different) {topic}: {setting} = {found}, khai báo (declared) {declared}"
        case SettingUndeclared(topic, setting, found):
            return f"không khai báo (undeclared) {topic}: {setting} = {found}"
        case ShapeDiffers(topic, what, found, declared):
            return f"khác, không tự sửa (different, left alone) {topic}: {what} {found}, khai báo (declared) {declared}"
        case Undeclared(topic):
            return f"không khai báo (undeclared) {topic}"
        case _:
            assert_never(difference)
