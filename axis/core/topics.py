"""The Kafka topics of the axis: their names, what is declared of them, and what differs on a broker.

A declaration says what must be; a broker says what is. `differences` compares the two, and what may be repaired without
harm to records is a `Missing` topic or a `SettingDiffers`: partitions are set once, and a topic is never deleted.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from axis.core.envelope import Lane
from axis.core.policy import AcceptancePolicy
from axis.errors import Bilingual, ConfigurationError

PREFIX: Final = "axis."
SUBMISSIONS_EXPRESS: Final = "axis.submissions.express"
SUBMISSIONS_STANDARD: Final = "axis.submissions.standard"
LANES: Final = {Lane.EXPRESS: SUBMISSIONS_EXPRESS, Lane.STANDARD: SUBMISSIONS_STANDARD}
"""The topic of each lane."""
RECEIPTS: Final = "axis.receipts"
ROUTER_STATE: Final = "axis.router-state"
QUARANTINE: Final = "axis.quarantine"
DIRECTORY: Final = "axis.directory"
EVIDENCE: Final = "axis.evidence"

_INBOX_PREFIX: Final = "axis.inbox."
INBOX_PATTERN: Final = "axis.inbox.<code>"
_SINGLETONS: Final = (
    SUBMISSIONS_EXPRESS,
    SUBMISSIONS_STANDARD,
    RECEIPTS,
    ROUTER_STATE,
    QUARANTINE,
    DIRECTORY,
    EVIDENCE,
)
_CO_PARTITIONED: Final = (SUBMISSIONS_EXPRESS, SUBMISSIONS_STANDARD, ROUTER_STATE)

_DAY_MS: Final = 24 * 60 * 60 * 1000
_COPIES: Final = 3
_OVERHEAD_BYTES: Final = 64 * 1024
"""What the axis adds to what it copies, keys and the framing of a batch included."""
_OUTCOME_BYTES: Final = 64
"""What a receipt says of a recipient besides the text that its sender wrote."""
_KEYS: Final = frozenset({"name", "partitions", "cleanup", "max_bytes"})


def inbox_topic(code: str) -> str:
    """Return the topic that is the inbox of an organisation."""
    return _INBOX_PREFIX + code


class Cleanup(StrEnum):
    """How a topic forgets: by age, or all but the last record of each key."""

    DELETE = "delete"
    COMPACT = "compact"


@dataclass(frozen=True, slots=True)
class TopicDeclaration:
    """What is declared of a topic.

    Attributes:
        retention_days: age in days at which records may go; 0 for ever, and always 0 when compacted.
        max_bytes: size of the largest record batch.
    """

    name: str
    partitions: int
    cleanup: Cleanup
    retention_days: int
    max_bytes: int

    def settings(self, replication_factor: int) -> dict[str, str]:
        """Return the topic settings for this many copies, as Kafka names and writes them."""
        return {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(self.retention_days * _DAY_MS if self.retention_days else -1),
            "retention.bytes": "-1",
            "max.message.bytes": str(self.max_bytes),
            "message.timestamp.type": "LogAppendTime",
            "min.insync.replicas": "2" if replication_factor >= _COPIES else "1",
            "unclean.leader.election.enable": "false",
        }


@dataclass(frozen=True, slots=True)
class Declaration:
    """What is declared of all topics; `inbox` is the pattern of every inbox."""

    topics: tuple[TopicDeclaration, ...]
    inbox: TopicDeclaration

    def expanded(self, codes: Iterable[str]) -> tuple[TopicDeclaration, ...]:
        """Return every topic that must exist for these organisations, sorted by name."""
        inboxes = (replace(self.inbox, name=inbox_topic(code)) for code in codes)
        return tuple(sorted((*self.topics, *inboxes), key=lambda topic: topic.name))


def parse_declaration(content: Mapping[str, object]) -> Declaration:
    """Read the contents of `config/topics.toml`.

    Raises:
        ConfigurationError: every fault is listed.
    """
    rows = content.get("topic")
    if set(content) != {"topic"} or not isinstance(rows, list):
        raise ConfigurationError(
            Bilingual(
                f"khai báo chủ đề (topic) có {sorted(content)}, phải chỉ gồm các bảng [[topic]]",
                f"got {sorted(content)}, expected [[topic]] tables and nothing else",
            )
        )
    faults: list[Bilingual] = []
    topics = {
        topic.name: topic for number, row in enumerate(rows, 1) if (topic := _topic(number, row, faults))
    }
    expected = {*_SINGLETONS, INBOX_PATTERN}
    names = [str(row.get("name")) for row in rows if isinstance(row, Mapping)]
    absent, unused = expected.difference(names), set(names) - expected
    twice = {name for name in names if names.count(name) > 1}
    faults += [
        Bilingual(f"chủ đề {name} {vietnamese}", f"topic {name} {english}")
        for wrong, vietnamese, english in (
            (absent, "chưa được khai báo; hãy khai báo", "is not declared; declare it"),
            (unused, "được khai báo nhưng không dùng đến; hãy xóa", "is declared but not used; remove it"),
            (twice, "được khai báo nhiều lần; hãy giữ lại một", "is declared twice"),
        )
        for name in sorted(wrong)
    ]
    if not faults:
        faults += _contradictions(topics)
    if faults:
        raise ConfigurationError(*faults)
    return Declaration(tuple(topics[name] for name in _SINGLETONS), topics[INBOX_PATTERN])


@dataclass(frozen=True, slots=True)
class ActualTopic:
    """What a broker says of a topic.

    Attributes:
        replication_factor: copies of the partition that has the fewest.
        settings: those in effect, wherever they were set.
        overrides: names of the settings that were set on the topic itself.
    """

    name: str
    partitions: int
    replication_factor: int
    settings: Mapping[str, str]
    overrides: frozenset[str]


@dataclass(frozen=True, slots=True)
class Missing:
    """A declared topic that does not exist."""

    declaration: TopicDeclaration
    replication_factor: int

    @property
    def topic(self) -> str:
        """Name of the topic."""
        return self.declaration.name


@dataclass(frozen=True, slots=True)
class SettingDiffers:
    """A declared setting that has another value."""

    topic: str
    setting: str
    found: str | None
    declared: str


@dataclass(frozen=True, slots=True)
class SettingUndeclared:
    """A setting that somebody gave to the topic and no declaration names; reported and left alone."""

    topic: str
    setting: str
    found: str | None


@dataclass(frozen=True, slots=True)
class ShapeDiffers:
    """Partitions or copies are not as declared; reported and left alone, because repairing it moves keys or load."""

    topic: str
    what: str
    found: int
    declared: int


@dataclass(frozen=True, slots=True)
class Undeclared:
    """A topic in the axis's name space that no declaration names."""

    topic: str


