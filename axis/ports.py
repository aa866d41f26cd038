"""The seams of the axis: what the use cases need from outside, with the promise that each implementation must keep.

Errors across a seam are ours only: `Unavailable` when a repetition may help, `OutcomeUnknown` when the effect may have
happened, `IntegrityError` when what came back is not what was stored.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from axis.core.digest import Digest
from axis.core.directory import Directory
from axis.schemas.avro import Decision


@dataclass(frozen=True, slots=True, order=True)
class PartitionId:
    """A partition of a topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Record:
    """A committed record as read.

    Attributes:
        appended_at: the broker's append time (all topics use LogAppendTime), UTC.
    """

    topic: str
    partition: int
    offset: int
    appended_at: datetime
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def place(self) -> PartitionId:
        """The partition that it stands in."""
        return PartitionId(self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class Append:
    """A record to be written."""

    topic: str
    partition: int
    key: bytes
    value: bytes


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""


class Signer(Protocol):
    """Holds one organisation's signing key, in a file, a token or elsewhere."""

    def sign(self, content: bytes, at: datetime) -> bytes:
        """Return a detached CAdES-B signature over these bytes, DER.

        Raises:
            Unavailable: the key cannot be used now.
        """


class DirectorySource(Protocol):
    """Knows which organisations exist."""

    def current(self) -> Directory:
        """Return the directory in force. MUST be cheap enough for every record: no IO on an unchanged directory."""


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """Content that is durable under its address; `size` in bytes."""

    digest: Digest
    size: int


class BlobStore(Protocol):
    """Holds large parts by content address.

    `put_*` MUST NOT return before the content is durable, MUST NOT leave anything under its address when it fails, and
    storing the same content twice MUST succeed. Nothing whose SHA-256 is not its address is ever handed out as whole.
    """

    async def put_file(self, path: Path) -> StoredBlob:
        """Store a file's content.

        Raises:
            Unavailable: it cannot be stored now; nothing was left behind.
        """

    async def put_bytes(self, content: bytes) -> StoredBlob:
        """Store bytes; raises as `put_file` does."""

    async def size(self, digest: Digest) -> int | None:
        """Return the size in bytes of stored content, None when it is not there.

        Raises:
            Unavailable: the store does not answer.
        """

    async def fetch_to(self, digest: Digest, size: int, path: Path) -> None:
        """Write content to a path that does not exist, whole and verified or not at all.

        Raises:
            Refused: `file-exists`, another file has the name.
            BlobMissing: nothing is stored under the digest.
            IntegrityError: what is stored is not what the digest says.
            Unavailable: the store does not answer, or the disk is full.
        """


class DecisionStore(Protocol):
    """The idempotency store of one router: what was decided about each key, without a time limit.

    The changelog in Kafka is the truth, this is its index. `apply` MUST store decisions and changelog position in one
    atomic step, so that a store which survived a crash holds everything before its position, and only what is committed.
    """

    def lookup(self, keys: Iterable[str]) -> Mapping[str, Decision]:
        """Return the decisions known for these keys."""

    def apply(self, partition: int, decisions: Sequence[tuple[str, Decision]], position: int) -> None:
        """Store committed decisions, and the position before which nothing of the changelog partition is missing now.

        They may stand behind it, and it may go back: what is read twice is stored as it was.
        """

    def position(self, partition: int) -> int:
        """Return the changelog position up to which a partition is indexed; 0 when nothing is."""

    def forget(self, partition: int) -> None:
        """Drop everything of a partition, to be rebuilt from the changelog."""


class Transaction(Protocol):
    """The writer of one lane of a router task: everything of a batch becomes visible at once, or never.

    One instance is one incarnation of the lane: after any exception it MUST be closed and replaced, because the outcome
    may be unknown and sequence numbers may have gaps. `open` fences every earlier incarnation and settles what it left.
    """

    async def open(self) -> None:
        """Fence earlier incarnations; MUST NOT return before their transactions are committed or aborted."""

    async def confirm(self, positions: Mapping[PartitionId, int]) -> None:
        """Commit input positions and nothing else; it fails where a later incarnation has fenced this one."""

    async def missing_topics(self, topics: Collection[str]) -> Collection[str]:
        """Return those of these topics that do not exist; MAY be asked beside any other call, from `open` to `close`."""

    async def begin(self) -> None:
        """Start a transaction."""

    async def append(self, appends: Sequence[Append]) -> Mapping[PartitionId, int]:
        """Write records; MUST NOT return before the broker holds every one of them.

        Returns:
            The offset after the last record of each partition written to.
        """

    async def advance(self, positions: Mapping[PartitionId, int]) -> None:
        """Add the input positions (offset of the next record to read) to the transaction."""

    async def commit(self) -> None:
        """Make everything visible.

        Raises:
            OutcomeUnknown: it may or may not be visible; only the committed input position tells.
        """

    async def close(self) -> None:
        """Let go of connections, whatever the state; never raises."""


class BusWriter(Protocol):
    """The plain writer of a node."""

    async def append(self, append: Append) -> int:
        """Write one record and return its offset. MUST NOT return before all in-sync replicas hold it.

        Raises:
            OutcomeUnknown: no answer within the deadline; the record may be there.
            Refused: the broker will never take it (too large, not authorised).
            Unavailable: it is certainly not there, and the same call may succeed later.
        """


class BusReader(Protocol):
    """Reads committed records of given partitions, from given positions, without a group."""

    async def end(self, place: PartitionId) -> int:
        """Return the offset after the last committed record."""

    def read_to_end(self, starts: Mapping[PartitionId, int]) -> AsyncIterator[Sequence[Record]]:
        """Yield what is committed now, from the given positions on, then stop."""
