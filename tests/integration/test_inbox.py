"""An organisation's inbox on a real broker: what interrupts it, what answers come back, when a document counts as taken."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
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
from axis.cli.exit_codes import ExitCode
from axis.cli.inbox_rows import row_of
from axis.clock import SystemClock
from axis.connection import librdkafka_options
from axis.consumers.inbox import Answer, Document, Entry, Gap, GapReason, Rejected
from axis.consumers.take import unpack
from axis.core.addressing import OrganisationCode
from axis.core.digest import sha256
from axis.core.disposition import Reason
from axis.core.envelope import Envelope
from axis.core.receipt import Event, Receipt, SignedReceipt
from axis.core.topics import inbox_topic
from axis.errors import Refused
from axis.producers.publish import Draft, DraftPart
from axis.schemas import avro
from axis.settings import Settings
from axis.storage.blobs import BlobMissing
from axis.storage.journal import StoredDelivery
from axis.testing.broker import ADMIN_NAME
from axis.testing.pki import DevelopmentPki
from tests.attack.forge import ENVIRONMENT, claim, message_id_of, part
from tests.attack.planted import fingerprint
from tests.attack.stage import ENDED, OFFICE, OTHER_WARD, WARD, WITHOUT_INBOX, Stage, set_up

pytestmark = pytest.mark.kafka

SECONDS = 60
QUIET = ("H56.14923", "H56.14932", "H56.14950", "H56.14953")
"""Wards whose inboxes nothing else writes to, one for each test that breaks one."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A real site with a running router."""
    with set_up(tmp_path_factory.mktemp("inbox")) as running:
        yield running


@pytest.fixture
async def node(stage: Stage, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Node]:
    """The node of an organisation with an empty journal."""
    settings = replace(stage.settings, folder=tmp_path)
    async with Node.open(settings, OrganisationCode(request.param)) as opened:
        yield opened


async def read(node: Node) -> list[Entry]:
    """Everything new that the node makes of its inbox."""
    return [entry async for entries in node.inbox.synchronise() for entry in entries]


async def read_until(node: Node, wanted: Callable[[Entry], bool]) -> Entry:
    """Follow the inbox up to the first entry that is wanted."""
    async with asyncio.timeout(SECONDS), aclosing(node.inbox.follow()) as following:
        async for entries in following:
            for entry in entries:
                if wanted(entry):
                    return entry
    raise AssertionError


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


async def taken(stage: Stage, node: Node, letter: Envelope, sender: str) -> StoredDelivery:
    """Put a document into the node's inbox, read it, and attest that it was handed over."""
    stage.put_into_inbox(avro.encode_envelope(letter), owner=node.code)
    await read(node)
    delivery = node.journal.delivery(sender, message_id_of(letter))
    assert delivery is not None
    await node.taker.take([delivery], node.directory.current())
    delivery = node.journal.delivery(sender, message_id_of(letter))
    assert delivery is not None
    assert (delivery.receipt is not None, delivery.receipt_appended) == (True, True)
    return delivery


def answers(letter: Envelope) -> Callable[[Entry], bool]:
    """Choose the answers about a message that were not there before."""
    return lambda entry: (
        isinstance(entry, Answer) and entry.receipt.message_id == message_id_of(letter) and not entry.repeated
    )


@pytest.mark.parametrize("node", [WARD], indirect=True)
async def test_a_receipt_that_is_refused_for_a_passing_reason_is_sent_again(stage: Stage, node: Node) -> None:
    """While the sender has no inbox, its recipient learns why, and the same receipt goes out with the next command."""
    letter = stage.forger(WITHOUT_INBOX).letter(WARD, SystemClock().now())
    delivery = await taken(stage, node, letter, WITHOUT_INBOX)
    for last in (False, True):
        answer = await read_until(node, answers(letter))
        assert isinstance(answer, Answer)
        assert answer.receipt.reason == Reason.INBOX_MISSING
        assert answer.receipt.envelope_digest == handover_of(delivery).digest
        assert [each.receipt for each in node.journal.unsent_handovers()] == [delivery.receipt]
        if not last:
            assert await node.taker.append_waiting() == []
            assert not list(node.journal.unsent_handovers())
    node.journal.set_handover_appended(delivery, appended=True)
    node.journal.set_position(inbox_topic(WARD), 0)
    again = [
        entry
        for entry in await read(node)
        if isinstance(entry, Answer) and entry.receipt.message_id == message_id_of(letter)
    ]
    assert [entry.repeated for entry in again] == [True] * 2
    assert not list(node.journal.unsent_handovers())


@pytest.mark.parametrize("node", [WARD], indirect=True)
async def test_a_receipt_that_is_refused_for_good_is_answered_once(stage: Stage, node: Node) -> None:
    """Of a document that was never consigned the recipient learns that its receipt is worth nothing; it rests."""
    letter = stage.forger(OFFICE).letter(WARD, SystemClock().now())
    await taken(stage, node, letter, OFFICE)
    answer = await read_until(node, answers(letter))
    assert isinstance(answer, Answer)
    assert answer.receipt.reason == Reason.RECEIPT_NOT_ALLOWED
    assert not list(node.journal.unsent_handovers())
    assert node.journal.receipts(message_id_of(letter)) == []


