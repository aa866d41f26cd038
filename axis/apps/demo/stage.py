"""What the steps of the demo play on: a running site, its router, nodes that open when they are needed, a witness."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from axis.apps import wiring
from axis.apps.demo.router_process import RouterProcess
from axis.apps.demo.witness import Witness
from axis.apps.node import Node
from axis.connection import connect_as
from axis.consumers.kafka import PartitionReader
from axis.consumers.verify import VerifiedReceipt
from axis.core.addressing import OrganisationCode
from axis.core.directory import Directory
from axis.core.policy import AcceptancePolicy
from axis.core.topics import inbox_topic
from axis.ports import Record
from axis.producers.publish import Unsent
from axis.settings import Settings
from axis.testing.broker import ADMIN_NAME

PROVINCE: Final = OrganisationCode("H56")
OFFICE: Final = OrganisationCode("H56.01")
WARD: Final = OrganisationCode("H56.14812")
"""Phường Bỉm Sơn."""

SENDERS: Final = tuple(OrganisationCode(code) for code in ("H56", "H56.02", "H56.04", "H56.06", "H56.08"))
"""Who sends in bulk: each in a partition of its own."""


class Stage:
    """The stage of one performance.

    Args:
        settings: of the running site.
        router: its router, which runs.
        witness: reads what Kafka holds.
        closing: closes the nodes in the end.
    """

    def __init__(
        self, settings: Settings, router: RouterProcess, witness: Witness, closing: AsyncExitStack
    ) -> None:
        self.settings = settings
        self.router = router
        self.witness = witness
        self._closing = closing
        self._verifier = wiring.verifier(settings, AcceptancePolicy())
        self._directory = wiring.directory(settings)
        self._nodes: dict[OrganisationCode, Node] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator["Stage"]:
        """Start the router of a running site and connect the witness.

        Raises:
            Unavailable: the router or the broker does not answer; says what was seen.
        """
        router = RouterProcess(settings.folder)
        router.start()
        try:
            async with AsyncExitStack() as closing:
                reader = PartitionReader(connect_as(ADMIN_NAME, settings.broker, "witness"))
                await closing.enter_async_context(reader)
                await router.ready()
                yield cls(settings, router, Witness(reader), closing)
        finally:
            router.stop()

    @property
    def directory(self) -> Directory:
        """The directory in force."""
        return self._directory.current()

    @property
    def inboxes(self) -> list[str]:
        """The inbox topics of every organisation."""
        return [inbox_topic(organisation.code) for organisation in self.directory.organisations]

    @property
    def wards(self) -> list[OrganisationCode]:
        """The wards and communes of the directory."""
        return list(self.directory.resolve("@communes", PROVINCE, wiring.clock().now()))

    @property
    def opened(self) -> Iterable[Node]:
        """The nodes that took part so far."""
        return self._nodes.values()

    async def node(self, code: OrganisationCode) -> Node:
        """Return the node of an organisation, connected once; what an earlier run left unsent goes out first.

        Raises:
            Refused: the broker will not take what was left.
            Unavailable: no broker answers, or whether it has taken what was left is not known.
        """
        if code not in self._nodes:
            node = await self._closing.enter_async_context(Node.open(self.settings, code))
            for sent in await node.publisher.resume():
                if isinstance(sent, Unsent):
                    raise sent.error
            self._nodes[code] = node
        return self._nodes[code]

    def receipt_in(self, record: Record) -> VerifiedReceipt | None:
        """Return the receipt in a record, its signature verified; None when the record is something else.

        Raises:
            Refused: the record is not what it claims to be.
        """
        verified = self._verifier.verify(record.value, self.directory, record.appended_at)
        return verified if isinstance(verified, VerifiedReceipt) else None

    def is_by_axis(self, receipt: VerifiedReceipt) -> bool:
        """Tell whether the axis itself issued a verified receipt."""
        return receipt.issuer == self.settings.node
