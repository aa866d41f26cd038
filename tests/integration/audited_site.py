"""A site with a history that a real router wrote, and what an insider could do to it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from axis.admin.kafka import Bound
from axis.apps import site, wiring
from axis.apps.audit import AUDITOR
from axis.apps.node import Node
from axis.apps.router import GROUP, Router
from axis.clock import SystemClock
from axis.connection import connect_as
from axis.core.addressing import OrganisationCode
from axis.core.envelope import Envelope
from axis.core.partitioning import partition_of
from axis.core.receipt import Event, Outcome, Receipt, RecipientOutcome, SignedReceipt, Source
from axis.core.topics import SUBMISSIONS_EXPRESS, SUBMISSIONS_STANDARD
from axis.ports import Append, PartitionId
from axis.producers.kafka import KafkaWriter
from axis.producers.publish import Draft, DraftPart
from axis.schemas import avro
from axis.settings import Settings
from axis.storage.journal import StoredSubmission
from tests.configuration import copy_configuration

PROVINCE, WARD, DEPARTMENT = (OrganisationCode(code) for code in ("H56", "H56.14812", "H56.01"))
SUBJECT = "Về việc kiểm kê tài sản công năm 2026"
WAIT_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Played:
    """A site whose router stopped after it had decided everything.

    Attributes:
        document: from the province to the ward, taken.
        broadcast: from the province to everybody.
    """

    settings: Settings
    document: StoredSubmission
    broadcast: StoredSubmission


@contextmanager
def played_site(folder: Path) -> Iterator[Played]:
    """Start a site, play a history on it, and stop it at the end."""
    config = copy_configuration(folder.with_name("config"))
    with site.start(folder, config, lambda _: None, telemetry_port=0, short_lived=True) as running:
        yield asyncio.run(_play(running.settings))


async def _play(settings: Settings) -> Played:
    """Let a real router decide a mix of good and bad submissions, and let a recipient take its document."""
    router = Router(settings)
    running = asyncio.create_task(router.run())
    try:
        async with Node.open(settings, PROVINCE) as province, Node.open(settings, WARD) as ward:
            document = (await province.publisher.publish(_draft((WARD,)))).submission
            broadcast = (await province.publisher.publish(_draft(("@all",)))).submission
            for value in (
                document.value,
                _conflicting(province, document),
                await _altered(province),
                b"garbage",
            ):
                await _submit(province, document.topic, value)
            await province.publisher.publish(_draft(("H56.99999",)))
            await _until_decided(settings)
            async for _ in ward.inbox.synchronise():
                pass
            mine = [each for each in ward.journal.deliveries() if each.message_id == document.message_id]
            await ward.taker.take(mine, ward.directory.current())
            await _until_decided(settings)
    finally:
        router.stop()
        await running
    return Played(settings, document, broadcast)


def _draft(recipients: tuple[str, ...]) -> Draft:
    return Draft(SUBJECT, recipients, (DraftPart("a.pdf", "application/pdf", b"%PDF-1.7 "),))


async def _submit(node: Node, topic: str, value: bytes) -> None:
    """Append bytes as the node's own submission, whatever they are."""
    partition = partition_of(node.code, await node.writer.partitions(topic))
    await node.writer.append(Append(topic, partition, node.code.encode(), value))


def _conflicting(node: Node, document: StoredSubmission) -> bytes:
    """Return another document under the message id of one that was submitted, signed by the same sender."""
    envelope = envelope_of(document)
    header = replace(avro.decode_header(envelope.header), subject="Nội dung khác")
    return node.publisher.seal(header, envelope.parts, header.created_at).value


async def _altered(node: Node) -> bytes:
    """Return an envelope whose part was changed after it was signed."""
    envelope = envelope_of(await node.publisher.prepare(_draft((WARD,))))
    parts = tuple(replace(part, content=b"%PDF-1.8 ") for part in envelope.parts)
    return avro.encode_envelope(replace(envelope, parts=parts))


def envelope_of(submission: StoredSubmission) -> Envelope:
    """Return the envelope that was submitted."""
    envelope = avro.decode(submission.value)
    assert isinstance(envelope, Envelope)
    return envelope


async def _until_decided(settings: Settings) -> None:
    """Wait until the router has committed the end of both lanes."""
    admin = wiring.topic_admin(settings, AUDITOR)
    positions = wiring.group_positions(settings, AUDITOR, GROUP)
    counts = admin.partitions()
    lanes = (SUBMISSIONS_EXPRESS, SUBMISSIONS_STANDARD)
    places = [PartitionId(topic, number) for topic in lanes for number in range(counts[topic])]
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            ends = await asyncio.to_thread(admin.offsets, places, Bound.COMMITTED)
            committed = await asyncio.to_thread(positions.committed, places)
            if all(committed.get(place, 0) >= end for place, end in ends.items()):
                return
            await asyncio.sleep(0.1)


async def write(settings: Settings, topic: str, value: bytes) -> None:
    """Write a record past the router, as somebody with an administrator's certificate could."""
    async with KafkaWriter(connect_as(AUDITOR, settings.broker, "insider")) as writer:
        await writer.append(Append(topic, 0, b"insider", value))


async def route_one(settings: Settings, recipients: tuple[str, ...]) -> StoredSubmission:
    """Publish a document of the province and let a router decide it, with whatever rules it has now."""
    router = Router(settings)
    running = asyncio.create_task(router.run())
    try:
        async with Node.open(settings, PROVINCE) as province:
            published = await province.publisher.publish(_draft(recipients))
            await _until_decided(settings)
    finally:
        router.stop()
        await running
    return published.submission


def forged_acceptance(
    played: Played, issuer: OrganisationCode, signer: OrganisationCode, offset: int = 0
) -> bytes:
    """Return an acceptance of the document that names one issuer and is signed by another, or by that one.

    Args:
        played: the site.
        issuer: who is said to issue it.
        signer: whose key signs it.
        offset: where the document is said to stand.
    """
    return _signed(
        played,
        signer,
        Receipt(
            event=Event.SUBMISSION_ACCEPTANCE,
            environment=played.settings.environment,
            message_id=played.document.message_id,
            envelope_digest=played.document.digest,
            sender=PROVINCE,
            issuer=issuer,
            occurred_at=SystemClock().now(),
            outcomes=(RecipientOutcome(DEPARTMENT, Outcome.CONSIGNED),),
            directory_version="sha256:0",
            policy_version="2026-11",
            source=Source(SUBMISSIONS_STANDARD, 0, offset),
        ),
    )


def handover_by(played: Played, issuer: OrganisationCode) -> bytes:
    """Return a hand-over of the document, attested and signed by any organisation."""
    return _signed(
        played,
        issuer,
        Receipt(
            event=Event.CONTENT_HANDOVER,
            environment=played.settings.environment,
            message_id=played.document.message_id,
            envelope_digest=played.document.digest,
            sender=PROVINCE,
            issuer=issuer,
            occurred_at=SystemClock().now(),
            outcomes=(RecipientOutcome(issuer, Outcome.HANDED_OVER),),
            directory_version="sha256:0",
            policy_version="2026-11",
            status="01",
        ),
    )


def _signed(played: Played, signer: OrganisationCode, receipt: Receipt) -> bytes:
    statement = avro.encode_receipt(receipt)
    key = wiring.signer(played.settings, signer)
    return avro.encode_signed_receipt(SignedReceipt(statement, key.sign(statement, receipt.occurred_at)))
