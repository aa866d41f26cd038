"""An organisation's node: its publisher, its inbox and its taking, wired from settings.

async with Node.open(settings, code) as node:
    acknowledged = await node.publisher.publish(draft)
    async for entries in node.inbox.synchronise(): ...
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from axis.apps import wiring
from axis.connection import connect_as
from axis.consumers.inbox import Inbox
from axis.consumers.kafka import PartitionReader
from axis.consumers.take import Taker
from axis.core.addressing import OrganisationCode
from axis.core.policy import AcceptancePolicy
from axis.core.topics import SUBMISSIONS_STANDARD, inbox_topic
from axis.ports import Signer
from axis.producers.kafka import KafkaWriter
from axis.producers.publish import Publisher
from axis.settings import Settings
from axis.storage.blobs import BlobStore
from axis.storage.directory_files import DirectoryFiles
from axis.storage.journal import Journal


@dataclass(frozen=True, slots=True)
class Node:
    """One organisation's node, connected.

    Attributes:
        folder: its own folder; what is taken lies there unless it is wanted elsewhere.
    """

    code: OrganisationCode
    folder: Path
    publisher: Publisher
    inbox: Inbox
    taker: Taker
    journal: Journal
    blobs: BlobStore
    directory: DirectoryFiles
    writer: KafkaWriter

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Settings, code: OrganisationCode, *, deadline_seconds: float = 60.0
    ) -> AsyncIterator[Self]:
        """Connect the node of an organisation whose keys are on this machine.

        Raises:
            ConfigurationError: a key or certificate of it is missing here.
            Unavailable: no broker answers, or a topic is missing.
        """
        connection = connect_as(code, settings.broker, "node")
        signer = wiring.signer(settings, code)
        journal = Journal(settings.node_folder(code) / "journal.db")
        try:
            async with KafkaWriter(connection) as writer, PartitionReader(connection) as reader:
                lane_partitions = await writer.partitions(SUBMISSIONS_STANDARD)
                yield cls._wired(
                    settings, code, signer, journal, writer, reader, lane_partitions, deadline_seconds
                )
        finally:
            journal.close()

    @classmethod
    def _wired(
        cls,
        settings: Settings,
        code: OrganisationCode,
        signer: Signer,
        journal: Journal,
        writer: KafkaWriter,
        reader: PartitionReader,
        lane_partitions: int,
        deadline_seconds: float,
    ) -> Self:
        environment, policy, clock = settings.environment, AcceptancePolicy(), wiring.clock()
        directory, blobs = wiring.directory(settings), wiring.blobs(settings)
        publisher = Publisher(
            sender=code,
            environment=environment,
            signer=signer,
            blobs=blobs,
            journal=journal,
            writer=writer,
            clock=clock,
            lane_partitions=lane_partitions,
            policy=policy,
            deadline_seconds=deadline_seconds,
        )
        inbox = Inbox(
            owner=code,
            axis=settings.node,
            environment=environment,
            reader=reader,
            identify=lambda: _identity_of_inbox(settings, code),
            verifier=wiring.verifier(settings, policy),
            directory=directory,
            journal=journal,
            lane_partitions=lane_partitions,
            rules=wiring.rules(settings),
        )
        taker = Taker(
            owner=code,
            environment=environment,
            signer=signer,
            journal=journal,
            writer=writer,
            clock=clock,
            lane_partitions=lane_partitions,
            policy=policy,
        )
        folder = settings.node_folder(code)
        return cls(code, folder, publisher, inbox, taker, journal, blobs, directory, writer)


async def _identity_of_inbox(settings: Settings, code: OrganisationCode) -> str:
    admin = wiring.topic_admin(settings, code)
    return await asyncio.to_thread(admin.topic_id, inbox_topic(code))
