"""Take documents: unpack them, and tell the sender by a signed receipt of hand-over.

Order: the content is unpacked and verified first, the receipt is kept before it is appended, and it is appended again,
byte for byte, until the broker has it. A node that lost its link in between sends it with the next synchronisation.
"""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from axis.core.addressing import Directory, OrganisationCode
from axis.core.digest import digests_equal, sha256
from axis.core.envelope import Envelope, Header, Lane, Part
from axis.core.partitioning import partition_of
from axis.core.policy import AcceptancePolicy
from axis.core.receipt import Event, Outcome, Receipt, RecipientOutcome, SignedReceipt
from axis.core.topics import SUBMISSIONS_EXPRESS, SUBMISSIONS_STANDARD
from axis.errors import IntegrityError, Refused, Unavailable
from axis.ports import Append, BlobStore, BusWriter, Clock, Signer
from axis.schemas import avro
from axis.storage.journal import Journal, StoredDelivery

HANDED_OVER_STATUS = "01"
"""edXML status 01, đã đến: the document is in the recipient's system (QCVN 102:2016)."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A document whose parts lie in a folder, verified."""

    header: Header
    files: tuple[Path, ...]


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

    async def take(self, deliveries: Sequence[StoredDelivery], directory: Directory) -> None:
        """Attest the hand-over of documents of the journal, and append what was not yet acknowledged.

        Taking a document again sends the same receipt again, byte for byte, unless the broker has it already.

        Raises:
            Unavailable: the receipts are kept and go out with the next call.
        """
        fresh = [delivery for delivery in deliveries if delivery.receipt is None]
        self._journal.store_handovers(
            [(each.sender, each.message_id, self._receipt(each, directory)) for each in fresh]
        )
        await self.append_waiting()

    async def append_waiting(self) -> int:
        """Append every kept receipt that the broker has not acknowledged; return how many."""
        waiting = [each for each in self._journal.deliveries(waiting=True) if each.receipt is not None]
        for delivery in waiting:
            await self._writer.append(
                # The sender's partition: the router task there knows whether the document was consigned to us.
                Append(
                    _topic(delivery),
                    partition_of(delivery.sender, self._lane_partitions),
                    delivery.sender.encode(),
                    delivery.receipt or b"",
                )
            )
            self._journal.handover_appended(delivery.sender, delivery.message_id)
        return len(waiting)

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
        Refused: `file-exists`, another file has a part's name.
        Unavailable: the blob store does not answer, or the disk is full.
    """
    envelope, header = opened(delivery.value)
    try:
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        return Unpacked(header, tuple([await _write(part, folder, blobs) for part in envelope.parts]))
    except OSError as error:
        raise Unavailable(f"cannot write into {folder}: {error.strerror}") from error


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


async def _write(part: Part, folder: Path, blobs: BlobStore) -> Path:
    path = folder / part.name
    if await asyncio.to_thread(_is_there, path, part):
        return path
    if part.content is None:
        await blobs.fetch_to(part.digest, part.size, path)
    elif not digests_equal(sha256(part.content), part.digest):
        raise IntegrityError(f"part {part.name!a} is not what its sender signed")
    else:
        await asyncio.to_thread(_put, part.content, path)
    return path


def _is_there(path: Path, part: Part) -> bool:
    """Tell whether the very file is there already; another file of that name is refused."""
    if not path.exists():
        return False
    if path.is_file() and path.stat().st_size == part.size and digests_equal(_digest(path), part.digest):
        return True
    raise Refused("file-exists", f"{path} exists with other content; choose another folder")


def _put(content: bytes, path: Path) -> None:
    """Write a file so that it appears whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".axis-", delete=False) as temporary:
        temporary.write(content)
        temporary.flush()
        os.fsync(temporary.fileno())
    Path(temporary.name).rename(path)


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _topic(delivery: StoredDelivery) -> str:
    _, header = opened(delivery.value)
    return SUBMISSIONS_EXPRESS if header.urgency.lane is Lane.EXPRESS else SUBMISSIONS_STANDARD
