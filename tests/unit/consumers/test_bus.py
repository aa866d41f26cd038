"""The bus in memory keeps what the ports promise, so that what passes on it is not passed by a lenient double."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from axis.errors import IllegalTransition, OutcomeUnknown, Unavailable
from axis.ports import Append, PartitionId
from axis.testing.bus import MemoryGroupReader, MemoryReader, MemoryTransaction, MemoryWriter
from axis.testing.clock import SettableClock
from axis.testing.log import Faults, MemoryBus

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
IN, OUT = PartitionId("in", 0), PartitionId("out", 1)
DEADLINE_SECONDS = 30


def to(place: PartitionId, value: bytes) -> Append:
    """A record to be written."""
    return Append(place.topic, place.partition, b"key", value)


def values(bus: MemoryBus, place: PartitionId = OUT) -> list[bytes | None]:
    """What committed readers see."""
    return [record.value for record in bus.visible(place)]


@pytest.fixture
def bus() -> MemoryBus:
    """Two topics."""
    return MemoryBus(SettableClock(NOW), {"in": 1, "out": 2})


async def opened(bus: MemoryBus, name: str = "task") -> MemoryTransaction:
    """A transaction object that is ready."""
    transaction = MemoryTransaction(bus, name, "group")
    await transaction.open()
    return transaction


async def test_a_commit_shows_records_and_positions_at_once(bus: MemoryBus) -> None:
    """Nothing of it is seen before, all of it after."""
    transaction = await opened(bus)
    await transaction.begin()
    assert await transaction.append([to(OUT, b"a"), to(IN, b"x"), to(OUT, b"b")]) == {OUT: 2, IN: 1}
    await transaction.advance({IN: 7})
    assert (values(bus), values(bus, IN), bus.position("group", IN)) == ([], [], 0)
    await transaction.commit()
    assert (values(bus), values(bus, IN), bus.position("group", IN)) == ([b"a", b"b"], [b"x"], 7)
    assert [each.value for each in bus.commits[0].records] == [b"a", b"x", b"b"]


async def test_what_is_undone_shows_nothing_and_leaves_a_gap(bus: MemoryBus) -> None:
    """Offsets that were given are gone, and the markers take one each."""
    transaction = await opened(bus)
    await transaction.begin()
    await transaction.append([to(OUT, b"a")])
    await transaction.advance({IN: 7})
    await opened(bus)
    assert (values(bus), bus.position("group", IN), bus.end(OUT)) == ([], 0, 2)
    assert bus.append(to(OUT, b"b")).offset == 2


async def test_readers_stop_before_an_open_transaction(bus: MemoryBus) -> None:
    """What others wrote behind it is held up until it has ended."""
    transaction = await opened(bus)
    await transaction.begin()
    await transaction.append([to(OUT, b"a")])
    await MemoryWriter(bus).append(to(OUT, b"b"))
    assert values(bus) == []
    await transaction.commit()
    assert values(bus) == [b"a", b"b"]


async def test_a_later_incarnation_undoes_and_fences_an_earlier_one(bus: MemoryBus) -> None:
    """The earlier one can do nothing any more, not even inside a transaction of the later one."""
    earlier = await opened(bus)
    await earlier.begin()
    await earlier.append([to(OUT, b"a")])
    later = await opened(bus)
    await later.begin()
    with pytest.raises(Unavailable) as failure:
        await earlier.commit()
    assert failure.value.fault == "fenced"
    await later.append([to(OUT, b"b")])
    await later.commit()
    assert values(bus) == [b"b"]


async def test_names_do_not_fence_each_other(bus: MemoryBus) -> None:
    """Each task has a transactional id of its own."""
    first, second = await opened(bus, "1"), await opened(bus, "2")
    for each in (first, second):
        await each.begin()
        await each.append([to(OUT, b"a")])
    await second.commit()
    await first.commit()
    assert values(bus) == [b"a", b"a"]


Step = Callable[[MemoryTransaction], Awaitable[object]]
STEPS: dict[str, Step] = {
    "missing_topics": lambda each: each.missing_topics(["in", "other"]),
    "begin": lambda each: each.begin(),
    "append": lambda each: each.append([to(OUT, b"a"), to(OUT, b"b")]),
    "advance": lambda each: each.advance({IN: 1}),
    "commit": lambda each: each.commit(),
}


@pytest.mark.parametrize("at", [0, 1, *range(4, 13)])
async def test_a_failure_at_any_moment_is_told_and_the_object_is_used_up(bus: MemoryBus, at: int) -> None:
    """After it nothing can be written or committed; the effect is whole or undone by the next incarnation, as the position tells."""
    transaction = MemoryTransaction(bus, "task", "group")
    faults = bus.listener = Faults(at)

    async def play() -> None:
        await transaction.open()
        for step in STEPS.values():
            await step(transaction)

    with pytest.raises(Unavailable) as failure:
        await play()
    assert isinstance(failure.value, OutcomeUnknown) is faults.moments[at].endswith("commit")
    for name, step in STEPS.items():
        if name != "missing_topics" or at == 0:
            with pytest.raises(IllegalTransition):
                await step(transaction)
    await transaction.close()
    await opened(bus)
    assert (values(bus), bus.position("group", IN)) == (([b"a", b"b"], 1) if at == 12 else ([], 0))


async def test_asking_for_topics_stands_beside_the_transaction(bus: MemoryBus) -> None:
    """It may fail, or be asked after a failure, and nothing comes of it; once the object is closed it is not asked."""
    transaction = await opened(bus)
    ask = STEPS["missing_topics"]
    bus.listener = Faults(0)
    with pytest.raises(Unavailable):
        await ask(transaction)
    await transaction.begin()
    bus.listener = Faults(0)
    with pytest.raises(Unavailable):
        await transaction.advance({IN: 1})
    assert await ask(transaction) == {"other"}
    await transaction.close()
    with pytest.raises(IllegalTransition):
        await ask(transaction)


async def test_each_moment_is_told(bus: MemoryBus) -> None:
    """Without a moment to fail at, the moments are counted alone."""
    faults = bus.listener = Faults()
    transaction = await opened(bus)
    for step in STEPS.values():
        await step(transaction)
    told = [f"{when} {name}" for name in ("open", *STEPS) for when in ("before", "after")]
    told.insert(told.index("after append"), "within append")
    assert faults.moments == told


@pytest.mark.parametrize("name", ["append", "advance", "commit"])
async def test_a_step_outside_a_transaction_is_our_own_fault(bus: MemoryBus, name: str) -> None:
    """A use case that forgets `begin` is told so."""
    with pytest.raises(IllegalTransition):
        await STEPS[name](await opened(bus))


async def test_a_transaction_is_opened_once_and_begun_once(bus: MemoryBus) -> None:
    """One object is one incarnation."""
    with pytest.raises(IllegalTransition):
        await MemoryTransaction(bus, "task", "group").begin()
    with pytest.raises(IllegalTransition):
        await (await opened(bus)).open()
    transaction = await opened(bus)
    await transaction.begin()
    with pytest.raises(IllegalTransition):
        await transaction.begin()


async def test_topics_that_are_missing_are_told_and_cannot_be_written_to(bus: MemoryBus) -> None:
    """Nothing creates a topic by writing to it."""
    assert await (await opened(bus)).missing_topics(["in", "other"]) == {"other"}
    with pytest.raises(Unavailable):
        await MemoryWriter(bus).append(Append("other", 0, b"", b""))
    bus.create("other", 1)
    assert await MemoryWriter(bus).append(Append("other", 0, b"", b"")) == 0


async def test_a_reader_reads_to_the_end_and_over_gaps(bus: MemoryBus) -> None:
    """From the given positions on; the end is behind the last marker, which nobody is handed."""
    undone = await opened(bus)
    await undone.begin()
    await undone.append([to(OUT, b"0")])
    transaction = await opened(bus)
    for number in (1, 2):
        await transaction.begin()
        await transaction.append([to(OUT, b"%d" % number)])
        await transaction.commit()
    reader = MemoryReader(bus)
    assert await reader.end(OUT) == 6
    read = [record.value async for batch in reader.read_to_end({OUT: 0}) for record in batch]
    assert read == [b"1", b"2"]
    assert [batch async for batch in reader.read_to_end({OUT: 5})] == []


async def test_a_member_takes_from_committed_positions_what_it_is_given(bus: MemoryBus) -> None:
    """Nothing flows before `rewind`, nothing after `pause` or without the partition; then it begins where it was committed."""
    for value in (b"a", b"b", b"c"):
        bus.append(to(IN, value))
    reader = MemoryGroupReader(bus, "group", [IN])
    assert await reader.take(IN, 9, 0) == []
    assert await reader.rewind([IN]) == {IN: 0}
    assert [each.value for each in await reader.take(IN, 2, 0)] == [b"a", b"b"]
    reader.pause([IN])
    assert await reader.take(IN, 9, 0) == []
    transaction = await opened(bus)
    await transaction.begin()
    await transaction.advance({IN: 1})
    await transaction.commit()
    assert await reader.rewind([IN]) == {IN: 1}
    assert [each.value for each in await reader.take(IN, 9, 0)] == [b"b", b"c"]
    reader.assign([])
    assert not reader.owns([IN])
    assert await reader.take(IN, 9, 0) == ()


async def test_a_member_that_waits_is_woken_by_what_comes(bus: MemoryBus) -> None:
    """It need not wait until the time is up."""
    reader = MemoryGroupReader(bus, "group", [IN])
    await reader.rewind([IN])
    async with asyncio.timeout(DEADLINE_SECONDS):
        taking = asyncio.create_task(reader.take(IN, 9, 10 * DEADLINE_SECONDS))
        await asyncio.sleep(0)
        bus.append(to(IN, b"a"))
        assert [each.value for each in await taking] == [b"a"]


def test_the_clock_stands_until_it_is_set() -> None:
    """It tells UTC whatever zone it was set in, and refuses a moment without one."""
    clock = SettableClock(NOW.astimezone(timezone(timedelta(hours=7))))
    assert (clock.now(), clock.now().tzinfo) == (NOW, UTC)
    clock.pass_by(timedelta(minutes=5))
    assert clock.now() == NOW + timedelta(minutes=5)
    clock.set(NOW)
    assert clock.now() == NOW
    with pytest.raises(ValueError, match="zone"):
        clock.set(NOW.replace(tzinfo=None))


async def test_records_carry_the_time_of_their_append() -> None:
    """All topics use the broker's time."""
    clock = SettableClock(NOW)
    bus = MemoryBus(clock, {"in": 1})
    bus.append(to(IN, b"a"))
    clock.pass_by(timedelta(hours=1))
    bus.append(to(IN, b"b"))
    assert [each.appended_at for each in bus.records("in")] == [NOW, NOW + timedelta(hours=1)]
