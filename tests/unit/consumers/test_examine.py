"""Examination: each rule that a submission may break, and what only the outside knows."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from axis.consumers.examine import Candidate
from axis.consumers.verify import VerifiedEnvelope, VerifiedReceipt, Verifier
from axis.core.addressing import OrganisationCode
from axis.core.directory import Directory
from axis.core.disposition import Reason
from axis.core.envelope import Envelope, Urgency
from axis.core.receipt import Event, Outcome, RecipientOutcome
from axis.core.topics import inbox_topic
from axis.errors import Unavailable
from axis.ports import PartitionId, Record
from axis.schemas import avro
from axis.storage.blobs import BlobStore, open_store
from tests.attack.forge import claim, message_id_of, part
from tests.unit.consumers.town import (
    EXPRESS,
    NOW,
    OFFICE,
    OTHER_WARD,
    STANDARD,
    STRANGER,
    WARD,
    Town,
)


def record(value: bytes, place: PartitionId = STANDARD, offset: int = 0) -> Record:
    """A record as the router reads it."""
    return Record(place.topic, place.partition, offset, NOW, b"sender", value)


async def examined(
    town: Town,
    submission: Envelope | bytes,
    place: PartitionId = STANDARD,
    *,
    blobs: BlobStore | None = None,
    without_inbox: Collection[str] = (),
) -> Candidate:
    """Examine and complete one submission."""
    value = submission if isinstance(submission, bytes) else avro.encode_envelope(submission)
    examiner = town.examiner(blobs)
    candidates = examiner.examine([record(value, place)], town.directory)

    async def missing(topics: Collection[str]) -> Collection[str]:
        return {inbox_topic(code) for code in without_inbox} & set(topics)

    await examiner.complete(candidates, missing)
    return candidates[0]


def reason(candidate: Candidate) -> str | None:
    """Return why a candidate is refused."""
    return candidate.fault.reason if candidate.fault else None


def damaged(envelope: Envelope) -> Envelope:
    """The same envelope with another content in its part."""
    return replace(envelope, parts=(part(content=b"another"),))


async def test_a_faultless_document_is_consigned_to_each_recipient_once(town: Town) -> None:
    """Recipients are resolved, each organisation once, sorted."""
    candidate = await examined(town, town.letter(OFFICE, WARD, OTHER_WARD, WARD))
    assert candidate.fault is None
    assert candidate.outcomes == tuple(
        RecipientOutcome(code, Outcome.CONSIGNED) for code in (WARD, OTHER_WARD)
    )
    assert candidate.answerable


Make = Callable[[Town], Envelope]


@pytest.mark.parametrize(
    ("make", "place", "expected"),
    [
        (lambda town: town.letter(STRANGER, WARD), STANDARD, Reason.WRONG_PARTITION),
        (lambda town: damaged(town.letter(STRANGER, WARD)), STANDARD, Reason.WRONG_PARTITION),
        (lambda town: town.letter(OFFICE, WARD), EXPRESS, Reason.WRONG_LANE),
        (lambda town: town.letter(OFFICE, WARD, urgency=Urgency.URGENT), STANDARD, Reason.WRONG_LANE),
        (lambda town: damaged(town.letter(OFFICE, WARD)), EXPRESS, Reason.WRONG_LANE),
        (lambda town: town.letter(OFFICE, "H56.66"), EXPRESS, Reason.WRONG_LANE),
        (lambda town: damaged(town.letter(OFFICE, WARD)), STANDARD, Reason.PART_ALTERED),
        (lambda town: town.letter(OFFICE, "H56.66"), STANDARD, Reason.RECIPIENT_UNKNOWN),
        (lambda town: town.letter(OFFICE, WARD, sender=WARD), STANDARD, Reason.SENDER_MISMATCH),
        (lambda town: town.letter(OFFICE, WARD, environment="other"), STANDARD, Reason.ENVIRONMENT_MISMATCH),
        (lambda town: town.letter(OFFICE, WARD, document_type="thu"), STANDARD, Reason.HEADER_MALFORMED),
        (lambda town: town.letter(OFFICE, WARD, expires_at=NOW), STANDARD, Reason.EXPIRED),
    ],
)
async def test_each_rule_has_its_reason(town: Town, make: Make, place: PartitionId, expected: Reason) -> None:
    """Where a copy stands comes first: it is refused for that whatever else is wrong with it."""
    candidate = await examined(town, make(town), place)
    assert reason(candidate) == expected
    assert isinstance(candidate.verified, VerifiedEnvelope)
    assert candidate.outcomes == ()


async def test_bytes_that_establish_nobody_concern_nobody(town: Town) -> None:
    """No inbox is asked for, and no answer is possible."""
    candidate = await examined(town, b"garbage", without_inbox=(OFFICE, WARD))
    assert candidate.verified is None
    assert reason(candidate) == Reason.UNDECODABLE


async def test_a_defect_met_in_one_record_stops_neither_it_nor_its_neighbours(town: Town) -> None:
    """The record goes to quarantine as an internal error; the one after it is examined."""
    trap = avro.encode_envelope(town.letter(OFFICE, WARD))
    good = avro.encode_envelope(town.letter(OFFICE, WARD))

    class Defective(Verifier):
        def verify(
            self, value: bytes | None, directory: Directory, at: datetime, *, as_signed: bool = False
        ) -> VerifiedEnvelope | VerifiedReceipt:
            if value == trap:
                raise ZeroDivisionError
            return town.verifier.verify(value, directory, at, as_signed=as_signed)

    defective = replace(town, verifier=Defective.__new__(Defective))
    defective.verifier.policy = town.verifier.policy
    first, second = defective.examiner().examine([record(trap), record(good, offset=1)], town.directory)
    assert (first.verified, reason(first)) == (None, Reason.INTERNAL_ERROR)
    assert second.fault is None


@pytest.mark.parametrize(
    ("stored", "named", "expected"),
    [
        (None, b"content", Reason.BLOB_MISSING),
        (b"content", b"content", None),
    ],
)
async def test_a_claim_needs_its_blob(
    town: Town, stored: bytes | None, named: bytes, expected: Reason | None
) -> None:
    """A document whose large part is not stored is refused, not delivered without it."""
    blobs = open_store("memory:", Path())
    if stored is not None:
        await blobs.put_bytes(stored)
    candidate = await examined(town, town.letter(OFFICE, WARD, parts=[claim(named)]), blobs=blobs)
    assert reason(candidate) == expected


async def test_a_claim_states_the_size_of_its_blob(town: Town) -> None:
    """Size is not among the signed bytes, so what the record says of it is compared with the blob."""
    blobs = open_store("memory:", Path())
    await blobs.put_bytes(b"content")
    letter = town.letter(OFFICE, WARD, parts=[claim(b"content")])
    candidate = await examined(town, replace(letter, parts=(replace(letter.parts[0], size=3),)), blobs=blobs)
    assert reason(candidate) == Reason.PART_ALTERED


async def test_a_refused_document_asks_no_blob_store(town: Town) -> None:
    """A stranger to the rules costs no call outside."""

    class Unused(BlobStore):
        def __init__(self) -> None:
            pass

        async def size(self, digest: bytes) -> int | None:
            raise AssertionError(digest)

    letter = town.letter(OFFICE, WARD, parts=[claim(b"content")])
    assert reason(await examined(town, letter, EXPRESS, blobs=Unused())) == Reason.WRONG_LANE


async def test_nothing_is_concluded_while_the_blob_store_does_not_answer(town: Town) -> None:
    """A blob that cannot be asked for is not a blob that is missing."""

    class Silent(BlobStore):
        def __init__(self) -> None:
            pass

        async def size(self, digest: bytes) -> int | None:
            del digest
            raise Unavailable("the store does not answer")

    with pytest.raises(Unavailable):
        await examined(town, town.letter(OFFICE, WARD, parts=[claim(b"content")]), blobs=Silent())


class Counting(BlobStore):
    """Holds nothing; answers when as many have asked at once as it was told to wait for, and notes what was asked."""

    def __init__(self, at_once: int) -> None:
        self.asked: list[bytes] = []
        self.most = 0
        self._waiting = 0
        self._company = asyncio.Barrier(at_once)

    async def size(self, digest: bytes) -> int | None:
        """Say that it is missing."""
        self.asked.append(digest)
        self._waiting += 1
        self.most = max(self.most, self._waiting)
        await asyncio.wait_for(self._company.wait(), 30)
        self._waiting -= 1
        return None


async def complete(town: Town, blobs: BlobStore, letters: Sequence[Envelope]) -> list[Candidate]:
    """Examine and complete a piece."""
    examiner = town.examiner(blobs)
    values = [record(avro.encode_envelope(letter), offset=place) for place, letter in enumerate(letters)]
    candidates = examiner.examine(values, town.directory)

    async def nothing_missing(topics: Collection[str]) -> Collection[str]:
        del topics
        return ()

    await examiner.complete(candidates, nothing_missing)
    return candidates


async def test_blobs_are_looked_up_some_at_once(town: Town) -> None:
    """A hundred slow answers are not waited for one after the other, nor does anybody ask a hundred things at once."""
    parts = [claim(str(number).encode(), name=f"{number}.pdf") for number in range(64)]
    blobs = Counting(at_once=32)
    (candidate,) = await complete(town, blobs, [town.letter(OFFICE, WARD, parts=parts)])
    assert reason(candidate) == Reason.BLOB_MISSING
    assert str(candidate.fault).startswith("blob-missing: part 1:")
    assert blobs.most == 32
    assert sorted(blobs.asked) == sorted(part.digest for part in parts)


async def test_each_blob_is_looked_up_once_for_a_whole_piece(town: Town) -> None:
    """However many parts and submissions name it; each of them has its own reason."""
    blobs = Counting(at_once=1)
    letters = [
        town.letter(OFFICE, WARD, parts=[claim(b"same", name="a.pdf"), claim(b"same", name="b.pdf")])
        for _ in range(3)
    ]
    others = [town.letter(OFFICE, "H56.66"), town.letter(OFFICE, WARD)]
    candidates = await complete(town, blobs, [*letters, *others])
    assert [reason(each) for each in candidates] == [Reason.BLOB_MISSING] * 3 + [
        Reason.RECIPIENT_UNKNOWN,
        None,
    ]
    assert blobs.asked == [letters[0].parts[0].digest]


async def test_a_recipient_without_an_inbox_is_refused_beside_the_others(town: Town) -> None:
    """Its outcome says so, and the document goes to everybody else."""
    candidate = await examined(town, town.letter(OFFICE, WARD, OTHER_WARD), without_inbox=[WARD])
    assert candidate.fault is None
    assert candidate.outcomes == (
        RecipientOutcome(WARD, Outcome.REFUSED, Reason.INBOX_MISSING),
        RecipientOutcome(OTHER_WARD, Outcome.CONSIGNED),
    )


@pytest.mark.parametrize(("without", "answerable"), [((WARD,), True), ((OFFICE,), False)])
async def test_without_an_inbox_for_anybody_or_for_the_sender_nothing_is_routed(
    town: Town, without: tuple[str, ...], answerable: bool
) -> None:
    """The whole is refused; the sender is told in its inbox where it has one."""
    candidate = await examined(town, town.letter(OFFICE, WARD), without_inbox=without)
    assert reason(candidate) == Reason.INBOX_MISSING
    assert candidate.answerable is answerable


async def test_a_sender_without_an_inbox_keeps_the_reason_it_is_refused_for(town: Town) -> None:
    """The legal record names the rule that was broken, not the inbox."""
    candidate = await examined(town, town.letter(OFFICE, WARD), EXPRESS, without_inbox=[OFFICE])
    assert reason(candidate) == Reason.WRONG_LANE
    assert not candidate.answerable


def handover(town: Town, sender: str = OFFICE, /, **changes: object) -> bytes:
    """A receipt of hand-over of the ward, faultless but for the changes."""
    letter = town.letter(sender, WARD)
    receipt = town.forgers[WARD].handover(message_id_of(letter), letter.digest, sender, NOW)
    return town.forgers[WARD].signed(replace(receipt, **changes), NOW)  # type: ignore[arg-type] # fields of a receipt


async def test_a_recipients_receipt_has_no_fault_of_its_own(town: Town) -> None:
    """In either lane: it travels in that of its document."""
    for place in (STANDARD, EXPRESS):
        candidate = await examined(town, handover(town), place)
        assert candidate.fault is None
        assert isinstance(candidate.verified, VerifiedReceipt)


@pytest.mark.parametrize(
    ("sender", "changes", "expected"),
    [
        (OFFICE, {"event": Event.SUBMISSION_ACCEPTANCE}, Reason.RECEIPT_NOT_ALLOWED),
        (OFFICE, {"outcomes": ()}, Reason.RECEIPT_NOT_ALLOWED),
        (
            OFFICE,
            {"outcomes": (RecipientOutcome(OTHER_WARD, Outcome.HANDED_OVER),)},
            Reason.RECEIPT_NOT_ALLOWED,
        ),
        (OFFICE, {"message_id": "17"}, Reason.RECEIPT_NOT_ALLOWED),
        (OFFICE, {"environment": "other"}, Reason.ENVIRONMENT_MISMATCH),
        (OFFICE, {"sender": OrganisationCode("H56.66")}, Reason.RECIPIENT_UNKNOWN),
        (STRANGER, {}, Reason.WRONG_PARTITION),
    ],
)
async def test_each_rule_of_a_receipt_has_its_reason(
    town: Town, sender: str, changes: dict[str, object], expected: Reason
) -> None:
    """A recipient attests the hand-over to itself alone, where the task of the document's sender reads."""
    assert reason(await examined(town, handover(town, sender, **changes))) == expected


@pytest.mark.parametrize(("without", "answerable"), [(OFFICE, True), (WARD, False)])
async def test_a_receipt_needs_the_inbox_of_whom_it_is_for(
    town: Town, without: str, answerable: bool
) -> None:
    """Without the sender's inbox it is refused; without the issuer's it is forwarded all the same."""
    candidate = await examined(town, handover(town), without_inbox=[without])
    assert reason(candidate) == (Reason.INBOX_MISSING if without == OFFICE else None)
    assert candidate.answerable is answerable
