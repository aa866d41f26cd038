"""A router in a process of its own that can be told to kill or to pause itself at a step of its loop.

    python -m tests.fault.router_child FOLDER INSTANCE [STEP WHEN NTH SIGNAL]

It prints "ready" when every task it owns is open, and stops on SIGTERM. With a step it sends itself the signal right
before or after the NTH call of that step; the steps are the calls that `axis.consumers.route.RouterTask` makes. WHEN
may also be "half" (append: half of the batch is written) and "sent" (commit: the request has left, no answer came).
"""

import asyncio
import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiokafka.conn import AIOKafkaConnection

from axis.apps.router import NewTransaction, Router
from axis.consumers.route import Equipment
from axis.ports import Append, Transaction
from axis.settings import load
from axis.telemetry.logs import configure_logs

TRANSACTION: Final = frozenset({"open", "missing_topics", "begin", "append", "advance", "commit"})
EQUIPMENT: Final = {
    "submissions": frozenset({"rewind", "take"}),
    "changelog": frozenset({"restore"}),
    "examiner": frozenset({"examine", "complete"}),
    "decider": frozenset({"extend"}),
    "decisions": frozenset({"apply"}),
}


@dataclass(slots=True)
class Trap:
    """Sends the process a signal at one call of one step."""

    step: str = ""
    when: str = ""
    nth: int = 1
    number: signal.Signals = signal.SIGKILL
    calls: int = field(default=0)

    def spring(self, step: str, when: str) -> None:
        """Send the signal if this is the moment."""
        if (step, when) == (self.step, self.when):
            self.calls += 1
            if self.calls == self.nth:
                os.kill(os.getpid(), self.number)


class Trapped:
    """Stands for a port and calls it; the named steps spring the trap before and after."""

    def __init__(self, port: Any, steps: frozenset[str], trap: Trap) -> None:  # noqa: ANN401 - any port
        self._port = port
        self._steps = steps
        self._trap = trap

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
        self._trap.spring(name, "before")
        result = call(*arguments)
        self._trap.spring(name, "after")
        return result


class HalfAppending(Trapped):
    """Besides, writes the first half of a batch alone when the trap is set there."""

    async def append(self, appends: Sequence[Append]) -> Any:  # noqa: ANN401 - what the port returns
        """Write the batch, in two halves if that is the step to die at."""
        if (self._trap.step, self._trap.when) == ("append", "half"):
            await self._port.append(appends[: len(appends) // 2])
            self._trap.spring("append", "half")
            appends = appends[len(appends) // 2 :]
        return await self._awaited("append", self._port.append, appends)


class TrappedRouter(Router):
    """A router whose ports are trapped."""

    trap = Trap()

    async def _equipment(self, *arguments: Any) -> Equipment:  # noqa: ANN401 - handed on
        equipment = await super()._equipment(*arguments)
        trapped = {
            name: Trapped(getattr(equipment, name), steps, self.trap) for name, steps in EQUIPMENT.items()
        }
        return replace(equipment, **trapped)  # type: ignore[arg-type] # they stand for what they call

    def _kafka_transactions(self, *arguments: Any) -> NewTransaction:  # noqa: ANN401 - handed on
        make = super()._kafka_transactions(*arguments)

        def trapped(number: int) -> Transaction:
            return HalfAppending(make(number), TRANSACTION - {"append"}, self.trap)

        return trapped


def _watch_requests(trap: Trap) -> None:
    """Spring the trap when a request to end a transaction has been handed to the kernel."""
    send = AIOKafkaConnection.send

    def watched(connection: AIOKafkaConnection, request: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        answer = send(connection, request, *arguments, **options)
        if type(request).__name__ == "EndTxnRequest":
            trap.spring("commit", "sent")
        return answer

    AIOKafkaConnection.send = watched


async def _run(folder: Path, instance: str) -> None:
    router = TrappedRouter(load(folder), instance)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, router.stop)
    await router.run(lambda _port: print("ready", flush=True))  # noqa: T201 - the parent waits for it


if __name__ == "__main__":
    configure_logs()
    if len(sys.argv) > 3:
        TrappedRouter.trap = Trap(sys.argv[3], sys.argv[4], int(sys.argv[5]), signal.Signals[sys.argv[6]])
        _watch_requests(TrappedRouter.trap)
    asyncio.run(_run(Path(sys.argv[1]), sys.argv[2]))
