"""What a node makes of its inbox: documents for groups, what is kept because it may still pass, and what is not."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from axis.cli.inbox_rows import NOT_IN_GROUP, card_of, json_of, line_of, row_of
from axis.consumers.inbox import Document, Entry, Gap, GapReason, Rejected
from axis.core.addressing import Group, OrganisationCode
from axis.core.disposition import Reason
from axis.core.envelope import Envelope
from axis.core.topics import inbox_topic
from axis.ports import Append, PartitionId, Record
from axis.schemas import avro
from axis.storage.journal import Journal
from axis.storage.rejections import Rejections
from axis.testing.log import MemoryBus
from tests.attack.forge import message_id_of
from tests.unit.consumers.recipient import Recipient, TopicReader
from tests.unit.consumers.town import OFFICE, OTHER_WARD, WARD, Site, Town


def with_group(town: Town, *members: str) -> Town:
    """The town with a group of these members."""
    group = Group("@ba-thuoc", "Bá Thước", tuple(OrganisationCode(each) for each in members))
    return replace(town, directory=replace(town.directory, groups=(group,)))


def put(site: Site, *values: bytes) -> None:
    """Write records straight into the ward's inbox."""
    for value in values:
        site.bus.append(Append(inbox_topic(WARD), 0, b"", value))


def reasons(entries: list[Entry]) -> list[str | None]:
    """Why each was rejected; None for one that was not."""
    return [entry.reason if isinstance(entry, Rejected) else None for entry in entries]


@pytest.mark.parametrize("members", [(OTHER_WARD,), ()])
async def test_a_document_for_a_group_that_was_left_meanwhile_is_not_lost(
    town: Town, members: tuple[str, ...]
) -> None:
    """What the axis consigned is passed on, although the group, or the owner in it, is gone before it is read."""
    site = Site(with_group(town, WARD, OTHER_WARD))
    letter = town.letter(OFFICE, "@ba-thuoc")
    site.submit(avro.encode_envelope(letter))
    await site.route()
    ward = Recipient(site, WARD)
    ward.directory.directory = with_group(town, *members).directory if members else town.directory
    [entry] = await ward.read()
    assert isinstance(entry, Document)
    assert entry.digest == letter.digest
    [delivery] = ward.waiting()
    assert delivery.message_id == message_id_of(letter)
    directory = ward.directory.current()
    row = row_of(delivery, directory, owner := OrganisationCode(WARD))
    assert not row["addressed"]
    assert ("Lưu ý", "note", NOT_IN_GROUP) in card_of(row)
    assert NOT_IN_GROUP in (line_of(entry, directory, owner) or "")
    assert json.loads(json_of(entry, directory, owner) or "")["addressed"] is False


async def test_a_document_for_a_group_is_shown_without_doubt_to_its_members(town: Town) -> None:
    """A warning stands at those documents alone of which the directory of today says something else."""
    grouped = with_group(town, WARD)
    site = Site(grouped)
    put(site, *(avro.encode_envelope(town.letter(OFFICE, each)) for each in ("@ba-thuoc", WARD, "@all")))
    ward = Recipient(site, WARD)
    await ward.read()
    rows = [row_of(each, grouped.directory, OrganisationCode(WARD)) for each in ward.waiting()]
    assert [row["addressed"] for row in rows] == [True] * 3
    assert [{name: value for _, name, value in card_of(row)}["note"] for row in rows] == [None] * 3


class ShortenedReader(TopicReader):
    """Reads a topic whose first records are removed while it is followed."""

    def __init__(self, bus: MemoryBus) -> None:
        super().__init__(bus)
        self.first = 0

    async def beginning(self, place: PartitionId) -> int:
        """Return the first offset that is kept."""
        del place
        return self.first

    async def follow(self, starts: Mapping[PartitionId, int]) -> AsyncIterator[Sequence[Record]]:
        """Yield what is there, or end where the position is not kept."""
        [(place, start)] = starts.items()
        if start >= self.first:
            yield self.bus.visible(place, start)
            self.first = start + 3


async def test_what_is_removed_under_a_follower_is_told(town: Town) -> None:
    """A follower that was held up longer than records are kept tells which ones it will never see, and goes on."""
    site = Site(town)
    letters = [avro.encode_envelope(town.letter(OFFICE, WARD)) for _ in range(5)]
    ward = Recipient(site, WARD, reader=ShortenedReader)
    put(site, letters[0])
    async with aclosing(ward.inbox.follow()) as following:
        assert [type(entry) for entry in await anext(following)] == [Document]
        put(site, *letters[1:])
        assert await anext(following) == (
            Gap(3, GapReason.EXPIRED, "offsets 1 to 2 were removed before this node read them"),
        )
        assert [entry.offset for entry in await anext(following)] == [3, 4]


