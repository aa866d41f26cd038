"""What a lane may decide while the other one has something in hand."""

import threading
from collections.abc import Sequence

import pytest

from axis.consumers.claims import Claims
from axis.consumers.examine import Candidate
from axis.core.envelope import Lane, Urgency
from axis.ports import Record
from tests.unit.consumers.ledger import Submission
from tests.unit.consumers.script import document, express, handover, rival
from tests.unit.consumers.town import EXPRESS, NOW, OFFICE, WARD, Town


def examined(town: Town, *submissions: Submission) -> Sequence[Candidate]:
    """Examine submissions."""
    records = [
        Record(EXPRESS.topic, EXPRESS.partition, offset, NOW, b"sender", each.value)
        for offset, each in enumerate(submissions)
    ]
    return town.examiner().examine(records, town.directory)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_who_asks_about_what_the_other_lane_has_in_hand_waits(town: Town, number: int) -> None:
    """A copy or a rival of a document, or a hand-over of it: what is in hand may still be decided otherwise."""
    letter = document(town, OFFICE, WARD)
    asks = (letter, rival(town, letter, Urgency.FLASH), handover(town, letter, WARD))[number]
    claims = Claims()
    assert claims.claim(Lane.STANDARD, examined(town, letter)) == 1
    waiting = examined(town, express(town, OFFICE, WARD), asks, express(town, OFFICE, WARD))
    assert claims.claim(Lane.EXPRESS, waiting) == 1
    # Who waits holds up nobody with what it did not get.
    assert claims.claim(Lane.STANDARD, waiting[2:]) == 1
    claims.release(Lane.STANDARD)
    assert claims.claim(Lane.EXPRESS, waiting[1:]) == 2


def test_a_lane_does_not_wait_for_itself(town: Town) -> None:
    """A batch sees its own duplicates when it is decided."""
    letter = document(town, OFFICE, WARD)
    candidates = examined(town, letter, handover(town, letter, WARD), letter)
    claims = Claims()
    assert claims.claim(Lane.STANDARD, candidates) == 3
    assert claims.claim(Lane.STANDARD, candidates) == 3


def test_of_two_lanes_that_claim_at_once_one_gets_it(town: Town) -> None:
    """Both threads are let go at the same moment, many times over."""
    candidates = examined(town, document(town, OFFICE, WARD))
    claims, start, done = Claims(), threading.Barrier(2), threading.Barrier(2)
    got: dict[Lane, list[int]] = {lane: [] for lane in Lane}

    def claim_each(lane: Lane) -> None:
        for _ in range(300):
            start.wait()
            got[lane].append(claims.claim(lane, candidates))
            done.wait()
            claims.release(lane)

    threads = [threading.Thread(target=claim_each, args=[lane]) for lane in Lane]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(zip(*got.values(), strict=True)) <= {(0, 1), (1, 0)}
