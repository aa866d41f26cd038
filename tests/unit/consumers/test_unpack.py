"""Unpacking a document."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from axis.consumers.take import unpack
from axis.core.addressing import OrganisationCode
from axis.core.digest import sha256
from axis.core.envelope import Envelope, Header, MessageId, Operation, Part, Urgency
from axis.errors import Refused, Unavailable
from axis.schemas import avro
from axis.storage.blobs import BlobStore, open_store
from axis.storage.journal import StoredDelivery

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
MESSAGE_ID = MessageId("0191f5c6-7a3b-7c4d-8e9f-0123456789ab")
EXBIBYTE = 2**60


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    """An empty store of large parts."""
    return open_store("file:blobs", tmp_path)


def delivery(*parts: Part) -> StoredDelivery:
    """A document with these parts, as the journal keeps it."""
    header = Header(
        environment="test",
        message_id=MESSAGE_ID,
        operation=Operation.NEW,
        document_id=MESSAGE_ID,
        number="",
        notation="",
        document_type="cong-van",
        subject="V/v",
        sender=OrganisationCode("H56"),
        recipients=("H56.1",),
        urgency=Urgency.NORMAL,
        created_at=NOW,
    )
    value = avro.encode_envelope(Envelope(b"manifest", b"signature", avro.encode_header(header), parts))
    return StoredDelivery("H56", MESSAGE_ID, sha256(b"manifest"), value, NOW, None, receipt_appended=False)


async def test_a_document_that_has_no_room_is_not_begun(tmp_path: Path, blobs: BlobStore) -> None:
    """Where the disk has less room than all parts need together, not even the first of them is written."""
    small = Part("a.pdf", "application/pdf", 4, sha256(b"%PDF"), b"%PDF")
    large = Part("b.bin", "application/octet-stream", EXBIBYTE, sha256(b"never stored"), None)
    with pytest.raises(Unavailable, match=f"bytes are free, the document needs {EXBIBYTE + 4}"):
        await unpack(delivery(small, large), tmp_path / "to", blobs)
    assert list((tmp_path / "to").iterdir()) == []


async def test_room_is_asked_for_what_is_not_there_yet(tmp_path: Path, blobs: BlobStore) -> None:
    """A name that is taken is judged by what it holds, however little room there is for more."""
    large = Part("b.bin", "application/octet-stream", EXBIBYTE, sha256(b"never stored"), None)
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "b.bin").write_bytes(b"somebody else's")
    with pytest.raises(Refused, match="file-exists"):
        await unpack(delivery(large), tmp_path / "to", blobs)
