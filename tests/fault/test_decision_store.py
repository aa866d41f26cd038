"""The idempotency store: lost, warm, foreign, damaged."""

import asyncio
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from axis.apps.site import AXIS_NODE
from axis.connection import connect_as
from axis.consumers.kafka import PartitionReader
from axis.consumers.restore import DecisionChangelog
from axis.core.digest import sha256
from axis.core.partitioning import partition_of
from axis.core.topics import ROUTER_STATE
from axis.errors import Unavailable
from axis.ports import PartitionId, Record
from axis.schemas.avro import Decision
from axis.storage.decisions import SqliteDecisions
from tests.configuration import LANE_PARTITIONS
from tests.fault.installation import Installation, ProxiedBroker, impatient
from tests.fault.judging import assert_both_hold, assert_holds, routed
from tests.fault.oracle import Oracle
from tests.fault.proxy import Direction
from tests.fault.routers import RouterChild, WatchedRouter, bury_dead_members, routing
from tests.fault.sending import DIEN_LU, OFFICE, SENDERS, Senders, append_all

pytestmark = pytest.mark.kafka

REBUILT_AT_ONCE: Final = 100
"""As many decisions are stored at most in one step of a rebuild."""


def store(site: Installation, instance: str) -> Path:
    """Return the folder of an instance's decision store."""
    return site.settings.folder / f"router-{instance}"


def indexed(folder: Path, partition: int) -> int:
    """Return up to which position of the changelog a dead router's store knows a partition."""
    with closing(sqlite3.connect(folder / "decisions.db")) as database:
        found = database.execute("SELECT next_offset FROM position WHERE partition = ?", (partition,))
        return int((found.fetchone() or [0])[0])


def lose(folder: Path) -> None:
    """The disk is lost."""
    shutil.rmtree(folder)


def overwrite(folder: Path) -> None:
    """The file is not a database any more."""
    discard_log(folder)
    (folder / "decisions.db").write_bytes(b"not a database" * 1000)


def truncate(folder: Path) -> None:
    """The file ends too early: its first page is there, the rest is not."""
    discard_log(folder)
    path = folder / "decisions.db"
    path.write_bytes(path.read_bytes()[:4096])


def discard_log(folder: Path) -> None:
    """Remove what SQLite would repair the file from."""
    for name in ("decisions.db-wal", "decisions.db-shm"):
        (folder / name).unlink(missing_ok=True)


async def test_a_lost_store_is_rebuilt_and_recognises_old_documents(
    site: Installation, oracle: Oracle
) -> None:
    """After SIGKILL and with the file lost, the changelog has every decision, and copies of old documents stay copies."""
    async with Senders.open(site.settings) as senders:
        documents = await senders.mixture(20)
        async with routing(WatchedRouter(site.settings, "store")):
            await append_all(documents)
            await routed(oracle)
        await senders.publish_batch()
        async with RouterChild(site.settings, "store", "commit", "after", "2") as victim:
            assert await victim.ended() == -signal.SIGKILL
        await bury_dead_members(site.settings)
        lose(store(site, "store"))
        router = WatchedRouter(site.settings, "store")
        async with routing(router):
            await append_all(documents)
            await routed(oracle)
    assert sum(router.watch.restored.values()) >= len(documents)
    assert oracle.copies(*(each.submission.digest for each in documents)) == [2] * len(documents)
    await assert_both_hold(oracle)


async def test_a_store_whose_rebuilding_was_cut_short_is_rebuilt_from_there(
    site: Installation, oracle: Oracle
) -> None:
    """SIGKILL between two steps of a rebuild leaves a true prefix: what is missing is read, and no old document is a new one."""
    task = partition_of(OFFICE, LANE_PARTITIONS)
    async with Senders.open(site.settings, [OFFICE]) as senders:
        documents = [await senders.prepare(OFFICE, (DIEN_LU,)) for _ in range(REBUILT_AT_ONCE + 20)]
        async with routing(WatchedRouter(site.settings, "rebuilt")):
            await append_all(documents)
            await routed(oracle)
        lose(store(site, "rebuilt"))
        await append_all(documents)
        await senders.publish_batch(10)
        async with RouterChild(site.settings, "rebuilt", f"rebuild:apply@{task}", "before", "2") as victim:
            assert await victim.ended() == -signal.SIGKILL
        await bury_dead_members(site.settings)
        assert indexed(store(site, "rebuilt"), task) > 0
        router = WatchedRouter(site.settings, "rebuilt")
        async with routing(router):
            assert router.watch.restored[task] > 0
            await routed(oracle)
    assert oracle.copies(*(each.submission.digest for each in documents)) == [2] * len(documents)
    await assert_both_hold(oracle)