@pytest.mark.parametrize("node", [WARD], indirect=True)
async def test_only_the_axis_refuses_a_receipt(stage: Stage, node: Node) -> None:
    """A refusal by a member is no answer, and lets nothing be sent again."""
    letter = stage.forger(OFFICE).letter(WARD, SystemClock().now())
    delivery = await taken(stage, node, letter, OFFICE)
    now = SystemClock().now()
    refusal = Receipt(
        event=Event.SUBMISSION_REJECTION,
        environment=ENVIRONMENT,
        message_id=delivery.message_id,
        envelope_digest=handover_of(delivery).digest,
        sender=OrganisationCode(WARD),
        issuer=OrganisationCode(OTHER_WARD),
        occurred_at=now,
        outcomes=(),
        directory_version="sha256:0000000000000000",
        policy_version="2026-11",
        reason=Reason.INBOX_MISSING,
    )
    place = stage.put_into_inbox(stage.forger(OTHER_WARD).signed(refusal, now), owner=WARD)
    entry = next(entry for entry in await read(node) if entry.offset == place.offset)
    assert isinstance(entry, Rejected)
    assert entry.reason == Reason.RECEIPT_NOT_ALLOWED
    assert not list(node.journal.unsent_handovers())


def handover_of(delivery: StoredDelivery) -> SignedReceipt:
    """The receipt of hand-over that a node has kept."""
    signed = avro.decode(delivery.receipt or b"")
    assert isinstance(signed, SignedReceipt)
    return signed


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


def test_a_document_whose_parts_are_not_there_is_not_attested(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a folder given, the parts are fetched and verified into the node's own before the receipt is signed."""
    content = b"phu luc " * 20_000
    draft = Draft("V/v quy hoạch", (WARD,), (DraftPart("phu-luc.bin", "application/octet-stream", content),))

    async def publish() -> str:
        async with Node.open(stage.settings, OrganisationCode(OFFICE)) as office:
            return (await office.publisher.publish(draft)).submission.message_id

    message_id = asyncio.run(publish())
    stage.settled()
    name = sha256(content).hex()
    blob = stage.settings.folder / "blobs" / "sha256" / name[:2] / name[2:]
    blob.write_bytes(b"altered " * 20_000)

    def take() -> int:
        return commands.take(message_id, organisation=WARD, data=stage.settings.folder)

    assert take() == ExitCode.NOT_VERIFIED
    assert "not taken" in capsys.readouterr().err
    folder = stage.settings.node_folder(OrganisationCode(WARD)) / "taken" / OFFICE / message_id
    assert list(folder.iterdir()) == []
    commands.list_(organisation=WARD, data=stage.settings.folder)
    assert message_id in capsys.readouterr().out
    blob.write_bytes(content)
    assert take() == ExitCode.OK
    assert (folder / "phu-luc.bin").read_bytes() == content
    capsys.readouterr()
    commands.list_(organisation=WARD, data=stage.settings.folder)
    assert message_id not in capsys.readouterr().out


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


@pytest.mark.parametrize("node", [WARD], indirect=True)
async def test_a_stripped_copy_does_not_displace_the_document(
    stage: Stage, node: Node, tmp_path: Path
) -> None:
    """Who writes the envelope without its content into the inbox, before or after the axis, keeps nobody from it."""
    office, now = stage.forger(OFFICE), SystemClock().now()
    letter = office.seal(office.header(WARD, now), [part("a.pdf"), part("b.pdf", b"%PDF-b")], at=now)
    stripped = [
        replace(
            letter,
            parts=tuple(replace(each, content=None) if each.name == name else each for each in letter.parts),
        )
        for name in ("a.pdf", "b.pdf")
    ]

    async def waiting(copy: Envelope) -> StoredDelivery:
        stage.put_into_inbox(avro.encode_envelope(copy), owner=WARD)
        await read(node)
        delivery = node.journal.delivery(OFFICE, message_id_of(letter))
        assert delivery is not None
        return delivery

    with pytest.raises(BlobMissing):
        await unpack(await waiting(stripped[0]), tmp_path / "stripped", node.blobs)
    for number, copy in enumerate((letter, stripped[1])):
        files = (await unpack(await waiting(copy), tmp_path / str(number), node.blobs)).files
        assert [each.read_bytes() for each in files] == [each.content for each in letter.parts]


@pytest.mark.parametrize("node", [WARD], indirect=True)
async def test_a_size_that_is_not_signed_keeps_nobody_from_a_document(
    stage: Stage, node: Node, tmp_path: Path
) -> None:
    """Large parts are fetched by what is signed, their digests, whatever size a copy says that they have."""
    office, now, content = stage.forger(OFFICE), SystemClock().now(), b"phu luc " * 20_000
    await node.blobs.put_bytes(content)
    letter = office.seal(office.header(WARD, now), [claim(content)], at=now)
    resized = replace(letter, parts=(replace(letter.parts[0], size=7),))
    stage.put_into_inbox(avro.encode_envelope(resized), owner=WARD)
    await read(node)
    delivery = node.journal.delivery(OFFICE, message_id_of(letter))
    assert delivery is not None
    [path] = (await unpack(delivery, tmp_path / "to", node.blobs)).files
    assert path.read_bytes() == content


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


@pytest.mark.parametrize("node", [WARD], indirect=True)
async def test_unpacking_again_changes_nothing(stage: Stage, node: Node, tmp_path: Path) -> None:
    """The files that are there are recognised; another file of a part's name is left as it is."""
    letter = stage.forger(OFFICE).letter(WARD, SystemClock().now())
    stage.put_into_inbox(avro.encode_envelope(letter), owner=WARD)
    await read(node)
    delivery = node.journal.delivery(OFFICE, message_id_of(letter))
    assert delivery is not None
    folder = tmp_path / "to"
    [path] = (await unpack(delivery, folder, node.blobs)).files
    assert (await unpack(delivery, folder, node.blobs)).files == (path,)
    path.write_bytes(b"somebody else's")
    with pytest.raises(Refused, match="file-exists"):
        await unpack(delivery, folder, node.blobs)
    assert [each.read_bytes() for each in folder.iterdir()] == [b"somebody else's"]
