"""Read the receipts of an installation, each verified anew, by message, by period, or as they come."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from axis.apps import wiring
from axis.connection import connect_as
from axis.consumers.establish import place_of, verify
from axis.consumers.kafka import PartitionReader
from axis.consumers.verify import VerifiedEnvelope, VerifiedReceipt
from axis.core.attestation import fault_of_receipt
from axis.core.directory import Directory
from axis.core.disposition import Reason
from axis.core.partitioning import partition_of
from axis.core.policy import AcceptancePolicy
from axis.core.receipt import Source
from axis.core.topics import RECEIPTS
from axis.errors import Refused
from axis.ports import PartitionId, Record
from axis.settings import Settings


@dataclass(frozen=True, slots=True)
class ReadReceipt:
    """A record of the receipts; either its issuer is established and may attest it, or `refusal` says why not."""

    place: Source
    appended_at: datetime
    verified: VerifiedReceipt | None
    refusal: Refused | None


async def receipts_about(settings: Settings, client: str, message_id: str) -> list[ReadReceipt]:
    """Return every receipt about a message, in the order in which they were recorded.

    Args:
        settings: the installation.
        client: whose certificate reads.
        message_id: the message's id, or for a submission without one the hexadecimal digest of its envelope.

    Raises:
        ConfigurationError: a certificate or the directory cannot be used.
        Unavailable: the cluster does not answer.
    """
    found: list[ReadReceipt] = []
    judge = _Judge(settings)
    async with PartitionReader(connect_as(client, settings.broker, "receipts")) as reader:
        count = len(await reader.partitions(RECEIPTS))
        place = PartitionId(RECEIPTS, partition_of(message_id, count))
        async for records in reader.read_to_end({place: await reader.beginning(place)}):
            about = [record for record in records if record.key == message_id.encode()]
            found += judge.read(about)
    return found


async def receipts_of_period(
    settings: Settings, client: str, since: datetime | None = None, until: datetime | None = None
) -> AsyncIterator[ReadReceipt]:
    """Yield the receipts recorded in a period, in order within each partition; raises as `receipts_about` does."""
    judge = _Judge(settings)
    async with PartitionReader(connect_as(client, settings.broker, "receipts")) as reader:
        starts = {}
        for place in await reader.partitions(RECEIPTS):
            starts[place] = await (reader.offset_at(place, since) if since else reader.beginning(place))
        async for records in reader.read_to_end(starts):
            kept = [record for record in records if until is None or record.appended_at < until]
            for receipt in judge.read(kept):
                yield receipt


async def receipts_to_come(settings: Settings, client: str) -> AsyncIterator[ReadReceipt]:
    """Yield receipts as they are recorded, from now on, for ever; raises as `receipts_about` does."""
    judge = _Judge(settings)
    async with PartitionReader(connect_as(client, settings.broker, "receipts")) as reader:
        positions = {place: await reader.end(place) for place in await reader.partitions(RECEIPTS)}
        while True:
            async for records in reader.follow(positions):
                for receipt in judge.read(records):
                    yield receipt
            # The topic was created again.
            positions = {place: await reader.beginning(place) for place in positions}


class _Judge:
    """Verifies receipts by the trust and for the installation of these settings."""

    def __init__(self, settings: Settings) -> None:
        self._verifier = wiring.verifier(settings, AcceptancePolicy())
        self._directory = wiring.directory(settings)
        self._axis = settings.node
        self._environment = settings.environment

    def read(self, records: Sequence[Record]) -> list[ReadReceipt]:
        """Return what each record attests, or why it attests nothing, by the directory of now."""
        directory = self._directory.current()
        return [self._read(record, directory) for record in records]

    def _read(self, record: Record, directory: Directory) -> ReadReceipt:
        verified = verify(record, self._verifier, directory)
        if isinstance(verified, VerifiedReceipt):
            fault = fault_of_receipt(verified.receipt, self._axis, self._environment)
        elif isinstance(verified, VerifiedEnvelope):
            fault = Refused(Reason.SCHEMA_UNKNOWN, "an envelope among the receipts")
        else:
            fault = verified
        receipt = verified if isinstance(verified, VerifiedReceipt) and fault is None else None
        return ReadReceipt(place_of(record), record.appended_at, receipt, fault)
