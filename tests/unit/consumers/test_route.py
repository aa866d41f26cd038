"""The router's loop against a simple model: arrivals, piece boundaries and mishaps at every moment of its calls."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, repeat
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axis.consumers import lane
from axis.core.disposition import Reason
from axis.core.envelope import Lane, Urgency
from axis.core.retry import RetrySchedule
from axis.core.topics import RECEIPTS
from axis.ports import DecisionStore, PartitionId, Record
from axis.schemas.avro import Decision
from axis.testing.bus import MemoryGroupReader, MemoryTransaction
from axis.testing.log import deaf, outage
from tests.attack.forge import part
from tests.unit.consumers.ledger import Ledger, reasons, routed
from tests.unit.consumers.script import (
    Mishap,
    Variety,
    at,
    document,
    express,
    garbage,
    handover,
    play,
    rival,
)
from tests.unit.consumers.town import (
    EXPRESS,
    GROUP,
    NAME,
    OFFICE,
    OTHER_WARD,
    STANDARD,
    STRANGER,
    WARD,
    DecidedPieces,
    Site,
    Town,
    found_town,
)

DEADLINE_SECONDS: Final = 30
MIB: Final = 1024 * 1024
CROWD: Final = tuple(f"H56.C{number}" for number in range(40))
_GAPS: Final = st.integers(0, 12)


@pytest.fixture(scope="session")
def varied(town: Town) -> Variety:
    """The same arrivals for every example, because signing costs most."""
    return Variety(town)


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    """One loop for all examples."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """A town with many recipients."""
    return found_town(tmp_path_factory.mktemp("crowded"), CROWD)


@settings(max_examples=100)
@given(
    arrivals=st.lists(st.tuples(_GAPS, st.integers(0, 10_000)), max_size=30),
    mishaps=st.lists(st.tuples(st.integers(1, 40), st.sampled_from(Mishap)), max_size=4),
    sizes=st.lists(st.integers(1, 8), max_size=8),
    batch_records=st.integers(1, 12),
)
def test_whatever_arrives_and_strikes_all_is_answered_once_and_in_order(
    town: Town,
    varied: Variety,
    runner: asyncio.Runner,
    arrivals: list[tuple[int, int]],
    mishaps: list[tuple[int, Mishap]],
    sizes: list[int],
    batch_records: int,
) -> None:
    """Each commit holds the effects of exactly those submissions that its positions go past, in their order."""
    moments = accumulate(gap for gap, _ in arrivals)
    chosen = [(moment, varied[each]) for moment, (_, each) in zip(moments, arrivals, strict=True)]
    strikes = accumulate(gap for gap, _ in mishaps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lane, "_PIECE_RECORDS", 3)
        patch.setattr(lane, "_EXPRESS_RECORDS", 2)
        runner.run(
            play(
                town,
                chosen,
                zip(strikes, [mishap for _, mishap in mishaps], strict=True),
                sizes=chain(sizes, repeat(1000)),
                batch_records=batch_records,
            )
        )


def makes_a_difference(mishap: Mishap, moment: str) -> bool:
    """Tell whether a mishap at a moment is another one than at the moment before."""
    match mishap:
        case Mishap.OUTAGE:
            return True
        case Mishap.LATE_COMMIT:
            return moment == "before commit"
        case _:
            # But for what the call raises, before one call is after the one before it.
            return not moment.startswith("before")


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("mishap", Mishap)
async def test_a_mishap_at_any_moment_of_any_call_loses_and_doubles_nothing(
    town: Town, mishap: Mishap
) -> None:
    """Both lanes in hand, more of the express lane arriving between two pieces: whichever moment, the model holds."""
    first = document(town, OFFICE, WARD, OTHER_WARD)
    urgent = express(town, WARD, OTHER_WARD)
    story = [
        *at(0, express(town, OFFICE, WARD), urgent, first, first, document(town, WARD, OFFICE)),
        *at(0, handover(town, first, WARD), garbage(1), rival(town, first, Urgency.NORMAL)),
        (0, (first, EXPRESS)),
        *at(18, express(town, OFFICE, WARD), express(town, OFFICE, WARD), urgent),
        *at(30, document(town, OFFICE, WARD), express(town, OFFICE, WARD)),
    ]
    site, script = await play(town, story)
    assert site.notes.failures == []
    for moment, name in enumerate(script.moments, 1):
        if makes_a_difference(mishap, name):
            await play(town, story, [(moment, mishap)])


@pytest.mark.parametrize("known", [False, True])
async def test_a_copy_in_the_wrong_partition_is_refused_whatever_the_store_holds(
    town: Town, known: bool
) -> None:
    """A process that has the right partition too answers it as one that does not."""
    site = Site(town)
    stray = document(town, STRANGER, WARD)
    if known:
        site.decisions.apply(1, [(stray.key, Decision(stray.digest, b"the receipt of partition 1"))], 1)
    site.submit(stray.value)
    await site.route()
    assert reasons(site) == [Reason.WRONG_PARTITION]
    assert site.inbox(WARD) == []
    assert site.inbox(STRANGER) == [record.value for record in site.bus.records(RECEIPTS)]


@pytest.mark.parametrize("step", ["open", "restore"])
async def test_a_task_that_waits_to_be_opened_can_be_stopped(town: Town, step: str) -> None:
    """Neither a broker that does not answer nor a long history holds up a shutdown or a rebalance."""
    site = Site(town)
    reached = asyncio.Event()

    class Waiting(MemoryTransaction):
        async def open(self) -> None:
            await super().open()
            if step == "open":
                await for_ever()

    class LongHistory:
        async def restore(self, partition: int, decisions: DecisionStore) -> int:
            del partition, decisions
            return await for_ever()

    async def for_ever() -> int:
        reached.set()
        await asyncio.Event().wait()
        return 0

    site.new_transaction = lambda lane: Waiting(site.bus, f"{NAME}-{lane}", GROUP)
    site.changes["changelog"] = LongHistory()
    running = asyncio.create_task(site.new_task().run())
    async with asyncio.timeout(DEADLINE_SECONDS):
        await reached.wait()
        site.task.stop()
        await running
    assert site.notes.restored == []


@pytest.mark.parametrize(("moment", "committed"), [("before standard work", 0), ("before begin", 2)])
async def test_a_stopped_task_finishes_its_transaction_and_leaves_the_rest(
    town: Town, moment: str, committed: int
) -> None:
    """What was only examined, or not taken yet, is left to the next one."""
    site = Site(town, batch_records=2)
    letters = [document(town, OFFICE, WARD) for _ in range(3)]
    for each in letters:
        site.submit(each.value)

    def stop(reached: str) -> None:
        if reached == moment:
            site.task.stop()

    site.bus.listener = stop
    await site.route()
    assert site.inbox(WARD) == [each.value for each in letters[:committed]]
    assert site.bus.position(GROUP, STANDARD) == committed
    site.bus.listener = deaf
    await site.route()
    Ledger({each.value: each for each in letters}).judge(site)


@pytest.mark.usefixtures("small_pieces")
async def test_a_stop_is_looked_at_between_two_pieces(town: Town) -> None:
    """What is decided is committed: a rebalance does not wait for the rest of a large batch."""
    site = Site(town)
    letters = [document(town, OFFICE, WARD) for _ in range(9)]
    for each in letters:
        site.submit(each.value)

    def stop() -> None:
        site.task.stop()

    site.changes["decider"] = DecidedPieces(town.decider(site.decisions), stop)
    await site.route()
    assert site.inbox(WARD) == [each.value for each in letters[:3]]
    assert site.bus.position(GROUP, STANDARD) == 3


async def test_a_stop_ends_the_wait_for_work(town: Town) -> None:
    """A rebalance waits for the task, and what the task waits for may come after the rebalance only."""
    site = Site(town)
    reached = asyncio.Event()

    class Rebalancing(MemoryGroupReader):
        async def take(self, place: PartitionId, limit: int, wait_seconds: float) -> Sequence[Record]:
            del place, limit
            if wait_seconds:
                reached.set()
                await asyncio.Event().wait()
            return ()

    site.changes["submissions"] = Rebalancing(site.bus, GROUP, (EXPRESS, STANDARD))
    running = asyncio.create_task(site.new_task().run())
    async with asyncio.timeout(DEADLINE_SECONDS):
        await reached.wait()
        site.task.stop()
        await running


async def test_a_task_without_its_partitions_opens_nothing(town: Town) -> None:
    """It would fence the task that has them now, also when it lost them through the failure that it waits out."""
    site = Site(town)
    opened: list[MemoryTransaction] = []

    def make(lane: Lane) -> MemoryTransaction:
        opened.append(MemoryTransaction(site.bus, f"{NAME}-{lane}", GROUP))
        return opened[-1]

    def lose(moment: str) -> None:
        if moment == "before rewind":
            site.submissions.assign([EXPRESS])
            raise outage(moment)

    site.new_transaction, site.bus.listener = make, lose
    await site.route()
    assert len(opened) == len(Lane)
    assert len(site.notes.failures) == 1


@pytest.mark.parametrize("urgency", [Urgency.NORMAL, Urgency.FLASH])
@pytest.mark.parametrize(("records", "parts"), [(32, 15), (100, 1)])
async def test_what_one_transaction_writes_is_bounded(
    crowded: Town, urgency: Urgency, records: int, parts: int
) -> None:
    """Records of nearly 1 MiB, or many small ones, to 40 recipients: a limit, and at most one record's copies over it."""
    site = Site(crowded)
    content = bytes(64 * 1024)
    carried = [part(f"{number}.bin", content) for number in range(parts)]
    letters = [document(crowded, OFFICE, *CROWD, parts=carried, urgency=urgency) for _ in range(records)]
    for each in letters:
        site.submit(each.value, each.place)
    await site.route()
    sizes = [sum(len(each.value or b"") for each in commit.records) for commit in routed(site)]
    one = len(CROWD) * len(letters[0].value) + 64 * 1024
    assert max(sizes) < 32 * MIB + one
    assert len(sizes) <= 2 * sum(sizes) / (32 * MIB) + 1, (
        "a transaction costs nearly the same whatever it holds"
    )
    Ledger({each.value: each for each in letters}).judge(site)


async def test_delays_grow_until_something_is_committed(town: Town) -> None:
    """A broker that is away is asked ever less often; once a batch went through, the next failure is a first one."""
    site = Site(town)
    site.changes["retry"] = RetrySchedule(0.001, 1.0)
    letters = [document(town, OFFICE, WARD) for _ in range(2)]
    site.submit(letters[0].value)
    faults = ["before begin", "before begin", "after commit", "before begin"]

    def strike(moment: str) -> None:
        if moment == "after commit" and faults[:1] == ["after commit"]:
            faults.pop(0)
            site.submit(letters[1].value)
        elif faults[:1] == [moment]:
            faults.pop(0)
            raise outage(moment)

    site.bus.listener = strike
    await site.route()
    assert site.notes.retries == [0.001, 0.002, 0.001]
    Ledger({each.value: each for each in letters}).judge(site)
