"""Take documents: unpack them, and tell the sender by a signed receipt of hand-over.

Order: the content is unpacked and verified first, the receipt is kept before it is appended, and it is appended again,
byte for byte, until the broker has it. A node that lost its link in between sends it with its next command. A receipt that
the axis refused for its time is signed anew when the document is taken again, never by itself.
"""

import asyncio
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from errno import ENOSPC
from pathlib import Path
from shutil import disk_usage

from axis.core.addressing import OrganisationCode
from axis.core.digest import digests_equal, sha256
from axis.core.directory import Directory
from axis.core.envelope import Envelope, Header, Lane, MessageId, Part
from axis.core.partitioning import partition_of
from axis.core.policy import AcceptancePolicy
from axis.core.receipt import Event, Outcome, Receipt, RecipientOutcome, SignedReceipt
from axis.core.topics import SUBMISSIONS_EXPRESS, SUBMISSIONS_STANDARD
from axis.errors import Bilingual, IntegrityError, Refused, Unavailable
from axis.ports import Append, BlobStore, BusWriter, Clock, Signer
from axis.schemas import avro
from axis.storage.journal import Journal, StoredDelivery
from axis.storage.whole import name_taken, write_new

HANDED_OVER_STATUS = "01"
"""edXML status 01, đã đến: the document is in the recipient's system (QCVN 102:2016)."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A document whose parts lie in a folder, verified."""

    header: Header
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Unacknowledged:
    """A receipt of hand-over that is kept and was not acknowledged.

    Attributes:
        sender: of the document, as is its message id.
        error: `Refused` when the broker will not take it as it is, `Unavailable` when the outcome is unknown; then no
            further receipt was tried.
    """

    sender: str
    message_id: MessageId
    error: Refused | Unavailable


class Taker:
    """Takes documents for one organisation.

    Args:
        owner: its code.
        environment: name of the installation.
        signer: its signing key.
        journal: its journal; the documents come from there.
        writer: the way to Kafka.
        clock: the time.
        lane_partitions: partitions of each submission lane.
    """

    def __init__(
        self,
        *,
        owner: OrganisationCode,
        environment: str,
        signer: Signer,
        journal: Journal,
        writer: BusWriter,
        clock: Clock,
        lane_partitions: int,
        policy: AcceptancePolicy | None = None,
    ) -> None:
        self._owner = owner
        self._environment = environment
        self._signer = signer
        self._journal = journal
        self._writer = writer
        self._clock = clock
        self._lane_partitions = lane_partitions
        self._policy = policy or AcceptancePolicy()

    async def take(self, deliveries: Iterable[StoredDelivery], directory: Directory) -> list[Unacknowledged]:
        """Attest the hand-over of documents of the journal, and append what was not yet acknowledged.

        The parts of each must have been verified and stored, as `unpack` does: the receipt says that they are there.
        Taking a document again sends the same receipt again, byte for byte, unless the broker has it already.

        Returns:
            What was not acknowledged, these documents' and others'; it is kept and goes out with the next call.

        Raises:
            Unavailable: the key cannot be used, or the journal cannot be written; nothing was attested.
        """
        receipts = [
            (each.sender, each.message_id, self._receipt(each, directory))
            for each in deliveries
            if each.receipt is None
        ]
        await asyncio.to_thread(self._journal.store_handovers, receipts)
        return await self.append_waiting()

    async def append_waiting(self) -> list[Unacknowledged]:
        """Append every kept receipt that the broker has not acknowledged, each once; return those that it still has not.

        One that the broker refuses holds up no other. After an unknown outcome the others wait for the next call: where
        no broker answers, each would take as long.

        Raises:
            Unavailable: the journal cannot be read or written.
        """
        unacknowledged = []
        for delivery in self._journal.unsent_handovers():
            try:
                await self._append(delivery)
            except Refused as error:
                unacknowledged.append(Unacknowledged(delivery.sender, delivery.message_id, error))
            except Unavailable as error:
                unacknowledged.append(Unacknowledged(delivery.sender, delivery.message_id, error))
                break
            else:
                self._journal.set_handover_appended(delivery, appended=True)
        return unacknowledged

    async def _append(self, delivery: StoredDelivery) -> None:
        await self._writer.append(
            # The sender's partition: the router task there knows whether the document was consigned to us.
            Append(
                _topic(delivery),
                partition_of(delivery.sender, self._lane_partitions),
                delivery.sender.encode(),
                delivery.receipt or b"",
            )
        )

    def _receipt(self, delivery: StoredDelivery, directory: Directory) -> bytes:
        now = self._clock.now()
        statement = avro.encode_receipt(
            Receipt(
                event=Event.CONTENT_HANDOVER,
                environment=self._environment,
                message_id=delivery.message_id,
                envelope_digest=delivery.digest,
                sender=OrganisationCode(delivery.sender),
                issuer=self._owner,
                occurred_at=now,
                outcomes=(RecipientOutcome(self._owner, Outcome.HANDED_OVER),),
                directory_version=directory.version,
                policy_version=self._policy.version,
                status=HANDED_OVER_STATUS,
            )
        )
        return avro.encode_signed_receipt(SignedReceipt(statement, self._signer.sign(statement, now)))


