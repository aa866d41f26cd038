"""Publishing: every fault is found before anything leaves the node, and one bad document holds up no other."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from axis.core.addressing import Group, Level, Organisation, OrganisationCode
from axis.core.consignment import State, Step, advance
from axis.core.directory import Directory
from axis.core.disposition import Reason
from axis.core.envelope import Envelope, MessageId, Operation, Part, Urgency
from axis.core.policy import AcceptancePolicy
from axis.errors import OutcomeUnknown, Refused
from axis.ports import Append
from axis.producers.files import read
from axis.producers.publish import (
    MAX_RECORD_BYTES,
    Acknowledged,
    Draft,
    DraftPart,
    DraftRefused,
    Publisher,
    Unsent,
)
from axis.schemas import avro
from axis.storage.blobs import BlobStore, open_store
from axis.storage.journal import Journal, StoredSubmission
from axis.testing.clock import SettableClock
from tests.unit.producers.publishing import DRAFT, LETTER, NOW, POLICY, publisher_of

SMALL = 64 * 1024


def organisation(code: str, *, valid_to: date | None = None, suspended: bool = False) -> Organisation:
    """The province, or a commune of it."""
    level, parent = (Level.PROVINCE, None) if code == "H56" else (Level.COMMUNE, OrganisationCode("H56"))
    return Organisation(
        OrganisationCode(code), f"Cơ quan {code}", level, parent, None, date(2025, 7, 1), valid_to, suspended
    )


DIRECTORY = Directory(
    (
        *(organisation(code) for code in ("H56", "H56.1", "H56.2", "H56.3")),
        organisation("H56.8", valid_to=date(2026, 1, 1)),
        organisation("H56.9", suspended=True),
    ),
    (
        Group("@mot-hai", "Hai xã", (OrganisationCode("H56.1"), OrganisationCode("H56.2"))),
        Group("@ba", "Một xã", (OrganisationCode("H56.3"),)),
        Group("@tinh", "Tỉnh", (OrganisationCode("H56"),)),
    ),
)


class Lane:
    """A writer; `refused` and `silent` say, by message in the record, what it does not take."""

    def __init__(self) -> None:
        self.appended: list[Append] = []
        self.refused: set[bytes] = set()
        self.silent: set[bytes] = set()

    async def append(self, append: Append) -> int:
        """Keep the record, unless it is one that is refused or not answered."""
        if append.value in self.refused:
            raise Refused("broker-refused", "too large")
        if append.value in self.silent:
            raise OutcomeUnknown("no answer")
        self.appended.append(append)
        return len(self.appended)


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    """An empty store of large parts, in a folder."""
    return open_store("file:blobs", tmp_path)


@pytest.fixture
def lane() -> Lane:
    """A lane that takes everything."""
    return Lane()


@pytest.fixture
def clock() -> SettableClock:
    """The node's clock."""
    return SettableClock(NOW)


@pytest.fixture
def publisher(journal: Journal, blobs: BlobStore, lane: Lane, clock: SettableClock) -> Publisher:
    """The province's publisher."""
    return publisher_of("H56", journal, blobs, lane, clock=clock)


def refusals(publisher: Publisher, draft: Draft, directory: Directory | None = None) -> list[str]:
    """The reasons of every fault that a check finds."""
    with pytest.raises(DraftRefused) as caught:
        publisher.check(draft, directory)
    return [fault.reason for fault in caught.value.faults]


async def prepared(publisher: Publisher, clock: SettableClock, *drafts: Draft) -> list[StoredSubmission]:
    """Documents that are kept and not sent, a second apart."""
    submissions = []
    for draft in drafts:
        submissions.append(await publisher.prepare(draft))
        clock.pass_by(timedelta(seconds=1))
    return submissions


async def content_of(part: Part, blobs: BlobStore) -> bytes:
    """What a recipient gets."""
    if part.content is not None:
        return part.content
    return b"".join([chunk async for chunk in blobs.read(part.digest, part.size)])


async def test_many_small_parts_go_by_claim_check_once_the_record_is_full(
    publisher: Publisher, blobs: BlobStore, tmp_path: Path
) -> None:
    """What passes the check is never too large for a record, and no part is lost on the way out of it."""
    contents = [bytes([number]) * SMALL for number in range(17)]
    for number, content in enumerate(contents[::2]):
        (tmp_path / f"{number}.bin").write_bytes(content)
    parts = tuple(
        DraftPart(
            f"{number}.bin",
            "application/octet-stream",
            content if number % 2 else tmp_path / f"{number // 2}.bin",
        )
        for number, content in enumerate(contents)
    )
    submission = await publisher.prepare(replace(DRAFT, parts=parts))
    assert len(submission.value) <= MAX_RECORD_BYTES
    envelope = avro.decode(submission.value)
    assert isinstance(envelope, Envelope)
    assert [await content_of(part, blobs) for part in envelope.parts] == contents
    inline = [part.content is not None for part in envelope.parts]
    assert (inline[:8], any(inline[8:])) == ([True] * 8, False)


