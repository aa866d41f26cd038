"""An organisation's node: its publisher, its inbox and its taking, wired from settings.

async with Node.open(settings, code) as node:
    acknowledged = await node.publisher.publish(draft)
    async for entries in node.inbox.synchronise(): ...
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from axis.apps import wiring
from axis.connection import connect_as
from axis.consumers.inbox import Inbox
from axis.consumers.kafka import PartitionReader
from axis.consumers.take import Taker
from axis.core.addressing import OrganisationCode
from axis.core.policy import AcceptancePolicy
from axis.core.topics import SUBMISSIONS_STANDARD
from axis.producers.kafka import KafkaWriter
from axis.producers.publish import Publisher
from axis.settings import Settings
from axis.storage.blobs import BlobStore
from axis.storage.directory_files import DirectoryFiles
from axis.storage.journal import Journal


@dataclass(frozen=True, slots=True)
class Node:
    """One organisation's node, connected."""

    code: OrganisationCode
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
    ) -> AsyncIterator["Node"]:
        """Connect the node of an organisation whose keys are on this machine.

        Raises:
            ConfigurationError: a key or certificate of it is missing here.
            Unavailable: no broker answers, or a topic is missing.
        """
        policy, clock = AcceptancePolicy(), wiring.clock()
        connection = connect_as(code, settings.broker, "node")
        signer, directory, blobs = (
            wiring.signer(settings, code),
            wiring.directory(settings),
            wiring.blobs(settings),
        )
        journal = Journal(settings.node_folder(code) / "journal.db")
        try:
            async with KafkaWriter(connection) as writer, PartitionReader(connection) as reader:
                lane_partitions = await writer.partitions(SUBMISSIONS_STANDARD)
                yield cls(
                    code=code,
                    publisher=Publisher(
                        sender=code,
                        environment=settings.environment,
                        signer=signer,
                        blobs=blobs,
                        journal=journal,
                        writer=writer,
                        clock=clock,
                        lane_partitions=lane_partitions,
                        policy=policy,
                        deadline_seconds=deadline_seconds,
                    ),
                    inbox=Inbox(
                        owner=code,
                        axis=settings.node,
                        environment=settings.environment,
                        reader=reader,
                        verifier=wiring.verifier(settings, policy),
                        directory=directory,
                        journal=journal,
                    ),
                    taker=Taker(
                        owner=code,
                        environment=settings.environment,
                        signer=signer,
                        journal=journal,
                        writer=writer,
                        clock=clock,
                        lane_partitions=lane_partitions,
                        policy=policy,
                    ),
                    journal=journal,
                    blobs=blobs,
                    directory=directory,
                    writer=writer,
                )
        finally:
            journal.close()
