"""Taking documents out of an inbox on a real broker: when one counts as taken, and what answers its receipt gets."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from axis.apps.node import Node
from axis.cli import inbox as commands
from axis.cli.exit_codes import ExitCode
from axis.clock import SystemClock
from axis.consumers.inbox import Answer, Entry, Rejected
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
from axis.storage.blobs import BlobMissing
from axis.storage.journal import StoredDelivery
from tests.attack.forge import ENVIRONMENT, claim, message_id_of, part
from tests.attack.stage import OFFICE, OTHER_WARD, WARD, WITHOUT_INBOX, Stage
from tests.integration.reading import read, read_until

pytestmark = pytest.mark.kafka


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
