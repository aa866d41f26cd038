"""How the two lanes of a router task go side by side: what goes first, what waits, and what holds up nobody."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import pytest
from hypothesis import strategies as st

from axis.core.digest import Digest
from axis.core.disposition import Reason
from axis.core.envelope import Lane, Urgency
from axis.core.retry import RetrySchedule
from axis.errors import OutcomeUnknown, Unavailable
from axis.ports import Append, PartitionId
from axis.testing.bus import MemoryTransaction
from axis.testing.log import outage
from tests.attack.forge import claim
from tests.unit.consumers.ledger import Ledger, lanes, reasons
from tests.unit.consumers.script import (
    Mishap,
    document,
    express,
    handover,
    rival,
    strike,
)
from tests.unit.consumers.town import (
    EXPRESS,
    GROUP,
    NAME,
    OFFICE,
    STANDARD,
    WARD,
    DecidedPieces,
    Site,
    Town,
)

DEADLINE_SECONDS: Final = 30
MIB: Final = 1024 * 1024
CROWD: Final = tuple(f"H56.C{number}" for number in range(40))
_GAPS: Final = st.integers(0, 12)


async def test_express_work_that_arrives_between_two_pieces_goes_first_and_passes_nothing(town: Town) -> None:
    """Both lanes wait, with more than one piece: what arrives after each piece is committed before the backlog is."""
    site = Site(town)
    early = [express(town, OFFICE, WARD) for _ in range(4)]
    late = [express(town, OFFICE, WARD) for _ in range(3)]
    backlog = [document(town, OFFICE, WARD) for _ in range(70)]
    for each in (*early, *backlog):
        site.submit(each.value, each.place)
    waiting = list(late)

    def arrive(moment: str) -> None:
        if moment == "after standard work" and waiting:
            site.submit(waiting.pop(0).value, EXPRESS)

    site.bus.listener = arrive
    await site.route()
    assert lanes(site)[-1] == {STANDARD}
    assert site.inbox(WARD)[:7] == [each.value for each in (*early, *late)]
    Ledger({each.value: each for each in (*early, *late, *backlog)}).judge(site)


async def test_a_flood_of_express_work_does_not_shut_the_standard_lane_out(town: Town) -> None:
    """However much arrives in the express lane, what stands in the standard lane has its turn."""
    site = Site(town)
    flood = [express(town, OFFICE, WARD) for _ in range(8)]
    letter = document(town, OFFICE, WARD)
    site.submit(letter.value)
    waiting = list(flood)

    class Slow(MemoryTransaction):
        async def commit(self) -> None:
            """Commit when more express work lies examined."""
            if waiting:
                site.submit(waiting.pop(0).value, EXPRESS)
            for _ in range(50):
                await asyncio.sleep(0)
            await super().commit()

    def arrive(moment: str) -> None:
        if moment == "before rewind":
            site.submit(waiting.pop(0).value, EXPRESS)

    site.bus.listener = arrive
    site.new_transaction = lambda lane: Slow(site.bus, f"{NAME}-{lane}", GROUP)
    await site.route()
    assert site.inbox(WARD).index(letter.value) <= 2
    Ledger({each.value: each for each in (*flood, letter)}).judge(site)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("mishap", [None, Mishap.OUTAGE, Mishap.KILL, Mishap.KILL_AND_LOSE_DISK])
async def test_a_copy_in_the_wrong_lane_of_a_pending_document_gets_no_uncommitted_receipt(
    town: Town, mishap: Mishap | None
) -> None:
    """It is refused for its lane before the document is decided, while that is pending, and when it is committed."""
    site = Site(town)
    letter, other = document(town, OFFICE, WARD), document(town, OFFICE, WARD)
    for each in (letter, *[other] * 9):
        site.submit(each.value)
    site.submit(letter.value, EXPRESS)
    copies = [1, 1]

    def copy_then_strike(moment: str) -> None:
        if len(copies) == 2 and moment == "after standard work":
            copies.pop()
        elif len(copies) == 1 and moment == "after standard work":
            # Examined and decided: the first piece is pending.
            copies.pop()
            site.submit(letter.value, EXPRESS)
        elif not copies and moment == "after express work" and mishap is not None:
            copies.extend([0, 0, 0])
            strike(mishap, site, moment)

    site.bus.listener = copy_then_strike
    await site.route()
    site.submit(letter.value, EXPRESS)
    await site.route()
    Ledger({each.value: each for each in (letter, other)}).judge(site)
    assert [each for each in reasons(site) if each is not None] == [Reason.WRONG_LANE] * 3


@pytest.mark.usefixtures("small_pieces")
async def test_a_rival_that_goes_between_two_pieces_finds_its_message_id_taken(town: Town) -> None:
    """It waits until the document that has it is committed, so that its refusal is true whatever happens."""
    site = Site(town)
    letter, *others = [document(town, OFFICE, WARD) for _ in range(9)]
    urgent = rival(town, letter, Urgency.FLASH)
    for each in (letter, *others):
        site.submit(each.value)
    decisions = DecidedPieces(site.town.decider(site.decisions), lambda: site.submit(urgent.value, EXPRESS))
    site.changes["decider"] = decisions
    await site.route()
    Ledger({each.value: each for each in (letter, *others, urgent)}).judge(site)
    assert lanes(site) == [{STANDARD}, {EXPRESS}]
    assert reasons(site) == [*[None] * 9, Reason.MESSAGE_ID_CONFLICT]


class OneCommit(MemoryTransaction):
    """A transaction of a lane; the first commit of the standard one takes a while, in which something happens."""

    def __init__(self, site: Site, lane: Lane, meanwhile: Callable[[], None]) -> None:
        super().__init__(site.bus, f"{NAME}-{lane}", GROUP)
        self._meanwhile = meanwhile if lane is Lane.STANDARD else None

    async def commit(self) -> None:
        """Commit what was appended."""
        if self._meanwhile is not None:
            self._meanwhile()
            for _ in range(300):
                await asyncio.sleep(0)
        await super().commit()


@pytest.mark.parametrize("number", [0, 1])
async def test_what_is_decided_and_not_committed_is_not_decided_again(town: Town, number: int) -> None:
    """A rival, or a hand-over, that comes in the other lane during the commit waits until it is remembered, at rest."""
    site = Site(town, batch_records=1)
    earlier, letter = document(town, OFFICE, WARD), document(town, OFFICE, WARD)
    later = (rival(town, letter, Urgency.FLASH), handover(town, letter, WARD))[number]
    site.submit(earlier.value)
    site.submit(letter.value)
    commits: list[None] = []
    works: list[str] = []

    def submit() -> None:
        commits.append(None)
        if len(commits) == 2:
            site.submit(later.value, EXPRESS)

    site.bus.listener = works.append
    site.new_transaction = lambda lane: OneCommit(site, lane, submit)
    await site.route()
    Ledger({each.value: each for each in (earlier, letter, later)}).judge(site)
    assert lanes(site) == [{STANDARD}, {STANDARD}, {EXPRESS}]
    assert works.count("before express work") < 8


async def test_a_task_that_ends_in_order_leaves_nothing_to_read_again(town: Town) -> None:
    """Lanes that are remembered at the same time each spare what the other one has in hand: the position stays back till the end."""
    site = Site(town)
    for each, place in ((document(town, OFFICE, WARD), STANDARD), (express(town, OFFICE, WARD), EXPRESS)):
        site.submit(each.value, place)
    together = asyncio.Barrier(2)

    class Meeting(MemoryTransaction):
        async def commit(self) -> None:
            await together.wait()
            await super().commit()

    site.new_transaction = lambda lane: Meeting(site.bus, f"{NAME}-{lane}", GROUP)
    await site.route()
    assert site.notes.failures == []
    assert len(site.notes.judgements) == 2
    site.new_transaction = lambda lane: MemoryTransaction(site.bus, f"{NAME}-{lane}", GROUP)
    await site.route()
    assert site.notes.restored == [0, 0]


async def test_of_two_failures_the_one_of_unknown_outcome_is_told(town: Town) -> None:
    """An operator who reads that a transaction was aborted believes that nobody has seen any of it."""
    site = Site(town)
    for each, place in ((document(town, OFFICE, WARD), STANDARD), (express(town, OFFICE, WARD), EXPRESS)):
        site.submit(each.value, place)
    committing, cut = asyncio.Event(), asyncio.Event()

    class Failing(MemoryTransaction):
        async def append(self, appends: Sequence[Append]) -> Mapping[PartitionId, int]:
            if self._name.endswith(Lane.EXPRESS) and not cut.is_set():
                await committing.wait()
                cut.set()
                raise Unavailable("cut", fault="unreachable")
            return await super().append(appends)

        async def commit(self) -> None:
            await super().commit()
            if self._name.endswith(Lane.STANDARD) and not committing.is_set():
                committing.set()
                await cut.wait()
                raise OutcomeUnknown("lost", fault="timeout")

    site.new_transaction = lambda lane: Failing(site.bus, f"{NAME}-{lane}", GROUP)
    await site.route()
    assert [type(each) for each in site.notes.failures] == [OutcomeUnknown]


async def test_the_next_batch_is_examined_while_one_is_committed(town: Town) -> None:
    """Neither waits for the other; a batch further ahead is not taken, so that memory stays bounded."""
    site = Site(town, batch_records=2)
    letters = [document(town, OFFICE, WARD) for _ in range(6)]
    for each in letters:
        site.submit(each.value)
    moments: list[str] = []
    ahead: list[set[int]] = []

    class Patient(MemoryTransaction):
        async def commit(self) -> None:
            moments.clear()
            for _ in range(200):
                await asyncio.sleep(0)
            ahead.append({offset for _, offset in site.notes.in_hand})
            await super().commit()

    def listen(moment: str) -> None:
        moments.append(moment)
        if moment == "before commit" and len(ahead) == 1:
            assert "after standard work" in moments

    site.bus.listener = listen
    site.new_transaction = lambda lane: Patient(site.bus, f"{NAME}-{lane}", GROUP)
    await site.route()
    assert ahead == [{0, 1, 2, 3}, {2, 3, 4, 5}, {4, 5}]
    Ledger({each.value: each for each in letters}).judge(site)


async def test_a_lane_that_cannot_be_examined_does_not_hold_up_the_other(town: Town) -> None:
    """While the blob store is away, what needs it waits, and express work without large parts goes through."""
    site = Site(town)
    heavy, urgent = (
        document(town, OFFICE, WARD, parts=[claim(b"a map")]),
        [express(town, OFFICE, WARD) for _ in range(3)],
    )
    site.submit(heavy.value)
    waiting = [*urgent]

    class Away:
        """A blob store that answers once all express work is delivered."""

        async def size(self, digest: Digest) -> int | None:
            del digest
            await asyncio.sleep(0)
            if waiting:
                site.submit(waiting.pop(0).value, EXPRESS)
            if len(site.inbox(WARD)) < len(urgent):
                raise Unavailable("the blob store does not answer")
            return 5

    site.changes["examiner"] = town.examiner(Away())  # type: ignore[arg-type] # the one call that is made
    site.changes["retry"] = RetrySchedule(0.001, 0.001)
    await site.route()
    assert site.notes.failures == []
    assert site.inbox(WARD) == [*(each.value for each in urgent), heavy.value]


async def test_an_outage_that_lasts_gives_the_incarnation_up(town: Town) -> None:
    """It may be the connection of this incarnation alone."""
    site = Site(town)
    site.submit(document(town, OFFICE, WARD).value)

    class Cut(MemoryTransaction):
        async def missing_topics(self, topics: Collection[str]) -> Collection[str]:
            if site.notes.failures:
                return await super().missing_topics(topics)
            raise outage("before missing_topics")

    site.new_transaction = lambda lane: Cut(site.bus, f"{NAME}-{lane}", GROUP)
    await site.route()
    assert len(site.notes.failures) == 1
    assert len(site.inbox(WARD)) == 1


async def test_a_transaction_in_hand_is_finished_when_an_examination_fails(town: Town) -> None:
    """It is committed and counted, not left to an unknown outcome."""
    site = Site(town, batch_records=1)
    letters = [document(town, OFFICE, WARD) for _ in range(2)]
    for each in letters:
        site.submit(each.value)
    committing = asyncio.Event()

    class Slow(MemoryTransaction):
        async def missing_topics(self, topics: Collection[str]) -> Collection[str]:
            if committing.is_set() and not site.notes.failures:
                raise outage("before missing_topics")
            return await super().missing_topics(topics)

        async def commit(self) -> None:
            committing.set()
            for _ in range(200):
                await asyncio.sleep(0)
            await super().commit()

    site.new_transaction = lambda lane: Slow(site.bus, f"{NAME}-{lane}", GROUP)
    await site.route()
    assert len(site.notes.failures) == 1
    assert len(site.notes.judgements) == 2
    Ledger({each.value: each for each in letters}).judge(site)
