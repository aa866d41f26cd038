"""Examining computes for long; the event loop turns meanwhile, again and again."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from axis.apps.workbench import PriorityWorkbench
from axis.consumers.equipment import Turn
from axis.consumers.examine import Examiner
from axis.consumers.verify import VerifiedEnvelope, VerifiedReceipt, Verifier
from axis.core.directory import Directory
from axis.core.policy import AcceptancePolicy
from axis.ports import Record
from axis.schemas import avro
from axis.storage.blobs import open_store
from tests.attack.forge import ENVIRONMENT, part
from tests.unit.consumers.town import LANE_PARTITIONS, NOW, OFFICE, STANDARD, WARD, Town

ENVELOPES: Final = 80
LEAST: Final = ENVELOPES // 20
"""During so many examinations at least the loop must turn: on an idle machine it does in nearly all, on one core in half."""


class Turns:
    """Counts how often the event loop turns."""

    count = 0

    async def go_on(self) -> None:
        """Turn until cancelled."""
        while True:
            self.count += 1
            await asyncio.sleep(0)


class WatchingVerifier(Verifier):
    """Notes how often the loop turned during each verification."""

    def __init__(self, verifier: Verifier, turns: Turns) -> None:
        super().__init__(verifier._certificates, AcceptancePolicy())
        self._turns = turns
        self.during: list[int] = []

    def verify(
        self, value: bytes | None, directory: Directory, at: datetime, *, as_signed: bool = False
    ) -> VerifiedEnvelope | VerifiedReceipt:
        """Verify a record value."""
        before = self._turns.count
        try:
            return super().verify(value, directory, at, as_signed=as_signed)
        finally:
            self.during.append(self._turns.count - before)


def large_records(town: Town) -> Iterator[Record]:
    """Yield submissions of as many large parts as a record holds, none like another."""
    policy = AcceptancePolicy()
    for number in range(ENVELOPES):
        parts = [
            part(f"phu-luc-{each}.pdf", (100 * number + each).to_bytes(8) * (policy.max_inline_bytes // 8))
            for each in range(12)
        ]
        value = avro.encode_envelope(town.letter(OFFICE, WARD, parts=parts))
        yield Record(STANDARD.topic, STANDARD.partition, number, NOW, b"sender", value)


async def test_the_event_loop_turns_while_envelopes_are_verified(town: Town) -> None:
    """One piece of work that is nothing but computing: between its begin and its end the loop goes round, again and again.

    That it is not done on the loop's thread would not suffice: a thread that keeps the interpreter stops the loop as well.
    """
    turns = Turns()
    verifier = WatchingVerifier(town.verifier, turns)
    examiner = Examiner(
        environment=ENVIRONMENT,
        verifier=verifier,
        blobs=open_store("memory:", Path()),
        lane_partitions=LANE_PARTITIONS,
    )
    work = partial(examiner.examine, list(large_records(town)), town.directory)
    turning = asyncio.create_task(turns.go_on())
    with PriorityWorkbench() as bench:
        candidates = await bench.run(Turn.EXAMINATION, work)
    turning.cancel()
    await asyncio.gather(turning, return_exceptions=True)
    assert sum(count > 0 for count in verifier.during) >= LEAST
    assert [each.fault for each in candidates] == [None] * ENVELOPES
