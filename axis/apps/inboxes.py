"""Opens inboxes: the first record of each is the axis's signed statement that it begins here.

The record makes the beginning provable, and it takes the slow first write into a new partition out of the first
broadcast.
"""

import asyncio

from axis.admin.kafka import Bound
from axis.apps import wiring
from axis.connection import connect_as
from axis.core.addressing import OrganisationCode
from axis.core.digest import sha256
from axis.core.directory import Directory
from axis.core.policy import AcceptancePolicy
from axis.core.receipt import Event, Receipt, SignedReceipt
from axis.core.topics import inbox_topic
from axis.ports import Append, PartitionId, Signer
from axis.producers.kafka import KafkaWriter
from axis.schemas.avro import encode_receipt, encode_signed_receipt
from axis.settings import Settings


def open_empty_inboxes(settings: Settings, directory: Directory) -> int:
    """Open every inbox of the directory that has no record yet; return how many.

    Raises:
        Unavailable: the cluster does not answer; a repetition opens the rest.
    """
    return asyncio.run(_open(settings, directory))


async def _open(settings: Settings, directory: Directory) -> int:
    codes = [organisation.code for organisation in directory.organisations]
    places = [PartitionId(inbox_topic(code), 0) for code in codes]
    admin = wiring.topic_admin(settings, settings.node)
    ends = await asyncio.to_thread(admin.offsets, places, Bound.WRITTEN)
    empty = [code for code, place in zip(codes, places, strict=True) if ends[place] == 0]
    if not empty:
        return 0
    signer = wiring.signer(settings, settings.node)
    async with KafkaWriter(connect_as(settings.node, settings.broker, "opener")) as writer:
        await asyncio.gather(
            *(writer.append(_statement(code, settings, signer, directory)) for code in empty)
        )
    return len(empty)


def _statement(code: OrganisationCode, settings: Settings, signer: Signer, directory: Directory) -> Append:
    now = wiring.clock().now()
    topic = inbox_topic(code)
    statement = encode_receipt(
        Receipt(
            event=Event.INBOX_OPENED,
            environment=settings.environment,
            message_id=None,
            # No envelope is concerned; the topic's name stands in its place.
            envelope_digest=sha256(topic.encode()),
            sender=code,
            issuer=settings.node,
            occurred_at=now,
            outcomes=(),
            directory_version=directory.version,
            policy_version=AcceptancePolicy().version,
        )
    )
    value = encode_signed_receipt(SignedReceipt(statement, signer.sign(statement, now)))
    return Append(topic, 0, b"inbox-opened", value)