async def test_whatever_passes_the_check_fits_into_a_record(publisher: Publisher) -> None:
    """At every limit at once, with the longest names, types and header, the envelope can still be sealed."""
    longest = f"{'x' * 127}/{'y' * 127}"
    parts = tuple(
        DraftPart(f"{number:03}{'ệ' * 84}", longest, bytes(SMALL)) for number in range(POLICY.max_parts)
    )
    draft = replace(DRAFT, parts=parts)
    room = POLICY.max_header_bytes - len(avro.encode_header(publisher.check(draft)))
    reference = MessageId("0191f5c6-7a3b-7c4d-8e9f-0123456789ab")
    draft = replace(draft, references=(reference,) * (room // (len(reference) + 1) - 1))
    assert len(avro.encode_header(publisher.check(draft))) > POLICY.max_header_bytes - 100
    assert len((await publisher.prepare(draft)).value) <= MAX_RECORD_BYTES


async def test_a_header_that_is_too_large_is_found_before_anything_is_stored(
    publisher: Publisher, journal: Journal, lane: Lane, tmp_path: Path
) -> None:
    """Nothing of the document leaves the node, neither its large parts nor an envelope that would be refused."""
    references = (MessageId("0191f5c6-7a3b-7c4d-8e9f-0123456789ab"),) * 4000
    large = DraftPart("b.bin", "application/octet-stream", bytes(2 * SMALL))
    draft = replace(DRAFT, parts=(large,), references=references)
    with pytest.raises(DraftRefused) as caught:
        await publisher.publish(draft)
    assert [fault.reason for fault in caught.value.faults] == [Reason.HEADER_TOO_LARGE]
    assert (journal.submissions(), lane.appended) == ([], [])
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []


def test_every_fault_is_found_at_once(publisher: Publisher) -> None:
    """Form, size, time, recipients and parts are all judged, whatever else is wrong."""
    draft = Draft(
        subject="x" * (POLICY.max_header_bytes + 1),
        recipients=("H56.77", "H56.8"),
        parts=(LETTER, replace(LETTER, name="A.PDF"), replace(LETTER, name="b.pdf", media_type="PDF")),
        expires_at=NOW - timedelta(days=1),
    )
    assert refusals(publisher, draft, DIRECTORY) == [
        Reason.HEADER_MALFORMED,
        Reason.HEADER_TOO_LARGE,
        Reason.RECIPIENT_UNKNOWN,
        Reason.RECIPIENT_NOT_ALLOWED,
        Reason.EXPIRED,
        Reason.PART_NAME_REFUSED,
        Reason.MANIFEST_MALFORMED,
    ]


async def test_a_document_may_be_its_header_alone(publisher: Publisher, lane: Lane) -> None:
    """What the axis takes, a node sends: a recall has no file."""
    await publisher.publish(replace(DRAFT, operation=Operation.RECALL, parts=()))
    (sent,) = lane.appended
    envelope = avro.decode(sent.value)
    assert isinstance(envelope, Envelope)
    assert envelope.parts == ()


def test_what_is_too_large_is_found_at_the_node(journal: Journal, blobs: BlobStore, lane: Lane) -> None:
    """Each file over the limit is named; files that are too large only together are one fault, even of one content."""
    policy = AcceptancePolicy(max_part_bytes=10, max_total_bytes=25)
    narrow = publisher_of("H56", journal, blobs, lane, policy)

    def of(*sizes: int) -> Draft:
        return replace(
            DRAFT,
            parts=tuple(replace(LETTER, name=f"{n}", content=bytes(size)) for n, size in enumerate(sizes)),
        )

    narrow.check(of(10, 10, 5))
    assert refusals(narrow, of(11, 1, 11)) == [Reason.PART_TOO_LARGE] * 2
    assert refusals(narrow, of(10, 10, 6)) == [Reason.PART_TOO_LARGE]


def test_a_file_that_cannot_be_read_is_a_fault_of_the_draft(publisher: Publisher, tmp_path: Path) -> None:
    """A folder, a name of nothing, a name below a file and one that is too long are found before anything is stored."""
    (tmp_path / "file").touch()
    paths = [tmp_path, tmp_path / "missing", tmp_path / "file" / "below", tmp_path / ("x" * 300)]
    parts = tuple(replace(LETTER, name=f"{n}", content=path) for n, path in enumerate(paths))
    assert refusals(publisher, replace(DRAFT, parts=parts)) == ["file-missing"] * 4


def test_an_empty_file_is_a_fault_of_the_draft(publisher: Publisher, tmp_path: Path) -> None:
    """Nobody sends a document of nothing on purpose: a scan or a download that failed leaves such a file."""
    (tmp_path / "scan.pdf").touch()
    parts = (replace(LETTER, content=b""), replace(LETTER, name="scan.pdf", content=tmp_path / "scan.pdf"))
    assert refusals(publisher, replace(DRAFT, parts=parts)) == ["file-empty"] * 2


def test_a_file_that_fails_while_it_is_read_is_refused() -> None:
    """A disk that answers with an error, as this file of the kernel's does, is no failure of ours."""
    with pytest.raises(Refused, match="file-missing"):
        read(Path("/proc/self/mem"))


async def test_what_was_dropped_is_not_sent_and_its_acceptance_is_still_recognised(
    publisher: Publisher, journal: Journal, lane: Lane, clock: SettableClock
) -> None:
    """A document that its sender gave up stays in the journal; only what waits to be sent can be given up."""
    first, second = await prepared(publisher, clock, DRAFT, DRAFT)
    assert publisher.drop(first.message_id).state is State.REJECTED
    await publisher.resume()
    assert [each.value for each in lane.appended] == [second.value]
    kept = journal.submission(message_id=first.message_id)
    assert kept == replace(first, state=State.REJECTED)
    assert advance(kept.state, Step.ACCEPTANCE) is State.ACCEPTED
    for message_id in (
        first.message_id,
        second.message_id,
        MessageId("0191f5c6-7a3b-7c4d-8e9f-0123456789ab"),
    ):
        with pytest.raises(Refused, match="not-waiting"):
            publisher.drop(message_id)
    present = journal.submission(message_id=second.message_id)
    assert present is not None
    assert present.state is State.SUBMITTED


def test_text_that_is_none_is_a_fault_and_no_failure(publisher: Publisher) -> None:
    """Bytes of another encoding on a command line become characters that cannot be written down."""
    assert refusals(publisher, replace(DRAFT, subject="C\udcf4ng v\u0103n")) == [Reason.HEADER_MALFORMED]


def test_recipients_are_judged_as_the_axis_will(
    publisher: Publisher, journal: Journal, blobs: BlobStore, lane: Lane
) -> None:
    """Groups that reach nobody else, or together too many, and a sender that may not send are found at the node."""
    assert refusals(publisher, replace(DRAFT, recipients=("H56.1", "@tinh")), DIRECTORY) == [
        Reason.RECIPIENT_NOT_ALLOWED
    ]
    few = publisher_of("H56", journal, blobs, lane, AcceptancePolicy(max_recipients=2))
    few.check(replace(DRAFT, recipients=("@mot-hai", "H56.1")), DIRECTORY)
    assert refusals(few, replace(DRAFT, recipients=("@mot-hai", "@ba")), DIRECTORY) == [
        Reason.RECIPIENTS_TOO_MANY
    ]
    suspended = publisher_of("H56.9", journal, blobs, lane)
    assert refusals(suspended, DRAFT, DIRECTORY) == [Reason.SENDER_NOT_ALLOWED]


async def test_what_the_broker_refuses_holds_up_nothing_else(
    publisher: Publisher, journal: Journal, lane: Lane, clock: SettableClock
) -> None:
    """The first document stays kept with the reason why; those behind it in the same lane are sent."""
    first, second, third = await prepared(publisher, clock, DRAFT, DRAFT, DRAFT)
    lane.refused.add(first.value)
    results = await publisher.resume()
    assert [type(each) for each in results] == [Unsent, Acknowledged, Acknowledged]
    assert isinstance(results[0], Unsent)
    assert (results[0].submission, str(results[0].error)) == (first, "broker-refused: too large")
    assert [each.value for each in lane.appended] == [second.value, third.value]
    assert journal.submissions([State.STORED]) == [first]
    lane.refused.clear()
    (sent,) = await publisher.resume()
    assert (sent.submission.message_id, lane.appended[-1].value) == (first.message_id, first.value)


async def test_an_unknown_outcome_holds_up_its_lane_alone(
    publisher: Publisher, journal: Journal, lane: Lane, clock: SettableClock
) -> None:
    """Nothing overtakes a document in its own lane; the other lane goes on; next time everything is sent in order."""
    express = replace(DRAFT, urgency=Urgency.FLASH)
    first, urgent, second = await prepared(publisher, clock, DRAFT, express, DRAFT)
    lane.silent.add(first.value)
    results = await publisher.resume()
    assert [(type(each), each.submission.message_id) for each in results] == [
        (Unsent, first.message_id),
        (Acknowledged, urgent.message_id),
    ]
    assert journal.submissions([State.STORED]) == [first, second]
    lane.silent.clear()
    await publisher.resume()
    assert [each.value for each in lane.appended] == [urgent.value, first.value, second.value]
