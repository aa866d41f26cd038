"""However long an examination takes, the router's event loop goes on.

Here the examination waits, which proves that it is not done by the loop. That the loop turns beside one that computes is
proven by `tests.unit.consumers.test_event_loop`.
"""

import threading
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, cast

import pytest

from axis.consumers.equipment import Equipment
from axis.consumers.examine import Candidate, Examiner
from axis.core.directory import Directory
from axis.ports import Record
from tests.fault.installation import Installation
from tests.fault.judging import assert_both_hold, routed
from tests.fault.oracle import Oracle
from tests.fault.routers import WatchedRouter, routing
from tests.fault.sending import Senders
from tests.waiting import eventually

pytestmark = pytest.mark.kafka

_GIVEN_UP_SECONDS: Final = 30.0


class HeldExaminer:
    """An examiner that does not go on until it is let go, as one with a very large batch."""

    def __init__(self, examiner: Examiner) -> None:
        self._examiner = examiner
        self.begun = threading.Event()
        self.go = threading.Event()
        self.let_go: list[bool] = []

    def examine(self, records: Iterable[Record], directory: Directory) -> list[Candidate]:
        """Examine once let go."""
        self.begun.set()
        self.let_go.append(self.go.wait(_GIVEN_UP_SECONDS))
        return self._examiner.examine(records, directory)

    async def complete(
        self,
        candidates: Sequence[Candidate],
        missing_topics: Callable[[Collection[str]], Awaitable[Collection[str]]],
    ) -> None:
        """As the examiner does."""
        await self._examiner.complete(candidates, missing_topics)


class HeldRouter(WatchedRouter):
    """A router with such an examiner."""

    held: HeldExaminer

    async def _equipment(self, *arguments: Any) -> Equipment:  # noqa: ANN401 - handed on
        equipment = await super()._equipment(*arguments)
        self.held = HeldExaminer(equipment.examiner)
        return replace(equipment, examiner=cast("Examiner", self.held))


async def test_the_event_loop_goes_on_while_submissions_are_examined(
    site: Installation, oracle: Oracle
) -> None:
    """This test shares the router's loop: an examination that occupied it could not be let go by what comes after it."""
    router = HeldRouter(site.settings)
    async with routing(router), Senders.open(site.settings) as senders:
        await senders.publish_batch()
        await eventually(router.held.begun.is_set, "an examination has begun")
        router.held.go.set()
        await routed(oracle)
    assert router.held.let_go
    assert all(router.held.let_go)
    await assert_both_hold(oracle)