async def test_a_copy_of_a_document_for_others_is_rejected(town: Town) -> None:
    """Recipients that are named by their codes are taken at their word, known or not."""
    site = Site(with_group(town, WARD))
    put(
        site,
        avro.encode_envelope(town.letter(OFFICE, OTHER_WARD)),
        avro.encode_envelope(town.letter(OFFICE, "H56.nobody", OTHER_WARD)),
    )
    ward = Recipient(site, WARD)
    assert reasons(await ward.read()) == ["not-addressed"] * 2
    assert ward.waiting() == []


def mutilated(town: Town) -> dict[str, bytes]:
    """Records of which each is rejected for a reason, and would be under every directory."""
    letter = town.letter(OFFICE, WARD)
    [part] = letter.parts
    return {
        Reason.UNDECODABLE: b"no envelope",
        Reason.SIGNATURE_MISSING: avro.encode_envelope(replace(letter, signature=b"")),
        Reason.SIGNATURE_INVALID: avro.encode_envelope(replace(letter, manifest=letter.manifest + b" ")),
        Reason.PART_ALTERED: avro.encode_envelope(
            replace(letter, parts=(replace(part, content=bytes(part.size)),))
        ),
        Reason.OVERSIZED: bytes(9 * 1024 * 1024),
    }


async def test_the_value_of_what_can_never_pass_is_not_kept(town: Town) -> None:
    """It is named with its reason for good; neither the disk nor a later directory hears of it again."""
    site = Site(town)
    cases = mutilated(town)
    put(site, *cases.values())
    ward = Recipient(site, WARD)
    assert reasons(await ward.read()) == list(cases)
    listed = ward.journal.rejections.listed()
    assert [(each.reason, each.kept) for each in listed] == [(reason, False) for reason in cases]
    assert [ward.journal.rejections.value(each.record_digest) for each in listed] == [None] * len(cases)


async def test_what_another_directory_can_cure_is_kept_and_passes(town: Town) -> None:
    """A sender whose certificate is learnt of later, and a recipient that is known by a legacy code later."""
    site = Site(town)
    letters = [town.letter(OFFICE, WARD), town.letter(OTHER_WARD, "000.00.03.H56")]
    put(site, *map(avro.encode_envelope, letters))
    ward = Recipient(site, WARD)
    known = town.directory
    ward.directory.directory = replace(
        known, enrolments=tuple(each for each in known.enrolments if each.organisation != OFFICE)
    )
    assert reasons(await ward.read()) == [Reason.CERTIFICATE_NOT_ENROLLED, "not-addressed"]
    assert [each.kept for each in ward.journal.rejections.listed()] == [True, True]
    ward.directory.directory = replace(
        known,
        organisations=tuple(
            replace(each, legacy_code="000.00.03.H56") if each.code == WARD else each
            for each in known.organisations
        ),
    )
    assert reasons(await ward.read()) == [None, None]
    assert ward.journal.rejections.listed() == []


def untrusted(town: Town, count: int) -> list[Envelope]:
    """Documents that name somebody else, of one size."""
    return [town.letter(OFFICE, OTHER_WARD) for _ in range(count)]


async def test_the_oldest_values_make_room(town: Town) -> None:
    """What did not pass fills no disk: the newest stay to be judged again, the others stay named; it is logged once."""
    site, journal = Site(town), Journal(":memory:")
    letters = untrusted(town, 6)
    values = list(map(avro.encode_envelope, letters))
    journal.rejections = Rejections(journal._database, max_bytes=2 * max(map(len, values)))
    ward = Recipient(site, WARD, journal=journal)
    with capture_logs() as logs:
        for value in values:
            put(site, value)
            await ward.read()
    listed = journal.rejections.listed()
    assert [each.kept for each in listed] == [False] * 4 + [True] * 2
    assert [journal.rejections.value(each.record_digest) for each in listed][4:] == values[4:]
    full = [each for each in logs if each["event"] == "inbox.rejections_full"]
    assert [(each["records"], each["limit_bytes"]) for each in full] == [(1, 2 * max(map(len, values)))]


async def test_a_record_whose_value_made_room_is_kept_when_it_comes_again(town: Town) -> None:
    """The same bytes are another chance."""
    [letter] = untrusted(town, 1)
    site, journal, value = Site(town), Journal(":memory:"), avro.encode_envelope(letter)
    put(site, value)
    journal.rejections = Rejections(journal._database, max_bytes=0)
    ward = Recipient(site, WARD, journal=journal)
    await ward.read()
    assert [each.kept for each in journal.rejections.listed()] == [False]
    journal.rejections = Rejections(journal._database)
    put(site, value)
    await ward.read()
    assert [(each.kept, each.offset) for each in journal.rejections.listed()] == [(True, 1)]
