"""Organisations that publish: mixed lanes, single recipients and broadcasts, repetitions, hard cases, and bytes that are nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from random import Random

from axis.apps import wiring
from axis.connection import connect_as
from axis.core.addressing import OrganisationCode
from axis.core.envelope import Lane, Urgency
from axis.core.partitioning import partition_of
from axis.core.topics import SUBMISSIONS_STANDARD
from axis.errors import OutcomeUnknown, Unavailable
from axis.ports import Append
from axis.producers.kafka import KafkaWriter
from axis.producers.publish import Acknowledged, Draft, DraftPart, Publisher
from axis.settings import Settings
from axis.storage.journal import Journal
from tests.configuration import LANE_PARTITIONS
from tests.fault.hard_cases import HardCase, Recipient, Sent

OFFICE = OrganisationCode("H56")
BIM_SON = OrganisationCode("H56.14812")
QUANG_TRUNG = OrganisationCode("H56.14818")
DIEN_LU = OrganisationCode("H56.14950")
QUY_LUONG = OrganisationCode("H56.14953")
SENDERS = (OFFICE, BIM_SON, QUANG_TRUNG, QUY_LUONG)
"""One sender in each lane partition (2, 3, 1, 0)."""
_PAUSE_SECONDS = 0.5
GARBAGE = b"\xc3\x01 not an envelope"


class CountingWriter(KafkaWriter):
    """A writer that counts the appends whose outcome it does not know."""

    failures = 0

    async def append(self, append: Append) -> int:
        """Write one record as the writer does."""
        try:
            return await super().append(append)
        except Unavailable:
            self.failures += 1
            raise


class Senders:
    """The publishers of some organisations, and one writer that writes what it is told."""

    def __init__(
        self,
        publishers: dict[OrganisationCode, Publisher],
        writers: Sequence["CountingWriter"],
        recipient: Recipient,
        deadline_seconds: float,
    ) -> None:
        self._publishers = publishers
        self._writers = writers
        self._recipient = recipient
        self._deadline_seconds = deadline_seconds
        self._number = 0
        self._hard = 0

    @property
    def failures(self) -> int:
        """How many appends had no known outcome so far."""
        return sum(writer.failures for writer in self._writers)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        codes: Sequence[OrganisationCode] = SENDERS,
        *,
        deadline_seconds: float = 90.0,
    ) -> AsyncIterator["Senders"]:
        """Connect."""
        async with AsyncExitStack() as stack:
            publishers: dict[OrganisationCode, Publisher] = {}
            journals: dict[OrganisationCode, Journal] = {}
            writers: dict[OrganisationCode, CountingWriter] = {}
            for code in dict.fromkeys((*codes, DIEN_LU)):
                journals[code] = Journal(":memory:")
                stack.callback(journals[code].close)
                writers[code] = await stack.enter_async_context(
                    CountingWriter(connect_as(code, settings.broker, "node"))
                )
            for code in codes:
                publishers[code] = Publisher(
                    sender=code,
                    environment=settings.environment,
                    signer=wiring.signer(settings, code),
                    blobs=wiring.blobs(settings),
                    journal=journals[code],
                    writer=writers[code],
                    clock=wiring.clock(),
                    lane_partitions=LANE_PARTITIONS,
                    deadline_seconds=deadline_seconds,
                )
            recipient = Recipient(settings, DIEN_LU, journals[DIEN_LU], writers[DIEN_LU])
            yield cls(publishers, list(writers.values()), recipient, deadline_seconds)

    async def prepare(
        self, sender: OrganisationCode, recipients: tuple[str, ...], lane: Lane = Lane.STANDARD
    ) -> Sent:
        """Sign one document."""
        self._number += 1
        draft = Draft(
            f"Công văn số {self._number}",
            recipients,
            (DraftPart("cong-van.pdf", "application/pdf", b"%PDF-1.7 " + self._number.to_bytes(8)),),
            urgency=Urgency.FLASH if lane is Lane.EXPRESS else Urgency.NORMAL,
        )
        publisher = self._publishers[sender]
        return Sent(publisher, await publisher.prepare(draft))

    async def mixture(self, count: int) -> list[Sent]:
        """Sign documents of all senders: every third is express, every tenth goes to everyone."""
        senders = list(self._publishers)
        documents = []
        for number in range(count):
            recipients = ("@all",) if number % 10 == 0 else (DIEN_LU, QUANG_TRUNG)[: 1 + number % 2]
            lane = Lane.EXPRESS if number % 3 == 0 else Lane.STANDARD
            documents.append(await self.prepare(senders[number % len(senders)], recipients, lane))
        return documents

    async def hard_cases(self, count: int) -> list[HardCase]:
        """Sign hard cases, express and standard in turn, until every sender has both."""
        senders = list(self._publishers.values())
        cases = []
        for _ in range(count):
            lane = Lane.STANDARD if self._hard % 2 else Lane.EXPRESS
            publisher = senders[self._hard // 2 % len(senders)]
            self._number += 1
            self._hard += 1
            cases.append(await HardCase.prepare(publisher, DIEN_LU, lane, self._number))
        return cases

    async def publish_hard_cases(self, count: int) -> None:
        """Publish hard cases, and a receipt of hand-over for each, twice."""
        cases = await self.hard_cases(count)
        await append_all(each for case in cases for each in case.first)
        await append_all(each for case in cases for each in case.later)
        await self.hand_over(cases)

    async def hand_over(self, cases: Sequence[HardCase]) -> None:
        """Let the recipient attest that it has the large documents, twice each; they must have been appended."""
        await self._recipient.hand_over([case.large.submission for case in cases], self._deadline_seconds)

    async def publish_batch(self, count: int = 30, hard_cases: int = 2) -> None:
        """Publish hard cases and a mixture; every fifth document twice, and one record that is no envelope."""
        await self.publish_hard_cases(hard_cases)
        documents = await self.mixture(count)
        await append_all(documents)
        await append_all(documents[::5])
        await self.append_garbage()

    async def append_garbage(self, size: int = 0) -> None:
        """Append a record that nobody can have signed; again while its outcome is unknown, as publishers do."""
        sender = next(iter(self._publishers))
        partition = partition_of(sender, LANE_PARTITIONS)
        record = Append(SUBMISSIONS_STANDARD, partition, sender.encode(), GARBAGE + bytes(size))
        async with asyncio.timeout(self._deadline_seconds):
            while True:
                with suppress(OutcomeUnknown):
                    await self._writers[0].append(record)
                    return

    @asynccontextmanager
    async def publishing(self) -> AsyncIterator[None]:
        """Publish small batches as long as the block lasts; what was begun is finished at its end."""
        stop = asyncio.Event()
        running = asyncio.create_task(self._publish_until(stop))
        try:
            yield
        finally:
            stop.set()
            await running

    async def _publish_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.publish_batch(10)
            # A load, not a flood: the machine is to be busy with the fault.
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _PAUSE_SECONDS)


async def append_all(documents: Iterable[Sent]) -> list[Acknowledged]:
    """Append documents side by side; return when the broker has acknowledged every one."""
    return await asyncio.gather(*(each.append() for each in documents))


def shuffled(documents: Sequence[Sent], copies: int) -> list[Sent]:
    """Return every document several times, in a random order that is the same in every run."""
    order = [each for each in documents for _ in range(copies)]
    Random(20251122).shuffle(order)  # noqa: S311 - repeatable, not secret
    return order
