"""Read history again, for auditors: by time or offset, verified anew, one row per record, never its content.

Kafka finds the first record at or after a moment; where a period ends is found by looking at each record's append time.
Rows come in the order of time, then topic, partition and offset, so that the same question has the same answer. About
half a kilobyte of memory per row.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from axis.consumers.establish import place_of, quarantine_entry, verify
from axis.consumers.verify import VerifiedEnvelope, VerifiedReceipt, Verifier
from axis.core.addressing import OrganisationCode
from axis.core.attestation import fault_of_receipt
from axis.core.digest import Digest, sha256
from axis.core.directory import Directory
from axis.core.policy import CLOCK_MARGIN
from axis.core.receipt import Source
from axis.core.topics import QUARANTINE, inbox_topic
from axis.errors import Bilingual, ConfigurationError, Refused
from axis.ports import PartitionId, Record

DOCUMENT: Final = "DOCUMENT"
QUARANTINED: Final = "QUARANTINED"
UNKNOWN: Final = "UNKNOWN"

Progress = Callable[[str, int, int], None]
"""Told what is being read, how many records of it were, and how many there are at most."""


class Verdict(StrEnum):
    """What verification found."""

    VERIFIED = "verified"
    ALTERED = "altered"  # the signer is established, but header or parts are not what was signed
    REFUSED = "refused"  # nobody is established, or who is may not attest this here
    PARKED = "parked"  # a record of the quarantine: the axis's own, it carries no signature


class HistoryReader(Protocol):
    """Reads given partitions without a group; `axis.consumers.kafka.PartitionReader` does it."""

    async def partitions(self, topic: str) -> Sequence[PartitionId]:
        """Return the partitions of a topic."""

    async def beginning(self, place: PartitionId) -> int:
        """Return the first offset that is still kept."""

    async def end(self, place: PartitionId) -> int:
        """Return the offset after the last committed record."""

    async def offset_at(self, place: PartitionId, at: datetime) -> int:
        """Return the offset of the first record appended at or after a moment; the end where there is none."""

    def read_to_end(
        self, starts: Mapping[PartitionId, int], ends: Mapping[PartitionId, int] | None = None
    ) -> AsyncIterator[Sequence[Record]]:
        """Yield what is committed, from the given offsets on, then stop."""


@dataclass(frozen=True, slots=True)
class Period:
    """A part of history.

    Attributes:
        topics: the topics to read.
        since: the first append time; from the beginning when None.
        until: the append time to stop before; to the end when None.
        offsets: partition number to (first, last) offset of every topic; all partitions when empty. `last` is
            inclusive, None for the end.
    """

    topics: tuple[str, ...]
    since: datetime | None = None
    until: datetime | None = None
    offsets: Mapping[int, tuple[int, int | None]] = field(default_factory=dict)

    def contains(self, record: Record) -> bool:
        """Tell whether a record was appended in the period."""
        after = self.since is None or record.appended_at >= self.since
        return after and (self.until is None or record.appended_at < self.until)


@dataclass(frozen=True, slots=True)
class Replayed:
    """A record of the history.

    Attributes:
        what: `DOCUMENT`, the event of a receipt, `QUARANTINED`, or `UNKNOWN` where nobody is established.
        sender: who sent the document, or the document that a receipt is about; established, never only claimed.
        recipients: of a document as its sender wrote them, of a receipt those that it tells something about.
        issuer: who signed: the sender of a document, the issuer of a receipt.
        digest: identity of the envelope, of a receipt's envelope, or SHA-256 of bytes that are neither.
        reason: why it was refused or parked; of a negative receipt its reason.
    """

    appended_at: datetime
    place: Source
    what: str
    sender: str | None
    recipients: tuple[str, ...]
    issuer: str | None
    message_id: str | None
    digest: Digest
    verdict: Verdict
    reason: str | None


class Replayer:
    """Reads periods of the history; commits nothing and disturbs nobody.

    Args:
        reader: reads partitions.
        verifier: verifies signatures, independently of the router.
        directory: who exists.
        progress: told how far it is.
        axis: the node whose receipts speak for the axis.
        environment: name of the installation that receipts must be of.
    """

    def __init__(
        self,
        reader: HistoryReader,
        verifier: Verifier,
        directory: Directory,
        progress: Progress,
        *,
        axis: OrganisationCode,
        environment: str,
    ) -> None:
        self._reader = reader
        self._verifier = verifier
        self._directory = directory
        self._progress = progress
        self._axis = axis
        self._environment = environment

    async def replay(self, period: Period, organisation: OrganisationCode | None = None) -> list[Replayed]:
        """Return the records of a period, in the order of time.

        Args:
            period: what to read.
            organisation: only what it sent, receives or issued, what stands in its inbox, and what was parked under
                its code as key, which is a claim only.

        Raises:
            ConfigurationError: the period begins at offsets that no topic has.
            Unavailable: a topic cannot be read now.
        """
        starts, ends = await self._range(period)
        total = sum(max(0, ends[place] - start) for place, start in starts.items())
        done = 0
        rows: list[Replayed] = []
        async for records in self._reader.read_to_end(starts, ends):
            kept = [record for record in records if period.contains(record)]
            rows += await asyncio.to_thread(self._rows, kept, organisation)
            done += len(records)
            self._progress("replay", done, total)
        rows.sort(key=lambda row: (row.appended_at, row.place.topic, row.place.partition, row.place.offset))
        return rows

    async def _range(self, period: Period) -> tuple[dict[PartitionId, int], dict[PartitionId, int]]:
        """Return the first offset of each partition, and the one to stop before."""
        starts: dict[PartitionId, int] = {}
        ends: dict[PartitionId, int] = {}
        reached: dict[int, int] = {}
        for topic in period.topics:
            for place in await self._reader.partitions(topic):
                if period.offsets and place.partition not in period.offsets:
                    continue
                first, last = period.offsets.get(place.partition, (0, None))
                start = max(first, await self._reader.beginning(place))
                if period.since is not None:
                    start = max(start, await self._reader.offset_at(place, period.since))
                end = await self._reader.end(place)
                reached[place.partition] = max(end, reached.get(place.partition, 0))
                if period.until is not None:
                    end = min(end, await self._reader.offset_at(place, period.until + CLOCK_MARGIN))
                starts[place], ends[place] = start, end if last is None else min(end, last + 1)
        _check_reached(period, reached)
        return starts, ends

    def _rows(self, records: Sequence[Record], organisation: OrganisationCode | None) -> list[Replayed]:
        return [row for record in records if (row := self._row(record, organisation)) is not None]

    def _row(self, record: Record, organisation: OrganisationCode | None) -> Replayed | None:
        if record.topic == QUARANTINE:
            # A parked record has the key under which it was submitted: the sender's code, if it was honest.
            return (
                None if organisation is not None and not _parked_as(record, organisation) else _parked(record)
            )
        verified = verify(record, self._verifier, self._directory)
        if organisation is not None and not self._concerns(record, verified, organisation):
            return None
        match verified:
            case VerifiedEnvelope(header=header, fault=fault):
                return Replayed(
                    record.appended_at,
                    place_of(record),
                    DOCUMENT,
                    verified.signer,
                    header.recipients if header else (),
                    verified.signer,
                    header.message_id if header else None,
                    verified.digest,
                    Verdict.ALTERED if fault else Verdict.VERIFIED,
                    str(fault.reason) if fault else None,
                )
            case VerifiedReceipt(receipt=receipt):
                fault = fault_of_receipt(receipt, self._axis, self._environment)
                return Replayed(
                    record.appended_at,
                    place_of(record),
                    str(receipt.event),
                    receipt.sender,
                    tuple(outcome.recipient for outcome in receipt.outcomes),
                    receipt.issuer,
                    receipt.message_id,
                    receipt.envelope_digest,
                    Verdict.REFUSED if fault else Verdict.VERIFIED,
                    str(fault.reason) if fault else receipt.reason,
                )
            case Refused(reason=reason):
                return _anonymous(record, UNKNOWN, Verdict.REFUSED, str(reason))

    def _concerns(
        self,
        record: Record,
        verified: VerifiedEnvelope | VerifiedReceipt | Refused,
        organisation: OrganisationCode,
    ) -> bool:
        if record.topic == inbox_topic(organisation):
            return True
        match verified:
            case VerifiedEnvelope(signer=signer, header=header):
                written = header.recipients if header else ()
                return signer == organisation or any(
                    self._means(recipient, signer, organisation, record.appended_at) for recipient in written
                )
            case VerifiedReceipt(receipt=receipt):
                named = {outcome.recipient for outcome in receipt.outcomes}
                return organisation in {receipt.sender, receipt.issuer, *named}
            case Refused():
                return False

    def _means(self, recipient: str, sender: str, organisation: OrganisationCode, at: datetime) -> bool:
        try:
            return organisation in self._directory.resolve(recipient, sender, at)
        except Refused:
            return False  # a recipient that nobody is


def _check_reached(period: Period, reached: Mapping[int, int]) -> None:
    """Refuse offsets beyond all that is written: who mistyped them would read that there is nothing.

    The next offset to be written may be asked for, as whoever reads on from where they stopped does.
    """
    faults, known = [], ", ".join(map(str, sorted(reached)))
    for partition, (first, _) in period.offsets.items():
        end = reached.get(partition)
        if end is None:
            faults.append(
                Bilingual(
                    f"không có phân vùng {partition}; các phân vùng: {known}",
                    f"got partition {partition}, expected one of {known}",
                )
            )
        elif first > end:
            faults.append(
                Bilingual(
                    f"phân vùng {partition} chưa đọc được vị trí {first}: mới đọc được tới trước {end}",
                    f"got offset {first} of partition {partition}, expected at most {end}, where what can be read now ends",
                )
            )
    if faults:
        raise ConfigurationError(*faults)


def _parked(record: Record) -> Replayed:
    try:
        entry = quarantine_entry(record)
    except Refused as refusal:
        return _anonymous(record, UNKNOWN, Verdict.REFUSED, str(refusal.reason))
    return _anonymous(record, QUARANTINED, Verdict.PARKED, entry.reason, entry.value)


def _parked_as(record: Record, organisation: OrganisationCode) -> bool:
    try:
        return quarantine_entry(record).key == organisation.encode()
    except Refused:
        return True  # what cannot be read may concern anybody


def _anonymous(
    record: Record, what: str, verdict: Verdict, reason: str, digest: Digest | None = None
) -> Replayed:
    return Replayed(
        record.appended_at,
        place_of(record),
        what,
        None,
        (),
        None,
        None,
        digest or sha256(record.value or b""),
        verdict,
        reason,
    )
