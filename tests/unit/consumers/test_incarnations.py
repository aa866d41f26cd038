"""Two routers that open the same task crosswise, one of which was thought dead: never does each keep a lane."""

import asyncio
from collections.abc import Sequence

import pytest

from axis.consumers.equipment import Equipment
from axis.consumers.restore import DecisionChangelog
from axis.consumers.route import RouterTask
from axis.core.envelope import Lane, Urgency
from axis.core.retry import RetrySchedule
from axis.ports import PartitionId, Record, Transaction
from axis.testing.bus import MemoryGroupReader, MemoryReader, MemoryTransaction
from tests.unit.consumers.ledger import Submission
from tests.unit.consumers.script import document, handover, rival
from tests.unit.consumers.town import (
    EXPRESS,
    GROUP,
    NAME,
    OFFICE,
    STANDARD,
    WARD,
    ListenedDecisions,
    Notes,
    OwnBench,
    Site,
    Town,
)

_MOMENT = 0.02
_WHILE = 0.2


class Deaf(MemoryGroupReader):
    """A member that believes it has its partitions, and hears nothing of one of them."""

    deaf_to: PartitionId

    async def take(self, place: PartitionId, limit: int, wait_seconds: float) -> Sequence[Record]:
        """Return what came, later."""
        del wait_seconds
        await asyncio.sleep(0.001)
        return () if place == self.deaf_to else await super().take(place, limit, 0)


def router(site: Site, deaf_to: PartitionId, may_open_the_second: asyncio.Event) -> RouterTask:
    """Return the task of a process of its own, with a decision store of its own."""
    reader = Deaf(site.bus, GROUP, (EXPRESS, STANDARD))
    reader.deaf_to = deaf_to
    decisions = ListenedDecisions(site.bus)

    opened: set[str] = set()

    class Gated(MemoryTransaction):
        async def open(self) -> None:
            if opened - {self._name}:
                await may_open_the_second.wait()
            opened.add(self._name)
            await super().open()

    def make(lane: Lane) -> Transaction:
        return Gated(site.bus, f"{NAME}-{lane}", GROUP)

    equipment = Equipment(
        submissions=reader,
        changelog=DecisionChangelog(MemoryReader(site.bus)),
        decisions=decisions,
        directory=site.town,
        examiner=site.town.examiner(),
        decider=site.town.decider(decisions),
        workbench=OwnBench(site.bus),
        observer=Notes(),
        retry=RetrySchedule(0.05, 0.05),
        batch_records=500,
    )
    return RouterTask(0, equipment, make)


async def crosswise(
    site: Site, old_is_deaf_to: PartitionId, *submissions: tuple[Submission, PartitionId]
) -> None:
    """Let an old router stall between its two openings until a new one has opened both; then submit."""
    new_is_deaf_to = STANDARD if old_is_deaf_to == EXPRESS else EXPRESS
    stalled, free = asyncio.Event(), asyncio.Event()
    free.set()
    old, new = router(site, old_is_deaf_to, stalled), router(site, new_is_deaf_to, free)
    running = [asyncio.create_task(old.run())]
    await asyncio.sleep(_MOMENT)
    running.append(asyncio.create_task(new.run()))
    await asyncio.sleep(_MOMENT)
    stalled.set()
    for submission, place in submissions:
        await asyncio.sleep(_WHILE)
        site.submit(submission.value, place)
    await asyncio.sleep(_WHILE)
    old.stop()
    new.stop()
    await asyncio.gather(*running)


@pytest.mark.parametrize("deaf_to", [STANDARD, EXPRESS])
async def test_a_handover_in_both_lanes_reaches_the_sender_once(town: Town, deaf_to: PartitionId) -> None:
    """Whichever lane is routed by whichever process."""
    site = Site(town)
    letter = document(town, OFFICE, WARD)
    site.submit(letter.value)
    await site.route()
    attested = handover(town, letter, WARD)
    await crosswise(site, deaf_to, (attested, STANDARD), (attested, EXPRESS))
    await site.route()
    assert site.inbox(OFFICE).count(attested.value) == 1


@pytest.mark.parametrize("deaf_to", [STANDARD, EXPRESS])
async def test_a_message_id_is_given_once(town: Town, deaf_to: PartitionId) -> None:
    """A rival in the other lane is refused, by whichever process."""
    site = Site(town)
    letter = document(town, OFFICE, WARD)
    urgent = rival(town, letter, Urgency.FLASH)
    await crosswise(site, deaf_to, (letter, STANDARD), (urgent, EXPRESS))
    await site.route()
    delivered = site.inbox(WARD)
    assert (letter.value in delivered) != (urgent.value in delivered)