Change = Missing | SettingDiffers
"""What `axis topics apply` can put right."""
Difference = Change | SettingUndeclared | ShapeDiffers | Undeclared


def copies(brokers: int, actual: Iterable[ActualTopic], wanted: int | None = None) -> int:
    """Return the replication factor of new topics.

    Three, or as many as there are brokers, and never fewer than the axis's topics have already: a broker that is down
    while topics are added must not leave them with fewer copies for ever.

    Args:
        brokers: how many answer now.
        actual: the axis's topics that exist.
        wanted: the operator's own choice, which wins.
    """
    if wanted is not None:
        return wanted
    return max(min(_COPIES, brokers), *(topic.replication_factor for topic in actual), 1)


def differences(
    declared: Iterable[TopicDeclaration], actual: Mapping[str, ActualTopic], replication_factor: int
) -> tuple[Difference, ...]:
    """Return everything in which the broker's topics are not as declared, sorted by topic."""
    found: list[Difference] = []
    names: set[str] = set()
    for topic in declared:
        names.add(topic.name)
        if topic.name in actual:
            found += _compared(topic, actual[topic.name], replication_factor)
        else:
            found.append(Missing(topic, replication_factor))
    found += [Undeclared(name) for name in actual if name.startswith(PREFIX) and name not in names]
    return tuple(sorted(found, key=lambda difference: difference.topic))


def changes(found: Iterable[Difference]) -> tuple[Change, ...]:
    """Return the differences that can be put right without harm to records."""
    return tuple(each for each in found if isinstance(each, Missing | SettingDiffers))


def _compared(topic: TopicDeclaration, actual: ActualTopic, replication_factor: int) -> list[Difference]:
    found: list[Difference] = []
    if actual.partitions != topic.partitions:
        found.append(ShapeDiffers(topic.name, "partitions", actual.partitions, topic.partitions))
    if actual.replication_factor != replication_factor:
        found.append(
            ShapeDiffers(topic.name, "replication factor", actual.replication_factor, replication_factor)
        )
    # By the copies that the topic has: asking a single copy for two in sync would stop every write to it.
    settings = topic.settings(actual.replication_factor)
    found += [
        SettingDiffers(topic.name, setting, actual.settings.get(setting), declared)
        for setting, declared in sorted(settings.items())
        if actual.settings.get(setting) != declared
    ]
    found += [
        SettingUndeclared(topic.name, setting, actual.settings.get(setting))
        for setting in sorted(actual.overrides.difference(settings))
    ]
    return found


def _topic(number: int, row: object, faults: list[Bilingual]) -> TopicDeclaration | None:
    """Read one table; a faulty one is noted and left out."""
    if not isinstance(row, Mapping):
        kind = type(row).__name__
        faults.append(
            Bilingual(
                f"chủ đề thứ {number} là kiểu {kind}, phải là một bảng (table)",
                f"topic {number} is a {kind}, expected a table",
            )
        )
        return None
    compacted = row.get("cleanup") == Cleanup.COMPACT
    own = list(_row_faults(row, _KEYS if compacted else _KEYS | {"retention_days"}))
    if own:
        name = row.get("name", number)
        where = Bilingual(f"chủ đề {name}", f"topic {name}")
        faults += [fault.about(where) for fault in own]
        return None
    return TopicDeclaration(
        str(row["name"]),
        row["partitions"],
        Cleanup(row["cleanup"]),
        0 if compacted else row["retention_days"],
        row["max_bytes"],
    )


