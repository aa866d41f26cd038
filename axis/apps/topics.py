"""`axis topics`: bring the topics of a cluster to what is declared, open their inboxes, and show what differs."""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from axis.admin.kafka import TopicAdmin
from axis.apps.inboxes import open_empty_inboxes
from axis.core.directory import Directory
from axis.core.topics import (
    Change,
    Declaration,
    Difference,
    Missing,
    SettingDiffers,
    changes,
    copies,
    differences,
    parse_declaration,
)
from axis.errors import Bilingual, ConfigurationError, OutcomeUnknown
from axis.settings import Settings

VISIBLE_SECONDS: Final = 30.0
"""How long a confirmed change may take to show."""
_LOOK_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Applied:
    """What `apply` did.

    Attributes:
        created: names of the topics that this call created, sorted.
        altered: the settings that it changed.
        left: the changes that it left undone because settings were not to be changed.
        opened: how many inboxes it opened.
    """

    created: tuple[str, ...]
    altered: tuple[SettingDiffers, ...]
    left: tuple[Change, ...]
    opened: int = 0


def load_declaration(path: Path) -> Declaration:
    """Read the declaration of the topics.

    Raises:
        ConfigurationError: the file cannot be read, or its contents have faults; all are listed.
    """
    try:
        return parse_declaration(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigurationError(
            Bilingual(
                f"không đọc được {path}: {error.strerror}; hãy chỉ ra tệp khai báo các chủ đề",
                f"{path}: cannot be read, {error.strerror}; name the topics file",
            )
        ) from error
    except ValueError as error:
        raise ConfigurationError(
            Bilingual(f"{path} không phải TOML: {error}", f"{path}: cannot be parsed, {error}")
        ) from error


def drift(
    admin: TopicAdmin,
    declaration: Declaration,
    directory: Directory,
    replication_factor: int | None = None,
) -> tuple[Difference, ...]:
    """Return everything in which the cluster is not as declared for the organisations of the directory.

    Args:
        admin: the cluster.
        declaration: the topics.
        directory: every organisation in it, past ones included, has an inbox.
        replication_factor: the operator's choice of copies; by default three, or as many as there are brokers.

    Raises:
        Unavailable: the cluster does not answer.
    """
    brokers, actual = admin.survey()
    declared = declaration.expanded(organisation.code for organisation in directory.organisations)
    return differences(declared, actual, copies(brokers, actual.values(), replication_factor))


def plan(
    admin: TopicAdmin,
    declaration: Declaration,
    directory: Directory,
    replication_factor: int | None = None,
) -> tuple[Change, ...]:
    """Return what `apply` would change; arguments and errors as for `drift`."""
    return changes(drift(admin, declaration, directory, replication_factor))


def apply_and_open(
    site: Settings,
    admin: TopicAdmin,
    declaration: Declaration,
    directory: Directory,
    replication_factor: int | None = None,
    *,
    settings: bool = False,
) -> Applied:
    """Create what is missing as `apply` does, then open every inbox that is still empty, in the axis's name.

    May be repeated at will: what is empty decides, so that a repetition opens what a failed call left.

    Args:
        site: the installation; the axis's own client certificate and signing key are on this machine.
        admin: the cluster.
        declaration: the topics.
        directory: every organisation in it, past ones included, has an inbox.
        replication_factor: as for `apply`.
        settings: as for `apply`.

    Raises:
        ConfigurationError: as for `apply`, or a key of the axis is missing here.
        Unavailable: as for `apply`.
    """
    applied = apply(admin, declaration, directory, replication_factor, settings=settings)
    return replace(applied, opened=open_empty_inboxes(site, directory))


def apply(
    admin: TopicAdmin,
    declaration: Declaration,
    directory: Directory,
    replication_factor: int | None = None,
    *,
    settings: bool = False,
) -> Applied:
    """Create what is missing and, when asked, change settings; never delete, never change partitions.

    Returns when the brokers show what was done: they learn it from the controller a moment after it was confirmed.
    May be repeated at will. When it fails part of its work may be done, and the next call no longer counts those topics
    as created.

    Args:
        admin: the cluster.
        declaration: the topics.
        directory: every organisation in it, past ones included, has an inbox.
        replication_factor: the operator's choice of copies; by default three, or as many as there are brokers.
        settings: whether settings of existing topics are brought to the declared values.

    Raises:
        ConfigurationError: the cluster will never do as asked, or the client may not ask.
        Unavailable: the cluster does not answer, or does not show the changes in time.
    """
    planned = plan(admin, declaration, directory, replication_factor)
    created = admin.create([each for each in planned if isinstance(each, Missing)])
    differing = tuple(each for each in planned if isinstance(each, SettingDiffers))
    if settings:
        admin.set(differing)
    done = {each for each in planned if settings or isinstance(each, Missing)}
    deadline = monotonic() + VISIBLE_SECONDS
    while late := done.intersection(plan(admin, declaration, directory, replication_factor)):
        if monotonic() > deadline:
            first = min(each.topic for each in late)
            raise OutcomeUnknown(
                Bilingual(
                    f"Kafka đã nhận {len(late)} thay đổi, đầu tiên là của chủ đề {first}, nhưng sau {VISIBLE_SECONDS} giây"
                    " vẫn chưa thấy; kiểm tra các controller của Kafka rồi chạy lại",
                    f"{len(late)} changes, the first of topic {first}, were taken but are not visible after"
                    f" {VISIBLE_SECONDS} s; check the controllers, then repeat",
                )
            )
        sleep(_LOOK_SECONDS)
    return Applied(created, differing if settings else (), () if settings else differing)
