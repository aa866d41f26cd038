"""A router in a process of its own that can be told to kill or to pause itself at a step of its loop.

    python -m tests.fault.router_child FOLDER INSTANCE [STEP WHEN NTH SIGNAL [BATCH_RECORDS]]

It prints "ready" when every task it owns is open, and stops on SIGTERM. With a step it sends itself the signal right
before or after the NTH call of that step; the steps are the calls that a router task and its lanes make, and
"rebuild:apply", each step in which a decision store is rebuilt. The calls of a transaction and of a rebuild are counted for
each lane of a task by itself, the others for the process; "append@2" is that step of task 2 alone. WHEN may also be "half" (append:
half of the batch is written; advance: the group is part of the transaction, its positions are not) and "sent" (open,
commit: the request has left, no answer came). With BATCH_RECORDS its batches hold so many at most, the first express batch
is decided and committed while the first standard one is in hand, and the step is one of the standard lane.
"""

import asyncio
import inspect
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from aiokafka.conn import AIOKafkaConnection

from axis.apps.router import NewTransaction, Router
from axis.consumers.decide import Batch
from axis.consumers.equipment import Equipment
from axis.consumers.examine import Candidate
from axis.core.envelope import Lane
from axis.core.topics import SUBMISSIONS_EXPRESS
from axis.ports import Append, Transaction
from axis.settings import load
from axis.telemetry.logs import configure_logs

TRANSACTION: Final = frozenset({"open", "confirm", "missing_topics", "begin", "append", "advance", "commit"})
WAIT_SECONDS: Final = 30.0
EQUIPMENT: Final = {
    "submissions": frozenset({"rewind", "take"}),
    "examiner": frozenset({"examine", "complete"}),
    "decider": frozenset({"extend"}),
    "decisions": frozenset({"apply"}),
}
UNSENT: Final = {"TxnOffsetCommitRequest": ("advance", "half")}
"""Moments before a request is sent: the one before it, AddOffsetsToTxn, was answered."""
OPENING: Final = "InitProducerIdRequest"
SENT: Final = {OPENING: ("open", "sent"), "EndTxnRequest": ("commit", "sent")}
"""Moments when a request has left."""


@dataclass(slots=True)
class Trap:
    """Sends the process a signal at one call of one step, counting the calls that are made through it.

    Attributes:
        task: the only task that it is set for; None: any.
        sprung: whether any trap of the process has: one that was stopped and goes on is not stopped again.
    """

    sprung: ClassVar[bool] = False

    step: str = ""
    when: str = ""
    nth: int = 1
    number: signal.Signals = signal.SIGKILL
    task: int | None = None
    calls: int = field(default=0)

    def of(self, task: int) -> "Trap":
        """Return one that counts the calls of a task by itself; one that never springs where it is set for another."""
        return replace(self) if self.task in {None, task} else Trap()

    def spring(self, step: str, when: str) -> None:
        """Send the signal if this is the moment."""
        if (step, when) == (self.step, self.when):
            self.calls += 1
            if self.calls == self.nth and not Trap.sprung:
                Trap.sprung = True
                os.kill(os.getpid(), self.number)


