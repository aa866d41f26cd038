"""An organisation's inbox on a real broker: what interrupts it, what it rejects and judges again, and who can read it."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from structlog.testing import capture_logs

from axis.apps import wiring
from axis.apps.node import Node
from axis.cli import inbox as commands
from axis.cli.inbox_rows import row_of
from axis.clock import SystemClock
from axis.connection import librdkafka_options
from axis.consumers.inbox import Document, Entry, Gap, GapReason, Rejected
from axis.core.addressing import OrganisationCode
from axis.core.disposition import Reason
from axis.core.envelope import Envelope
from axis.core.topics import inbox_topic
from axis.schemas import avro
from axis.settings import Settings
from axis.testing.broker import ADMIN_NAME
from axis.testing.pki import DevelopmentPki
from tests.attack.forge import message_id_of, part
from tests.attack.planted import fingerprint
from tests.attack.stage import ENDED, OFFICE, OTHER_WARD, WARD, Stage
from tests.integration.reading import SECONDS, read

pytestmark = pytest.mark.kafka

QUIET = ("H56.14923", "H56.14932", "H56.14950", "H56.14953")
"""Wards whose inboxes nothing else writes to, one for each test that breaks one."""


def put_letters(stage: Stage, owner: str, count: int) -> list[Envelope]:
    """Write documents for an organisation straight into its inbox."""
    letters = [stage.forger(OFFICE).letter(owner, SystemClock().now()) for _ in range(count)]
    for letter in letters:
        stage.put_into_inbox(avro.encode_envelope(letter), owner=owner)
    return letters


def digests(entries: Sequence[Entry]) -> list[bytes]:
    """The identities of the documents among these entries."""
    return [entry.digest for entry in entries if isinstance(entry, Document)]


def gaps(entries: Sequence[Entry]) -> list[tuple[GapReason, int]]:
    """The gaps among these entries: why, and where reading goes on."""
    return [(entry.reason, entry.offset) for entry in entries if isinstance(entry, Gap)]


def admin(stage: Stage) -> AdminClient:
    """Somebody who may do everything."""
    return AdminClient({**librdkafka_options(ADMIN_NAME, stage.settings.broker)})


def recreate(stage: Stage, owner: str) -> None:
    """Delete an inbox with everything in it, and create one of the same name."""
    topic, client = inbox_topic(owner), admin(stage)
    client.delete_topics([topic], operation_timeout=SECONDS)[topic].result(SECONDS)
    client.create_topics([NewTopic(topic, 1, 1)], operation_timeout=SECONDS)[topic].result(SECONDS)


def expire(stage: Stage, owner: str, offset: int) -> None:
    """Remove what stands before an offset, as retention does."""
    client = admin(stage)  # which ends with the last reference to it
    places = client.delete_records([TopicPartition(inbox_topic(owner), 0, offset)])
    for removed in places.values():
        removed.result(SECONDS)


@pytest.mark.parametrize("node", QUIET[:1], indirect=True)
async def test_an_inbox_that_was_created_again_is_read_from_its_beginning(stage: Stage, node: Node) -> None:
    """However long the new one is by now, nothing of it is skipped, and its owner is told; once."""
    await read(node)
    before = put_letters(stage, QUIET[0], 1)
    assert digests(await read(node)) == [each.digest for each in before]
    recreate(stage, QUIET[0])
    after = put_letters(stage, QUIET[0], 5)
    entries = await read(node)
    assert gaps(entries) == [(GapReason.RECREATED, 0)]
    assert digests(entries) == [each.digest for each in after]
    assert await read(node) == []


@pytest.mark.parametrize("node", QUIET[1:2], indirect=True)
async def test_an_inbox_that_is_created_again_is_followed_from_its_beginning(
    stage: Stage, node: Node
) -> None:
    """Whoever follows it meanwhile is told as well, before the first document of the new one."""
    before = {each.digest for each in put_letters(stage, QUIET[1], 3)}
    seen: list[Entry] = []
    async with asyncio.timeout(SECONDS), aclosing(node.inbox.follow()) as following:
        async for entries in following:
            seen += entries
            if before.issubset(digests(seen)):
                break
        recreate(stage, QUIET[1])
        [letter] = put_letters(stage, QUIET[1], 1)
        seen.clear()
        async for entries in following:
            seen += entries
            if letter.digest in digests(seen):
                break
    assert gaps(seen) == [(GapReason.RECREATED, 0)]


@pytest.mark.parametrize("node", QUIET[2:3], indirect=True)
async def test_what_expired_unread_is_reported(stage: Stage, node: Node) -> None:
    """A node that was away for longer than documents are kept learns which offsets it has not read."""
    await read(node)
    start = node.journal.position(inbox_topic(QUIET[2]))
    letters = put_letters(stage, QUIET[2], 3)
    expire(stage, QUIET[2], start + 2)
    entries = await read(node)
    assert gaps(entries) == [(GapReason.EXPIRED, start + 2)]
    assert digests(entries) == [letters[2].digest]
    assert await read(node) == []


@pytest.mark.parametrize("node", QUIET[3:4], indirect=True)
async def test_an_inbox_that_has_become_shorter_is_read_again(stage: Stage, node: Node) -> None:
    """A cursor behind the end belongs to a log that was lost: what is there is read again, and recognised."""
    letters = put_letters(stage, QUIET[3], 2)
    await read(node)
    node.journal.set_position(inbox_topic(QUIET[3]), 1_000)
    entries = await read(node)
    assert gaps(entries) == [(GapReason.TRUNCATED, 0)]
    assert digests(entries)[-2:] == [each.digest for each in letters]
    assert all(entry.repeated for entry in entries if isinstance(entry, Document))


@pytest.mark.parametrize("node", [OTHER_WARD], indirect=True)
async def test_what_expired_after_it_was_read_is_no_gap(stage: Stage, node: Node) -> None:
    """The marker behind the last document expires with it, and was nothing to be read."""
    stage.settled()
    await read(node)
    expire(stage, OTHER_WARD, OFFSET_END)
    assert await read(node) == []


@pytest.mark.parametrize("node", QUIET[:1], indirect=True)
async def test_a_journal_without_an_identity_goes_on_where_it_was(stage: Stage, node: Node) -> None:
    """One that an earlier version has written is bound to the topic that is there."""
    put_letters(stage, QUIET[0], 2)
    await read(node)
    end = node.journal.position(inbox_topic(QUIET[0]))
    with node.journal.together():
        node.journal._database.change("UPDATE cursor SET origin = NULL, next_offset = ?", (end - 1,))
    assert gaps(entries := await read(node)) == []
    assert len(digests(entries)) == 1
    assert node.journal.origin(inbox_topic(QUIET[0])) is not None


@pytest.mark.parametrize("node", [ENDED], indirect=True)
async def test_a_group_is_resolved_between_signing_and_delivery(stage: Stage, node: Node) -> None:
    """A ward that was merged meanwhile was meant when it still existed at the signing; when it did not, it is told so."""
    office = stage.forger(WARD, signed_by=stage.planted.old)
    letters = []
    for age in (31, 29):
        signed_at = SystemClock().now() - timedelta(days=age)
        letters.append(office.seal(office.header("@communes", signed_at), [part()], at=signed_at))
        stage.put_into_inbox(avro.encode_envelope(letters[-1]), owner=ENDED)
    entries = await read(node)
    assert digests(entries)[-2:] == [each.digest for each in letters]
    directory = node.directory.current()
    rows = [row_of(each, directory, node.code) for each in node.journal.deliveries()]
    assert [row["addressed"] for row in rows[-2:]] == [True, False]


def test_a_gap_is_told(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever lists the inbox after it was created again reads so, Vietnamese first."""
    owner = QUIET[3]
    put_letters(stage, owner, 1)
    commands.list_(organisation=owner, data=stage.settings.folder)
    recreate(stage, owner)
    put_letters(stage, owner, 1)
    capsys.readouterr()
    commands.list_(organisation=owner, data=stage.settings.folder)
    assert "hộp thư đã được tạo lại, đọc lại từ đầu (inbox-recreated)" in capsys.readouterr().err