@pytest.mark.parametrize("damage", [overwrite, truncate])
async def test_a_damaged_store_is_not_believed_and_may_be_removed(
    site: Installation, oracle: Oracle, damage: Callable[[Path], None]
) -> None:
    """A router whose file is damaged says so and routes nothing; without the file it goes on as if nothing had been."""
    folder = store(site, damage.__name__)
    async with Senders.open(site.settings) as senders:
        documents = await senders.mixture(10)
        async with routing(WatchedRouter(site.settings, damage.__name__)):
            await append_all(documents)
            await routed(oracle)
        damage(folder)
        with pytest.raises(Unavailable, match="may be removed"):
            async with routing(WatchedRouter(site.settings, damage.__name__)):
                pytest.fail("it believed a damaged file")
        lose(folder)
        await append_all(documents)
        async with routing(WatchedRouter(site.settings, damage.__name__)):
            await routed(oracle)
    await assert_holds(oracle)


async def test_a_warm_restart_reads_only_the_tail_of_the_changelog(
    site: Installation, oracle: Oracle
) -> None:
    """A router that was stopped in order reads nothing again; one that missed a batch reads that batch."""
    async with Senders.open(site.settings) as senders:
        await senders.publish_batch()
        async with routing(WatchedRouter(site.settings, "warm")):
            await routed(oracle)
        again = WatchedRouter(site.settings, "warm")
        async with routing(again):
            assert sum(again.watch.restored.values()) == 0
        async with routing(WatchedRouter(site.settings, "other")):
            await append_all(await senders.mixture(10))
            await routed(oracle)
        late = WatchedRouter(site.settings, "warm")
        async with routing(late):
            assert sum(late.watch.restored.values()) == 10
    await assert_holds(oracle)


async def test_a_store_of_another_installation_is_not_believed(site: Installation, oracle: Oracle) -> None:
    """A file that was made from another changelog is discarded: nothing in it is about these documents."""
    async with Senders.open(site.settings) as senders:
        await senders.publish_batch()
        path = store(site, "foreign") / "decisions.db"
        path.parent.mkdir()
        documents = await senders.mixture(4)
        foreign = SqliteDecisions(path, "another changelog")
        for partition in range(LANE_PARTITIONS):
            foreign.apply(
                partition,
                [
                    (f"{sender}/{each.submission.message_id}", Decision(sha256(b"another document"), b""))
                    for each in documents
                    for sender in SENDERS
                ],
                1,
            )
        foreign.close()
        router = WatchedRouter(site.settings, "foreign")
        async with routing(router):
            await append_all(documents)
            await routed(oracle)
    await assert_holds(oracle)


async def test_a_store_is_not_rebuilt_for_ever(site: Installation, oracle: Oracle, tmp_path: Path) -> None:
    """When no broker answers any more, restoring ends with what may be repeated, and a repetition goes on."""
    assert isinstance(site.broker, ProxiedBroker)
    async with Senders.open(site.settings) as senders, routing(WatchedRouter(site.settings, "silent")):
        await append_all(await senders.mixture(4))
        await routed(oracle)
    decisions = SqliteDecisions(tmp_path / "decisions.db", "a changelog")
    async with PartitionReader(connect_as(AXIS_NODE, impatient(site.proxied).broker, "restore")) as reader:
        changelog = DecisionChangelog(_Interrupted(reader, site.broker))
        [full, *_] = [
            number
            for number in range(LANE_PARTITIONS)
            if await reader.end(PartitionId(ROUTER_STATE, number)) > 0
        ]
        with pytest.raises(Unavailable, match=f"nothing came of {ROUTER_STATE}/{full}"):
            await asyncio.wait_for(changelog.restore(full, decisions), 60)
        site.broker.proxy.release()
        assert await DecisionChangelog(reader).restore(full, decisions) > 0
    decisions.close()


class _Interrupted:
    """A reader whose connection stands still as soon as it knows how much there is to read."""

    def __init__(self, reader: PartitionReader, broker: ProxiedBroker) -> None:
        self._reader = reader
        self._broker = broker
        self.read = reader.read

    async def end(self, place: PartitionId) -> int:
        """Return the end."""
        return await self._reader.end(place)

    async def read_to_end(self, starts: Mapping[PartitionId, int]) -> AsyncIterator[Sequence[Record]]:
        """Read from a broker that is silent."""
        ends = {place: await self.end(place) for place in starts}
        self._broker.proxy.hold(*Direction)
        async for records in self._reader.read_to_end(starts, ends):
            yield records
