"""One router task: partition *i* of both submission lanes, each batch one Kafka transaction of its lane.

    open       fence earlier incarnations of this task, in both lanes, and settle what they left
    restore    read the tail of the changelog into the decision store
    rewind     set both lanes to their committed positions, which are final only now
    run        both lanes, side by side (`axis.consumers.lane`), until the task is stopped or one of them fails

Across the tasks of a process express pieces have a thread of their own; of the others decisions go first, then examinations.

A failure gives the incarnation up. After a commit whose outcome is unknown the next incarnation learns it from the committed
position and the changelog.
"""

import asyncio
from collections.abc import Callable, Mapping

from axis.consumers.equipment import Equipment
from axis.consumers.lane import Incarnation, LaneLoop, first_of
from axis.core.envelope import Lane
from axis.core.topics import LANES
from axis.errors import OutcomeUnknown, Unavailable
from axis.ports import PartitionId, Transaction


class RouterTask:
    """The task of one partition number.

    Args:
        number: the partition number in both lanes and in the changelog.
        equipment: what it shares with the other tasks of its process.
        new_transaction: makes a lane's transaction object of the next incarnation.
    """

    def __init__(
        self, number: int, equipment: Equipment, new_transaction: Callable[[Lane], Transaction]
    ) -> None:
        self.number = number
        self._equipment = equipment
        self._new_transaction = new_transaction
        self._places = [PartitionId(topic, number) for topic in LANES.values()]
        self._failures = 0
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ask the task to finish the transactions in hand and return from `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Route until stopped; failures outside are waited out."""
        # A task that lost its partitions must not open: it would fence the one that has them now.
        while not self._stopping.is_set() and self._equipment.submissions.owns(self._places):
            try:
                await self._incarnation()
            except Unavailable as error:
                delay = self._equipment.retry.delay_seconds(self._failures)
                self._failures += 1
                self._equipment.observer.failed(self.number, error, delay)
                await first_of(asyncio.sleep(delay), self._stopping.wait())

    async def _incarnation(self) -> None:
        transactions = {lane: self._new_transaction(lane) for lane in (Lane.STANDARD, Lane.EXPRESS)}
        try:
            restored = await first_of(self._open(transactions), self._stopping.wait())
            if restored is not None:
                self._equipment.observer.opened(self.number, restored)
                await self._run(transactions)
        finally:
            self._equipment.submissions.pause(self._places)
            await asyncio.gather(*(each.close() for each in transactions.values()))

    async def _open(self, transactions: Mapping[Lane, Transaction]) -> int:
        """Make an incarnation ready; return how many decisions were restored."""
        # Standard first, always: what is said at `confirm` rests on it.
        await transactions[Lane.STANDARD].open()
        await transactions[Lane.EXPRESS].open()
        restored = await self._equipment.changelog.restore(self.number, self._equipment.decisions)
        positions = await self._equipment.submissions.rewind(self._places)
        # Two incarnations that open crosswise could keep a lane each. Where another one has opened the standard lane since, this
        # fails; one that opens it later opens the express lane later still, and so takes both.
        standard = PartitionId(LANES[Lane.STANDARD], self.number)
        await transactions[Lane.STANDARD].confirm({standard: positions[standard]})
        return restored

    async def _run(self, transactions: Mapping[Lane, Transaction]) -> None:
        """Run both lanes until both have ended; raise what ended one of them."""
        equipment = self._equipment
        incarnation = Incarnation(
            self.number, equipment, self._stopping, equipment.decisions.position(self.number)
        )
        running = [
            asyncio.create_task(LaneLoop(lane, transaction, incarnation).run())
            for lane, transaction in transactions.items()
        ]
        try:
            # One that fails lets the other one finish what it has in hand.
            await asyncio.wait(running)
            faults = [fault for each in running if (fault := each.exception()) is not None]
            if faults:
                raise min(faults, key=_gravity)
            # Whichever lane was remembered last may have spared what the other one had in hand, which is remembered now.
            equipment.decisions.apply(self.number, (), incarnation.changelog_end)
        finally:
            if incarnation.committed:
                self._failures = 0
            for each in running:
                each.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def _gravity(fault: BaseException) -> int:
    """Return which of two faults is told: a defect, which ends the process, then an unknown outcome."""
    match fault:
        case OutcomeUnknown():
            return 1
        case Unavailable():
            return 2
        case _:
            return 0