def own_directory(stage: Stage, folder: Path) -> Settings:
    """The site's settings with a journal, a directory and anchors of the node's own."""
    settings = replace(stage.settings, folder=folder)
    directory = folder / "directory"
    shutil.copytree(settings.directory.folder, directory)
    enrolment = Path(shutil.copy(settings.directory.enrolment, folder))
    anchors = Path(shutil.copy(settings.signatures.anchors, folder))
    return replace(
        settings,
        directory=replace(settings.directory, folder=directory, enrolment=enrolment),
        signatures=replace(settings.signatures, anchors=anchors),
    )


@asynccontextmanager
async def open_ward(settings: Settings) -> AsyncIterator[Node]:
    """The ward's node, at the beginning of what is new in its inbox."""
    async with Node.open(settings, OrganisationCode(WARD)) as node:
        async for _ in node.inbox.synchronise():
            pass
        yield node


async def test_a_document_is_not_lost_by_an_old_directory(stage: Stage, tmp_path: Path) -> None:
    """Its sender has a certificate that the recipient learns of later: until then it is kept, then it is passed on."""
    settings = own_directory(stage, tmp_path)
    known = json.loads(settings.directory.enrolment.read_bytes())
    settings.directory.enrolment.write_text(
        json.dumps({name: each for name, each in known.items() if name != fingerprint(stage.planted.old)})
    )
    now = SystemClock().now()
    letter = stage.forger(WARD, signed_by=stage.planted.old).letter(WARD, now)
    async with open_ward(settings) as node:
        place = stage.put_into_inbox(avro.encode_envelope(letter), owner=WARD)
        [entry] = await read(node)
        assert isinstance(entry, Rejected)
        assert entry.reason == Reason.CERTIFICATE_NOT_ENROLLED
        assert await read(node) == []
        assert place.offset in [each.offset for each in node.journal.rejections.listed()]
    settings.directory.enrolment.write_text(json.dumps(known))
    async with Node.open(settings, OrganisationCode(WARD)) as node:
        [document] = await read(node)
        assert isinstance(document, Document)
        assert (document.offset, document.digest, document.repeated) == (place.offset, letter.digest, False)
        assert node.journal.delivery(WARD, message_id_of(letter)) is not None
        assert await read(node) == []
        assert place.offset not in [each.offset for each in node.journal.rejections.listed()]


