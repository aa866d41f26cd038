"""Attacks by an established sender on bytes that are not signed, and on the place of a record."""

import asyncio
import zlib
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from axis.core.digest import Digest
from axis.core.disposition import Reason
from axis.core.envelope import Urgency
from axis.core.partitioning import partition_of
from axis.core.topics import SUBMISSIONS_EXPRESS
from axis.producers.identity import new_message_id
from axis.schemas import avro
from tests.attack.forge import claim, part
from tests.attack.stage import (
    CHOSEN_BY_LIBRARY,
    ENDED,
    OFFICE,
    OTHER_WARD,
    SUSPENDED,
    WARD,
    WITHOUT_INBOX,
    Stage,
)
from tests.attack.striking import (
    Struck,
    against,
    header_attack,
    parts_attack,
    raw,
    submit,
)
from tests.configuration import LANE_PARTITIONS


@against(Reason.PART_ALTERED)
def damaged_part(stage: Stage, now: datetime) -> Struck:
    """A part whose content was changed on the way."""
    return parts_attack(stage, now, part(), carried=[replace(part(), content=b"X" * part().size)])


@against(Reason.PART_ALTERED)
def other_digest_listed(stage: Stage, now: datetime) -> Struck:
    """A manifest that lists another digest than that of the part."""
    return parts_attack(stage, now, part(), carried=[part(content=b"another content")])


@against(Reason.PART_ALTERED)
def removed_part(stage: Stage, now: datetime) -> Struck:
    """A listed part that is not there."""
    return parts_attack(stage, now, part("1.pdf"), part("2.pdf"), carried=[part("1.pdf")])


@against(Reason.PART_ALTERED)
def smuggled_part(stage: Stage, now: datetime) -> Struck:
    """A part that the manifest does not list."""
    return parts_attack(stage, now, part("1.pdf"), carried=[part("1.pdf"), part("2.pdf")])


@against(Reason.PART_ALTERED)
def renamed_part(stage: Stage, now: datetime) -> Struck:
    """A part under another name than the listed one."""
    return parts_attack(stage, now, part("1.pdf"), carried=[part("1.exe")])


@against(Reason.PART_ALTERED)
def swapped_header(stage: Stage, now: datetime) -> Struck:
    """Another header than the signed one."""
    office = stage.forger(OFFICE)
    other = avro.encode_header(office.header(OTHER_WARD, now))
    return submit(stage, replace(office.letter(WARD, now), header=other))


@against(Reason.PART_ALTERED)
def size_that_lies(stage: Stage, now: datetime) -> Struck:
    """A stored blob of another size than the record says."""
    content = b"phu luc " * 20_000
    asyncio.run(stage.blobs.put_bytes(content))
    return parts_attack(stage, now, claim(content), carried=[replace(claim(content), size=7)])


@against(Reason.PART_TOO_LARGE)
def large_inline_part(stage: Stage, now: datetime) -> Struck:
    """A part inside the record that is a byte over the limit."""
    return parts_attack(stage, now, part(content=bytes(65_537)))


@against(Reason.PART_TOO_LARGE)
def large_claim(stage: Stage, now: datetime) -> Struck:
    """A part by claim check that is said to be a byte over the limit."""
    return parts_attack(stage, now, replace(claim(b"one byte more"), size=1024**3 + 1))


@against(Reason.PART_TOO_LARGE)
def negative_claim(stage: Stage, now: datetime) -> Struck:
    """A part whose size would make room for others in the sum of all."""
    return parts_attack(stage, now, replace(claim(b"less than nothing"), size=-1))


@against(Reason.PART_TOO_LARGE)
def one_blob_many_times(stage: Stage, now: datetime) -> Struck:
    """Parts that are one stored blob, which a recipient would write out as often as it is named."""
    named = [replace(claim(b"again", f"{number}.bin"), size=900 * 1024**2) for number in range(3)]
    return parts_attack(stage, now, *named)


@against(Reason.BLOB_MISSING)
def absent_blob(stage: Stage, now: datetime) -> Struck:
    """A part by claim check that nobody stored."""
    return parts_attack(stage, now, claim(b"never stored"))


@against(Reason.INBOX_MISSING)
def recipient_without_inbox(stage: Stage, now: datetime) -> Struck:
    """A recipient of the directory whose inbox nobody created."""
    return submit(stage, stage.forger(OFFICE).letter(WITHOUT_INBOX, now))


@against(Reason.WRONG_LANE)
def pushing_in(stage: Stage, now: datetime) -> Struck:
    """An ordinary document in the express lane."""
    return submit(stage, stage.forger(OFFICE).letter(WARD, now), topic=SUBMISSIONS_EXPRESS)


@against(Reason.WRONG_LANE)
def dawdling(stage: Stage, now: datetime) -> Struck:
    """An urgent document in the standard lane."""
    return header_attack(stage, now, urgency=Urgency.FLASH)


@against(Reason.WRONG_PARTITION)
def other_partitioner(stage: Stage, now: datetime) -> Struck:
    """A client of librdkafka, which partitions by CRC-32 where nobody tells it otherwise."""
    sender = _sender_whose_partitions_differ(stage)
    value = avro.encode_envelope(stage.forger(sender).letter(WARD, now))
    source = stage.put(value, sender=sender, partition=CHOSEN_BY_LIBRARY)
    assert source.partition == zlib.crc32(sender.encode()) % LANE_PARTITIONS
    return Struck(source, value, sender)


@against(Reason.WRONG_PARTITION)
def receipt_beside_its_document(stage: Stage, now: datetime) -> Struck:
    """A receipt of hand-over in the recipient's own partition, where nobody knows the document."""
    ward = stage.forger(WARD)
    value = ward.signed(ward.handover(new_message_id(now), Digest(bytes(32)), OFFICE, now), now)
    return raw(stage, value, WARD)


def _sender_whose_partitions_differ(stage: Stage) -> str:
    folder = Path(stage.settings.signatures.keys)
    codes = {path.stem for path in folder.glob("*.pem")} - {SUSPENDED, ENDED, WITHOUT_INBOX}
    return next(
        code
        for code in sorted(codes)
        if zlib.crc32(code.encode()) % LANE_PARTITIONS != partition_of(code, LANE_PARTITIONS)
    )