async def unpack(delivery: StoredDelivery, folder: Path, blobs: BlobStore) -> Unpacked:
    """Write the parts of a document into a folder, each verified against the digest that its sender signed.

    Files appear under their names only when whole; a name that exists with other content is never overwritten.

    Raises:
        IntegrityError: a part is not what was signed.
        BlobMissing: a large part is not in the blob store.
        Refused: `file-exists`, another file has a part's name.
        Unavailable: the blob store does not answer, or the disk is full.
    """
    envelope, header = opened(delivery.value)
    try:
        absent = [
            await _as_stored(part, blobs) for part in await asyncio.to_thread(_absent, folder, envelope.parts)
        ]
        await asyncio.to_thread(_check_room, folder, absent)
        for part in absent:
            await _write(part, folder / part.name, blobs)
        return Unpacked(header, tuple(folder / part.name for part in envelope.parts))
    except OSError as error:
        raise Unavailable(
            Bilingual(
                f"không ghi được vào {folder}: {error.strerror}",
                f"cannot write into {folder}: {error.strerror}",
            )
        ) from error


def opened(value: bytes) -> tuple[Envelope, Header]:
    """Return envelope and header of a record that was verified before it came into the journal.

    Raises:
        IntegrityError: the journal was changed from outside.
    """
    try:
        envelope = avro.decode(value)
        if isinstance(envelope, Envelope):
            return envelope, avro.decode_header(envelope.header)
    except Refused as error:
        raise IntegrityError(f"the journal holds no readable envelope: {error}") from error
    raise IntegrityError("the journal holds something else than an envelope")


def _absent(folder: Path, parts: Iterable[Part]) -> list[Part]:
    """Make the folder, and return the parts that are not in it yet."""
    folder.mkdir(parents=True, exist_ok=True)
    return [part for part in parts if not _is_there(folder / part.name, part)]


def _is_there(path: Path, part: Part) -> bool:
    """Tell whether the very file is there already; another file of that name is refused."""
    if not path.exists():
        return False
    if path.is_file() and digests_equal(_digest(path), part.digest):
        return True
    raise name_taken(path)


async def _as_stored(part: Part, blobs: BlobStore) -> Part:
    """Return a part with the size that the store knows: what the record says is not signed, as its digest is."""
    stored = None if part.content is not None else await blobs.size(part.digest)
    return part if stored is None else replace(part, size=stored)


def _check_room(folder: Path, parts: Iterable[Part]) -> None:
    """Find out before anything is written whether the disk has room for all of it."""
    needed = sum(part.size for part in parts)
    if needed > (free := disk_usage(folder).free):
        raise OSError(ENOSPC, f"{free} bytes are free, the document needs {needed}")


async def _write(part: Part, path: Path, blobs: BlobStore) -> None:
    if part.content is None:
        await blobs.fetch_to(part.digest, part.size, path)
    elif not digests_equal(sha256(part.content), part.digest):
        raise IntegrityError(f"part {part.name!a} is not what its sender signed")
    else:
        await asyncio.to_thread(write_new, part.content, path)


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _topic(delivery: StoredDelivery) -> str:
    _, header = opened(delivery.value)
    return SUBMISSIONS_EXPRESS if header.urgency.lane is Lane.EXPRESS else SUBMISSIONS_STANDARD