async def test_who_follows_an_inbox_learns_of_a_new_code(stage: Stage, tmp_path: Path) -> None:
    """A document to a legacy code that the recipient gets in a later directory comes as soon as that is in force."""
    settings = own_directory(stage, tmp_path)
    letter = stage.forger(OFFICE).letter("000.99.99.H56", SystemClock().now())
    async with open_ward(settings) as node:
        stage.put_into_inbox(avro.encode_envelope(letter), owner=WARD)
        async with asyncio.timeout(SECONDS), aclosing(node.inbox.follow()) as following:
            async for entries in following:
                if [entry.reason for entry in entries if isinstance(entry, Rejected)] == ["not-addressed"]:
                    for path in settings.directory.folder.glob("*.toml"):
                        named = f'code = "{WARD}"\n'
                        path.write_text(
                            path.read_text("utf-8").replace(named, f'{named}legacy_code = "000.99.99.H56"\n'),
                            "utf-8",
                        )
                if letter.digest in digests(entries):
                    break
        assert node.journal.delivery(OFFICE, message_id_of(letter)) is not None


async def test_what_was_rejected_is_judged_again_under_other_anchors(stage: Stage, tmp_path: Path) -> None:
    """A node that trusted another authority takes the document once it trusts the right one."""
    settings = own_directory(stage, tmp_path)
    right = settings.signatures.anchors.read_bytes()
    other = DevelopmentPki.create_or_open(tmp_path / "other", now=SystemClock().now())
    settings.signatures.anchors.write_bytes(other.ca_path.read_bytes())
    letter = stage.forger(OFFICE).letter(WARD, SystemClock().now())
    async with open_ward(settings) as node:
        stage.put_into_inbox(avro.encode_envelope(letter), owner=WARD)
        [entry] = await read(node)
        assert isinstance(entry, Rejected)
        assert entry.reason == Reason.CERTIFICATE_UNTRUSTED
    settings.signatures.anchors.write_bytes(right)
    async with Node.open(settings, OrganisationCode(WARD)) as node:
        assert letter.digest in digests(await read(node))


def test_what_is_kept_is_told(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever lists the inbox reads each time what did not pass and why, Vietnamese first."""
    owner = QUIET[0]
    stage.put_into_inbox(b"no envelope", owner=owner)
    commands.list_(organisation=owner, data=stage.settings.folder)
    capsys.readouterr()
    commands.list_(organisation=owner, data=stage.settings.folder)
    told = capsys.readouterr().err
    assert "1 mục chưa qua kiểm tra; 0 mục đang được giữ" in told
    assert "không đọc được bản ghi (undecodable)" in told


def test_nobody_else_reads_what_a_site_keeps(stage: Stage) -> None:
    """The nodes' folders and the router's are closed to other users of the machine, with the files in them."""
    commands.list_(organisation=WARD, data=stage.settings.folder)
    folder = stage.settings.folder
    kept = [
        each
        for name in ("nodes", "router-0")
        for each in ((folder / name), *(folder / name).rglob("*"))
        if "taken" not in each.parts
    ]
    assert {each.name for each in kept} >= {"journal.db", "decisions.db"}
    assert [each for each in kept if each.stat().st_mode & 0o077] == []


def test_a_key_that_others_can_read_is_warned_of_once(stage: Stage, tmp_path: Path) -> None:
    """Whoever signs with it learns which file it is and what to do, and is not told again with each signature."""
    keys = tmp_path / "keys"
    shutil.copytree(stage.settings.signatures.keys, keys)
    settings = replace(stage.settings, signatures=replace(stage.settings.signatures, keys=keys))
    for code, mode in ((OFFICE, 0o640), (WARD, 0o600)):
        settings.signatures.key(code).chmod(mode)
    with capture_logs() as events:
        for code in (OFFICE, OFFICE, WARD):
            wiring.signer(settings, OrganisationCode(code))
    assert [(each["event"], each["path"]) for each in events] == [
        ("key_file.exposed", settings.signatures.key(OFFICE))
    ]
