"""What a publisher sends again: out of its journal, the same bytes, and nothing that the journal does not have."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from axis.clock import SystemClock
from axis.core.consignment import State
from axis.errors import OutcomeUnknown, Unavailable
from axis.ports import Append
from axis.producers.publish import Publisher
from axis.storage.blobs import open_store
from axis.storage.journal import Journal
from tests.unit.producers.publishing import DRAFT, publisher_of
from tests.unit.storage.full_disk import full_disk


@dataclass(slots=True)
class Lane:
    """A submission lane that does not answer as often as it is told to."""

    silent: int
    appended: list[Append] = field(default_factory=list)

    async def append(self, append: Append) -> int:
        """Keep the record; answer only when the silence is over."""
        self.appended.append(append)
        if len(self.appended) <= self.silent:
            raise OutcomeUnknown("no answer")
        return len(self.appended)


def publisher(journal: Journal, lane: Lane, tmp_path: Path, deadline_seconds: float) -> Publisher:
    """A publisher that writes into this lane; time passes for it, so that what is signed again differs."""
    blobs = open_store("memory:", tmp_path)
    return publisher_of("H56", journal, blobs, lane, clock=SystemClock(), deadline_seconds=deadline_seconds)


async def test_an_unknown_outcome_is_repeated_with_the_same_bytes(journal: Journal, tmp_path: Path) -> None:
    """However often no answer came, it is one message id and one record value."""
    lane = Lane(silent=3)
    acknowledged = await publisher(journal, lane, tmp_path, 60.0).publish(DRAFT)
    assert acknowledged.attempts == 4
    assert len({each.value for each in lane.appended}) == 1
    assert [each.state for each in journal.submissions()] == [State.SUBMITTED]


async def test_what_was_given_up_is_resumed_with_the_same_bytes(journal: Journal, tmp_path: Path) -> None:
    """After the deadline the submission is kept, and going on later sends what was signed then."""
    lane = Lane(silent=1)
    with pytest.raises(OutcomeUnknown, match="it is kept"):
        await publisher(journal, lane, tmp_path, 0.0).publish(DRAFT)
    assert [each.state for each in journal.submissions()] == [State.STORED]
    (resumed,) = await publisher(journal, lane, tmp_path, 60.0).resume()
    assert [each.value for each in lane.appended] == [resumed.submission.value] * 2
    assert await publisher(journal, lane, tmp_path, 60.0).resume() == []


async def test_nothing_is_sent_that_was_not_kept(journal: Journal, path: Path, tmp_path: Path) -> None:
    """With a full disk nothing leaves the node, and the same draft passes once there is room."""
    lane = Lane(silent=0)
    with full_disk(path), pytest.raises(Unavailable, match="cannot write the journal"):
        await publisher(journal, lane, tmp_path, 60.0).publish(DRAFT)
    assert (lane.appended, journal.submissions()) == ([], [])
    await publisher(journal, lane, tmp_path, 60.0).publish(DRAFT)
    assert len(lane.appended) == len(journal.submissions()) == 1
