"""The floor: verify, then forward, by hand and in one file; run as `python -m bench.floor FOLDER`.

What a competent engineer would write who may leave out everything that the axis does beyond it: one consumer over all
partitions of the standard lane, one transactional producer, batches of each inbox built by hand, every delivery awaited before the commit,
certificates judged once and remembered, the positions in the transaction. One process, so that partitions are assigned
by hand and one transactional id fences it. `bench/README.md` lists what is left out.
"""

import argparse
import asyncio
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata, TopicPartition

from axis import settings as settings_file
from axis.connection import connect_as
from axis.core.envelope import Envelope
from axis.core.topics import SUBMISSIONS_STANDARD, inbox_topic
from axis.crypto.certificates import CertificateValidator, RevocationNotChecked
from axis.crypto.signing import verify_detached
from axis.schemas import avro
from axis.settings import Settings
from axis.storage.directory_files import load_directory
from bench.lifeline import when_input_ends

Forwarding = tuple[bytes | None, Sequence[str]]
"""Key and topics that a record goes to."""

Destination = Callable[[ConsumerRecord], Forwarding]


class VerifiedDestination:
    """Verifies a record, and says where it goes."""

    def __init__(self, settings: Settings) -> None:
        self._directory = load_directory(settings.directory.folder, settings.directory.enrolment)
        anchor = settings.signatures.anchors.read_bytes()
        self._certificates = CertificateValidator([anchor], revocation=RevocationNotChecked())

    def __call__(self, record: ConsumerRecord) -> Forwarding:
        """Return where a record goes.

        Raises:
            Refused: the signature or the certificate does not hold.
            ValueError: the signature is not the sender's, or not over these parts.
        """
        envelope = avro.decode(record.value)
        if not isinstance(envelope, Envelope):
            raise ValueError(f"got {type(envelope).__name__}, expected an envelope")  # noqa: TRY004 - the input's fault
        facts = verify_detached(envelope.manifest, envelope.signature)
        certificate = self._certificates.validate(facts.certificate, facts.chain, facts.signing_time)
        signer = self._directory.organisation_of_certificate(certificate.sha256, facts.signing_time)
        header = avro.decode_header(envelope.header)
        contents = [envelope.header, *(part.content for part in envelope.parts if part.content is not None)]
        listed = all(b64encode(sha256(each).digest()) in envelope.manifest for each in contents)
        if header.sender != signer or not listed:
            raise ValueError(
                f"{record.topic}/{record.partition}/{record.offset} is not what its sender signed"
            )
        codes = {
            code
            for each in header.recipients
            for code in self._directory.resolve(each, header.sender, facts.signing_time)
        }
        return header.message_id.encode(), [inbox_topic(code) for code in codes]


def unverified_destination(inboxes: Sequence[str], *, everyone: bool) -> Destination:
    """Return a destination that looks at nothing: all inboxes, or each in turn."""

    def destination(record: ConsumerRecord) -> Forwarding:
        return record.key, inboxes if everyone else (inboxes[record.offset % len(inboxes)],)

    return destination


async def forward(
    settings: Settings, group: str, inboxes: Sequence[str], destination: Destination, stopping: asyncio.Event
) -> None:
    """Forward the standard lane, from the committed positions on, until stopped."""
    connection = connect_as(settings.node, settings.broker, group)
    common: dict[str, Any] = {
        "bootstrap_servers": connection.bootstrap_servers,
        "security_protocol": "SSL",
        "ssl_context": connection.tls,
        "client_id": group,
    }
    consumer = AIOKafkaConsumer(
        **common,
        group_id=group,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        max_poll_records=settings.router.batch_records,
    )
    producer = AIOKafkaProducer(
        **common, transactional_id=group, max_batch_size=512 * 1024, max_request_size=2 * 1024 * 1024
    )
    async with consumer, producer:
        for topic in inboxes:
            await producer.partitions_for(topic)
        numbers = await producer.partitions_for(SUBMISSIONS_STANDARD)
        places = [TopicPartition(SUBMISSIONS_STANDARD, number) for number in numbers]
        consumer.assign(places)
        for place in places:
            consumer.seek(place, await consumer.committed(place) or 0)
        while not stopping.is_set():
            batches = await consumer.getmany(timeout_ms=200)
            if batches:
                await _carry_over(batches, producer, group, destination)


async def _carry_over(
    batches: dict[TopicPartition, list[ConsumerRecord]],
    producer: AIOKafkaProducer,
    group: str,
    destination: Destination,
) -> None:
    """Verify a batch, then write it and its positions in one transaction."""
    copies: dict[str, list[tuple[bytes | None, bytes]]] = {}
    for record in chain.from_iterable(batches.values()):
        key, topics = destination(record)
        for topic in topics:
            copies.setdefault(topic, []).append((key, record.value))
    async with producer.transaction():
        deliveries = [
            await producer.send_batch(batch, topic, partition=0)
            for topic, waiting in copies.items()
            for batch in _built(producer, waiting)
        ]
        await asyncio.gather(*deliveries)
        positions = {
            place: OffsetAndMetadata(batch[-1].offset + 1, "") for place, batch in batches.items() if batch
        }
        await producer.send_offsets_to_transaction(positions, group)


def _built(producer: AIOKafkaProducer, waiting: Sequence[tuple[bytes | None, bytes]]) -> Iterator[Any]:
    """Build an inbox's copies into batches by hand: a future for each copy would cost more than the copy."""
    batch = producer.create_batch()
    for key, value in waiting:
        if batch.append(key=key, value=value, timestamp=None) is None:
            yield batch
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    yield batch


async def main() -> None:
    """Run until the standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the site's data folder")
    parser.add_argument("--group", required=True, help="consumer group and transactional id")
    parser.add_argument(
        "--unverified", choices=["one", "all"], help="look at nothing, forward to one or all inboxes"
    )
    arguments = parser.parse_args()
    settings = settings_file.load(arguments.folder)
    directory = load_directory(settings.directory.folder)
    inboxes = [
        inbox_topic(each.code) for each in directory.organisations if each.level in {"commune", "ward"}
    ]
    destination: Destination = (
        unverified_destination(inboxes, everyone=arguments.unverified == "all")
        if arguments.unverified
        else VerifiedDestination(settings)
    )
    stopping = asyncio.Event()
    when_input_ends(stopping.set)
    await forward(settings, arguments.group, inboxes, destination, stopping)


if __name__ == "__main__":
    asyncio.run(main())