class Trapped:
    """Stands for a port and calls it; the named steps spring the trap before and after, under a prefix if there is one."""

    def __init__(self, port: Any, steps: frozenset[str], trap: Trap, prefix: str = "") -> None:  # noqa: ANN401 - any port
        self._port = port
        self._steps = steps
        self._trap = trap
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        call = getattr(self._port, name)
        if name not in self._steps:
            return call
        return partial(self._awaited if inspect.iscoroutinefunction(call) else self._called, name, call)

    async def _awaited(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
        self._trap.spring(name, "before")
        result = await call(*arguments)
        # Looking for records and finding none has no effect.
        if name != "take" or result:
            self._trap.spring(name, "after")
        return result

    def _called(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
        self._trap.spring(self._prefix + name, "before")
        result = call(*arguments)
        self._trap.spring(self._prefix + name, "after")
        return result


class Rebuilding(Trapped):
    """Besides, lets the store that is rebuilt spring the trap by its own steps."""

    async def restore(self, partition: int, decisions: Trapped) -> Any:  # noqa: ANN401 - what the port returns
        """Rebuild the store under the trap."""
        store = Trapped(decisions._port, frozenset({"apply"}), self._trap.of(partition), "rebuild:")
        return await self._awaited("restore", self._port.restore, partition, store)


class HalfAppending(Trapped):
    """Besides, writes the first half of a batch alone when the trap is set there."""

    async def append(self, appends: Sequence[Append]) -> Any:  # noqa: ANN401 - what the port returns
        """Write the batch, in two halves if that is the step to die at."""
        if (self._trap.step, self._trap.when) == ("append", "half"):
            await self._port.append(appends[: len(appends) // 2])
            self._trap.spring("append", "half")
            appends = appends[len(appends) // 2 :]
        return await self._awaited("append", self._port.append, appends)


class Meeting:
    """Lets express work be decided when standard work has begun to be, and that be written when the express work is committed."""

    def __init__(self) -> None:
        self._begun = threading.Event()
        self._committed = threading.Event()

    def arranged(self, equipment: Equipment) -> Equipment:
        """Return the equipment with an examiner that waits for the decider."""
        examiner, decider = equipment.examiner, equipment.decider
        examiner.complete = partial(self._complete, examiner.complete)  # type: ignore[method-assign]
        decider.extend = partial(self._extend, decider.extend)  # type: ignore[method-assign]
        return equipment

    def joined(self, transaction: Transaction, lane: Lane) -> Transaction:
        """Return a transaction that waits for that of the other lane, or tells it."""
        if lane is Lane.STANDARD:
            transaction.append = partial(self._append, transaction.append)  # type: ignore[method-assign]
        else:
            transaction.commit = partial(self._commit, transaction.commit)  # type: ignore[method-assign]
        return transaction

    async def _complete(
        self,
        complete: Callable[..., Any],
        candidates: Sequence[Candidate],
        *arguments: Any,  # noqa: ANN401
    ) -> None:
        if candidates[0].record.topic == SUBMISSIONS_EXPRESS:
            await asyncio.to_thread(_until, self._begun)
        await complete(candidates, *arguments)

    def _extend(
        self,
        extend: Callable[..., int],
        batch: Batch,
        candidates: Sequence[Candidate],
        limit_bytes: int,
    ) -> int:
        if candidates[0].record.topic != SUBMISSIONS_EXPRESS:
            self._begun.set()
        return extend(batch, candidates, limit_bytes)

    async def _append(self, append: Callable[..., Awaitable[Any]], appends: Sequence[Append]) -> Any:  # noqa: ANN401 - what the port returns
        await asyncio.to_thread(_until, self._committed)
        return await append(appends)

    async def _commit(self, commit: Callable[[], Awaitable[None]]) -> None:
        await commit()
        self._committed.set()


def _until(event: threading.Event) -> None:
    assert event.wait(WAIT_SECONDS), "the other lane did not come"


class TrappedRouter(Router):
    """A router whose ports are trapped."""

    trap = Trap()
    meeting: Meeting | None = None

    async def _equipment(self, *arguments: Any) -> Equipment:  # noqa: ANN401 - handed on
        equipment = await super()._equipment(*arguments)
        if self.meeting is not None:
            equipment = self.meeting.arranged(equipment)
        trapped = {
            name: Trapped(getattr(equipment, name), steps, self.trap) for name, steps in EQUIPMENT.items()
        }
        trapped["changelog"] = Rebuilding(equipment.changelog, frozenset(), self.trap)
        return replace(equipment, **trapped)  # type: ignore[arg-type] # they stand for what they call

    def _kafka_transactions(self, *arguments: Any) -> NewTransaction:  # noqa: ANN401 - handed on
        make = super()._kafka_transactions(*arguments)

        def trapped(number: int, lane: Lane) -> Transaction:
            # Lanes run side by side: only a lane's own second call says that its first transaction is over.
            transaction, trap = make(number, lane), self.trap.of(number)
            if self.meeting is not None:
                transaction = self.meeting.joined(transaction, lane)
                trap = trap if lane is Lane.STANDARD else Trap()
            return HalfAppending(transaction, TRANSACTION - {"append"}, trap)

        return trapped


def _watch_requests(trap: Trap) -> None:
    """Spring the trap when a request has been handed to the kernel, or is about to be."""
    send = AIOKafkaConnection.send
    traps: dict[str, Trap] = {}
    confirmed: set[tuple[str, str]] = set()

    def spring(request: Any, moments: Mapping[str, tuple[str, str]]) -> None:  # noqa: ANN401 - any request
        kind = type(request).__name__
        if (moment := moments.get(kind)) is None:
            return
        name = request._transactional_id
        # The first transaction of a standard lane is no batch: it confirms the opening, which is a step of its own.
        if kind != OPENING and f"-{Lane.EXPRESS}-" not in name and (name, kind) not in confirmed:
            confirmed.add((name, kind))
            return
        traps.setdefault(name, trap.of(int(name.rpartition("-")[2]))).spring(*moment)

    def watched(connection: AIOKafkaConnection, request: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        spring(request, UNSENT)
        answer = send(connection, request, *arguments, **options)
        spring(request, SENT)
        return answer

    AIOKafkaConnection.send = watched


async def _run(folder: Path, instance: str, batch_records: int | None) -> None:
    settings = load(folder)
    if batch_records is not None:
        TrappedRouter.meeting = Meeting()
        settings = replace(settings, router=replace(settings.router, batch_records=batch_records))
    router = TrappedRouter(settings, instance)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, router.stop)
    await router.run(lambda _port: print("ready", flush=True))  # noqa: T201 - the parent waits for it


if __name__ == "__main__":
    configure_logs()
    if len(sys.argv) > 3:
        named, _, task = sys.argv[3].partition("@")
        TrappedRouter.trap = Trap(
            named,
            sys.argv[4],
            int(sys.argv[5]),
            signal.Signals[sys.argv[6]],
            int(task) if task else None,
        )
        _watch_requests(TrappedRouter.trap)
    asyncio.run(_run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[7]) if len(sys.argv) > 7 else None))