def _row_faults(row: Mapping[str, Any], keys: frozenset[str]) -> Iterator[Bilingual]:
    """Yield what is wrong with one table, which should have these keys."""
    for key in sorted(keys.difference(row)):
        yield Bilingual(f"thiếu {key}; hãy thêm vào", f"{key} is missing")
    for key in sorted(set(row) - keys):
        yield Bilingual(
            f"tên {key} không được dùng ở đây; hãy xóa hoặc sửa lại",
            f"{key} is unknown here; remove or correct it",
        )
    for key, least in (("partitions", 1), ("max_bytes", 1024), ("retention_days", 0)):
        if key in row and (type(row[key]) is not int or row[key] < least):
            yield Bilingual(
                f"{key} là {row[key]!r}, phải là số nguyên từ {least} trở lên",
                f"{key} is {row[key]!r}, expected a whole number of at least {least}",
            )
    if row.get("cleanup", Cleanup.DELETE) not in tuple(Cleanup):
        yield Bilingual(
            f"cleanup là {row['cleanup']!r}, phải là một trong {', '.join(Cleanup)}",
            f"cleanup is {row['cleanup']!r}, expected one of {', '.join(Cleanup)}",
        )


def _contradictions(topics: Mapping[str, TopicDeclaration]) -> list[Bilingual]:
    """Return in what a complete declaration would break a promise of the axis."""
    found: list[Bilingual] = []
    counts = {topics[name].partitions for name in _CO_PARTITIONED}
    if len(counts) > 1:
        names = ", ".join(_CO_PARTITIONED)
        found.append(
            Bilingual(
                f"{names} có {sorted(counts)} phân vùng; hãy khai báo cùng một số phân vùng cho cả ba",
                f"{names} have {sorted(counts)} partitions; give them the same number",
            )
        )
    if (partitions := topics[INBOX_PATTERN].partitions) != 1:
        found.append(
            Bilingual(
                f"{INBOX_PATTERN} có {partitions} phân vùng, phải là 1: mỗi hộp thư chỉ có một thứ tự",
                f"{INBOX_PATTERN} has {partitions} partitions, expected 1: an inbox has one order",
            )
        )
    if (cleanup := topics[ROUTER_STATE].cleanup) is not Cleanup.COMPACT:
        found.append(
            Bilingual(
                f"{ROUTER_STATE} có cleanup {cleanup}, phải là compact: các quyết định được giữ mãi",
                f"{ROUTER_STATE} has cleanup {cleanup}, expected compact: decisions are kept for ever",
            )
        )
    kept = [name for name in (*_SINGLETONS, INBOX_PATTERN) if name not in {ROUTER_STATE, DIRECTORY}]
    found += [
        Bilingual(
            f"{name} có cleanup compact, phải là delete: bản ghi nào cũng cần, không chỉ bản ghi cuối của mỗi khóa",
            f"{name} has cleanup compact, expected delete: every record counts, not the last of each key",
        )
        for name in kept
        if topics[name].cleanup is Cleanup.COMPACT
    ]
    return found + _too_small(topics)


def _too_small(topics: Mapping[str, TopicDeclaration]) -> list[Bilingual]:
    """Return which topics cannot hold what a router may have to write there: it would stand still on that record."""
    policy = AcceptancePolicy()
    # A compressed batch passes a lane's limit with a record that is larger.
    submission = max(
        policy.max_record_bytes,
        *(topics[name].max_bytes for name in (SUBMISSIONS_EXPRESS, SUBMISSIONS_STANDARD)),
    )
    # As many recipients refused as consigned to; what their sender wrote of them stood in one header.
    receipt = policy.max_header_bytes + 2 * policy.max_recipients * _OUTCOME_BYTES
    every = Bilingual("mọi văn bản nộp", "every submission")
    handover = Bilingual(
        "mọi văn bản nộp, vì biên nhận bàn giao cũng là một văn bản nộp",
        "every submission, because a receipt of hand-over is one",
    )
    decision = Bilingual(
        "một quyết định kèm biên nhận của văn bản gửi tới mọi cơ quan",
        "a decision with the receipt of a submission to everyone",
    )
    room = {
        INBOX_PATTERN: (submission, every),
        QUARANTINE: (submission, every),
        RECEIPTS: (submission, handover),
        ROUTER_STATE: (receipt, decision),
    }
    return [
        Bilingual(
            f"{name} có max_bytes {topics[name].max_bytes}, phải ít nhất là {largest} và thêm {_OVERHEAD_BYTES} cho phần trục"
            f" ghi kèm: chủ đề này phải chứa được {what.vietnamese}",
            f"{name} has max_bytes {topics[name].max_bytes}, expected at least {largest} and the axis's overhead of"
            f" {_OVERHEAD_BYTES}: it must be able to hold {what}",
        )
        for name, (largest, what) in room.items()
        if topics[name].max_bytes < largest + _OVERHEAD_BYTES
    ]
