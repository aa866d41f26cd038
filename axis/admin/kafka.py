"""Administration of a Kafka cluster: the only user of `confluent_kafka.admin` outside `axis.testing`.

Synchronous, for commands and start-up; every request has a deadline.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from enum import Enum
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final, TypeVar

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its documented names, imported without __all__
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from axis.core.topics import PREFIX, ActualTopic, Missing, SettingDiffers
from axis.errors import AxisError, Bilingual, ConfigurationError, OutcomeUnknown, Unavailable
from axis.ports import PartitionId

_T = TypeVar("_T")
_MARGIN_SECONDS: Final = 5.0
"""What a future may take longer than the request it stands for."""

_OPERATORS_MATTER: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_EXCEPTION,
    }
)
_UNKNOWN_OUTCOME: Final = frozenset({KafkaError._TIMED_OUT, KafkaError.REQUEST_TIMED_OUT})  # noqa: SLF001 - its public name

_PASSING: Final = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.FENCED_LEADER_EPOCH,
    }
)
"""What a cluster answers while it elects: it passes by itself, so that reading waits for it."""
_PASSING_SECONDS: Final = 0.2

_LISTING: Final = Bilingual("liệt kê các chủ đề (topic)", "listing topics")
_DESCRIBING: Final = Bilingual("xem chủ đề (topic)", "describing topic")
_CREATING: Final = Bilingual("tạo chủ đề (topic)", "creating topic")
_SETTING: Final = Bilingual("đặt cấu hình của chủ đề (topic)", "setting topic")
_READING: Final = Bilingual("đọc chủ đề (topic)", "reading")

_CORRECT: Final = Bilingual(
    "hãy sửa khai báo hoặc quyền của máy khách này", "correct the declaration or the client's rights"
)
_REPEAT: Final = Bilingual(
    "kiểm tra các broker có đang chạy không, rồi chạy lại", "check that the brokers are up, then repeat"
)
_CHECK: Final = Bilingual(
    "kiểm tra địa chỉ, chứng thư và các broker có đang chạy không, rồi chạy lại",
    "check address, certificates and that the brokers are up, then repeat",
)

# librdkafka reports every refused connection; the reader gets the last one in the exception.
_silent = logging.getLogger("axis.admin.librdkafka")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class Bound(Enum):
    """An end of a partition: the first offset kept, or the one after the last record written or committed."""

    BEGINNING = "beginning"
    WRITTEN = "written"
    COMMITTED = "committed"


class TopicAdmin:
    """Lists, creates and sets topics, over mTLS.

    Args:
        bootstrap_servers: "host:port,host:port".
        authority: PEM with the CA of the brokers.
        credential: PEM with key and certificate of a client that may administer the cluster.
        timeout_seconds: deadline of one request.

    Raises:
        ConfigurationError: a PEM file cannot be used.
    """

    def __init__(
        self, bootstrap_servers: str, authority: Path, credential: Path, timeout_seconds: float = 30.0
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._timeout_seconds = timeout_seconds
        self._last_error = Bilingual("", "")
        self._options: dict[str, Any] = {
            "bootstrap.servers": bootstrap_servers,
            "security.protocol": "ssl",
            "ssl.ca.location": str(authority),
            "ssl.certificate.location": str(credential),
            "ssl.key.location": str(credential),
            "error_cb": self._note,
        }
        try:
            self._client = AdminClient(self._options, logger=_silent)
        except KafkaException as error:
            raise ConfigurationError(
                Bilingual(
                    f"không dùng được các tệp PEM {authority} và {credential} ({error.args[0].str()}); cần chứng thư của"
                    " CA, và khóa kèm chứng thư của khóa đó",
                    f"the PEM files {authority} and {credential} cannot be used ({error.args[0].str()}); expected a CA,"
                    " and a key with its certificate",
                )
            ) from error

    def survey(self) -> tuple[int, dict[str, ActualTopic]]:
        """Return how many brokers answer, and the topics in the axis's name space.

        Raises:
            Unavailable: the cluster does not answer.
            ConfigurationError: the client may not describe it.
        """
        try:
            metadata = self._client.list_topics(timeout=self._timeout_seconds)
        except KafkaException as error:
            raise self._translated(_LISTING, error) from error
        own = {name: topic for name, topic in metadata.topics.items() if name.startswith(PREFIX)}
        settings = self._settings(own)
        topics = {}
        for name, topic in own.items():
            entries = settings[name].values()
            topics[name] = ActualTopic(
                name,
                len(topic.partitions),
                min((len(partition.replicas) for partition in topic.partitions.values()), default=0),
                {entry.name: entry.value for entry in entries if entry.value is not None},
                frozenset(entry.name for entry in entries if _is_override(entry)),
            )
        return len(metadata.brokers), topics

    def topic_id(self, name: str) -> str:
        """Return the identity that Kafka gave a topic when it was created; one created again has another.

        Raises:
            Unavailable: the cluster does not answer, or there is no such topic.
            ConfigurationError: the client may not describe it.
        """
        futures = self._client.describe_topics(TopicCollection([name]), request_timeout=self._timeout_seconds)
        return str(self._result(_named(_DESCRIBING, name), futures[name]).topic_id)

    def partitions(self) -> dict[str, int]:
        """Return how many partitions each topic in the axis's name space has.

        Raises:
            Unavailable: the cluster does not answer.
        """
        try:
            found = self._client.list_topics(timeout=self._timeout_seconds).topics
        except KafkaException as error:
            raise self._translated(_LISTING, error) from error
        return {name: len(topic.partitions) for name, topic in found.items() if name.startswith(PREFIX)}

    def offsets(self, places: Iterable[PartitionId], which: datetime | Bound) -> dict[PartitionId, int]:
        """Return an offset of each of these partitions.

        Args:
            places: the partitions.
            which: a bound, or the moment at or after which the record was appended; where there is none, the end.

        Raises:
            Unavailable: the cluster does not answer, or a partition has no leader now.
        """
        match which:
            case Bound.BEGINNING:
                spec = OffsetSpec.earliest()  # type: ignore[no-untyped-call] # the library has no types
            case Bound.WRITTEN | Bound.COMMITTED:
                spec = OffsetSpec.latest()  # type: ignore[no-untyped-call] # the library has no types
            case moment:
                spec = OffsetSpec.for_timestamp(int(moment.timestamp() * 1000))
        level = IsolationLevel.READ_UNCOMMITTED if which is Bound.WRITTEN else IsolationLevel.READ_COMMITTED
        wanted = {TopicPartition(place.topic, place.partition): spec for place in places}
        if not wanted:
            return {}

        def ask() -> dict[PartitionId, int]:
            futures = self._client.list_offsets(
                wanted, isolation_level=level, request_timeout=self._timeout_seconds
            )
            return {
                PartitionId(tp.topic, tp.partition): int(
                    self._result(_named(_READING, tp.topic), future).offset
                )
                for tp, future in futures.items()
            }

        found = self._until_elected(ask)
        late = [place for place, offset in found.items() if offset < 0]
        return found | self.offsets(late, Bound.COMMITTED) if late else found

    def create(self, missing: Sequence[Missing]) -> tuple[str, ...]:
        """Create topics and return the names of those that this call created, sorted.

        One that appeared meanwhile is not among them: whoever created it has them in their answer.

        Raises:
            ConfigurationError: the cluster will never create one as asked, or the client may not.
            Unavailable: one could not be created; others may have been, a repetition creates the rest.
        """
        if not missing:
            return ()
        futures = self._client.create_topics(
            [
                NewTopic(
                    each.topic,
                    num_partitions=each.declaration.partitions,
                    replication_factor=each.replication_factor,
                    config=each.declaration.settings(each.replication_factor),
                )
                for each in missing
            ],
            operation_timeout=self._timeout_seconds,
            request_timeout=self._timeout_seconds,
        )
        return tuple(sorted(self._created(futures)))

    def set(self, differences: Iterable[SettingDiffers]) -> None:
        """Set these settings and leave all others of the topics as they are.

        Raises:
            ConfigurationError: a setting is refused, or the client may not set it.
            Unavailable: one could not be set; others may have been, a repetition sets the rest.
        """
        resources: dict[str, ConfigResource] = {}
        for each in differences:
            resource = resources.setdefault(each.topic, ConfigResource(ResourceType.TOPIC, each.topic))
            resource.add_incremental_config(
                ConfigEntry(each.setting, each.declared, incremental_operation=AlterConfigOpType.SET)
            )
        if resources:
            futures = self._client.incremental_alter_configs(
                list(resources.values()), request_timeout=self._timeout_seconds
            )
            for resource, future in futures.items():
                self._result(_named(_SETTING, resource.name), future)

    def _settings(self, names: Iterable[str]) -> dict[str, dict[str, ConfigEntry]]:
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        if not resources:
            return {}
        futures = self._client.describe_configs(resources, request_timeout=self._timeout_seconds)
        return {
            resource.name: self._result(_named(_DESCRIBING, resource.name), future)
            for resource, future in futures.items()
        }

    def _created(self, futures: Mapping[str, Future[None]]) -> list[str]:
        created: list[str] = []
        failures: list[AxisError] = []
        for name, future in futures.items():
            try:
                future.result(self._timeout_seconds + _MARGIN_SECONDS)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    failures.append(self._translated(_named(_CREATING, name), error))
            except TimeoutError as error:
                failures.append(self._silence(_named(_CREATING, name), error))
            else:
                created.append(name)
        if failures:
            raise failures[0]
        return created

    def _until_elected(self, ask: Callable[[], _T]) -> _T:
        """Repeat a request that changes nothing while the cluster is electing."""
        deadline = monotonic() + self._timeout_seconds
        while True:
            try:
                return ask()
            except Unavailable as error:
                cause = error.__cause__
                passing = isinstance(cause, KafkaException) and cause.args[0].code() in _PASSING
                if not passing or monotonic() >= deadline:
                    raise
                sleep(_PASSING_SECONDS)

    def _result(self, doing: Bilingual, future: Future[Any]) -> Any:  # noqa: ANN401 - whatever the request answers
        try:
            return future.result(self._timeout_seconds + _MARGIN_SECONDS)
        except KafkaException as error:
            raise self._translated(doing, error) from error
        except TimeoutError as error:
            raise self._silence(doing, error) from error

    def _translated(self, doing: Bilingual, error: KafkaException) -> AxisError:
        kafka: KafkaError = error.args[0]
        self._client.poll(0)  # lets librdkafka tell `_note` why it has no connection
        told = f"{kafka.name()}, {kafka.str()}"
        happened = Bilingual(f"gặp lỗi {told}{self._last_error.vietnamese}", f"{told}{self._last_error}")
        if kafka.code() in _OPERATORS_MATTER:
            return ConfigurationError(self._told(doing, happened, _CORRECT))
        if kafka.code() in _UNKNOWN_OUTCOME:
            return OutcomeUnknown(self._told(doing, happened, _REPEAT))
        return Unavailable(self._told(doing, happened, _CHECK))

    def _silence(self, doing: Bilingual, error: TimeoutError) -> OutcomeUnknown:
        seconds = self._timeout_seconds
        happened = Bilingual(f"không có trả lời trong {seconds} giây", f"no answer within {seconds} s")
        failure = OutcomeUnknown(self._told(doing, happened, _REPEAT))
        failure.__cause__ = error
        return failure

    def _told(self, doing: Bilingual, happened: Bilingual, advice: Bilingual) -> Bilingual:
        return Bilingual(
            f"{doing.vietnamese} ở Kafka {self._bootstrap_servers}: {happened.vietnamese}; {advice.vietnamese}",
            f"{doing} at {self._bootstrap_servers}: {happened}; {advice}",
        )

    def _note(self, error: KafkaError) -> None:
        told = error.str()
        self._last_error = Bilingual(f" (lý do gần nhất: {told})", f" (last reason: {told})")


def _named(doing: Bilingual, name: str) -> Bilingual:
    return Bilingual(f"{doing.vietnamese} {name}", f"{doing} {name}")


def _is_override(entry: ConfigEntry) -> bool:
    # The client hands out the bare number, whatever its annotations say.
    return ConfigSource(entry.source) is ConfigSource.DYNAMIC_TOPIC_CONFIG
