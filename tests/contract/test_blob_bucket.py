"""A bucket as blob store: closed, gone or altered, and with few rights."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from axis.errors import IntegrityError, Unavailable
from axis.ports import StoredBlob
from axis.storage.blobs import BlobMissing
from tests.contract.blob_stores import ABSENT, MIB, content_of, open_bucket, path_of, read_all
from tests.contract.object_server import Bucket


def key_of(digest: bytes) -> str:
    """Return where the bucket keeps this content."""
    return f"axis/{path_of(Path(), digest)}"


MARK = key_of(sha256().digest())


@pytest.mark.parametrize("size", [7, 11 * MIB])
async def test_storing_again_repairs_an_altered_object(bucket: Bucket, size: int) -> None:
    """An object whose size and attributes did not change, but its content, is found out, and healed by its sender."""
    content = content_of(size)
    blob = await open_bucket().put_bytes(content)
    key = key_of(blob.digest)
    bucket.objects[key] = bytes([content[0] ^ 1]) + content[1:]
    with pytest.raises(IntegrityError, match="SHA-256"):
        await read_all(open_bucket(), blob)
    assert await open_bucket().put_bytes(content) == blob
    assert bucket.objects[key] == content
    assert await read_all(open_bucket(), blob) == content


@pytest.mark.parametrize("listable", [True, False])
async def test_a_reader_tells_what_is_missing_with_the_right_to_read_alone(
    bucket: Bucket, listable: bool
) -> None:
    """Without the right to list, S3 answers for a missing object as for a forbidden one: it is missing all the same."""
    blob = await open_bucket().put_bytes(b"content")
    bucket.listable, bucket.writable = listable, False
    reader = open_bucket()
    assert await reader.size(ABSENT) is None
    with pytest.raises(BlobMissing):
        await read_all(reader, StoredBlob(ABSENT, 1))
    assert await reader.size(blob.digest) == blob.size
    assert await read_all(reader, blob) == b"content"


@pytest.mark.parametrize("listable", [True, False])
async def test_a_new_bucket_misses_everything(bucket: Bucket, listable: bool) -> None:
    """Where nothing was ever stored, whoever may write finds out by the empty content."""
    bucket.listable = listable
    assert await open_bucket().size(ABSENT) is None
    assert list(bucket.objects) == [MARK]


async def test_a_new_bucket_that_a_reader_may_not_mark_says_what_to_do(bucket: Bucket) -> None:
    """Nothing is concluded until somebody stored something; the message names the rights."""
    bucket.listable = bucket.writable = False
    with pytest.raises(Unavailable, match=r"s3:GetObject .* s3:PutObject"):
        await open_bucket().size(ABSENT)


async def test_an_object_that_alone_is_forbidden_is_missing(bucket: Bucket) -> None:
    """An object that nobody can read stops nobody's partition: its document is refused, its sender stores it again."""
    blob = await open_bucket().put_bytes(b"content")
    bucket.closed.add(key_of(blob.digest))
    assert await open_bucket().size(blob.digest) is None


def take_away(bucket: Bucket) -> None:
    """The bucket is gone, or the settings name another."""
    bucket.exists = False


def forbid(bucket: Bucket) -> None:
    """The key was withdrawn."""
    bucket.listable = bucket.readable = bucket.writable = False


def forbid_to_read(bucket: Bucket) -> None:
    """The rights to list and to write are there, the right to read is not."""
    bucket.readable = False


def put_out_of_order(bucket: Bucket) -> None:
    """Every request for an object fails on the other side."""
    bucket.broken.update(bucket.objects)


@pytest.mark.parametrize("happen", [take_away, forbid, forbid_to_read, put_out_of_order])
async def test_a_bucket_that_does_not_serve_is_not_taken_for_missing_content(
    bucket: Bucket, happen: Callable[[Bucket], None]
) -> None:
    """A fault of ours may pass; nobody's document is declared missing for it."""
    store = open_bucket()
    blob = await store.put_bytes(b"content")
    happen(bucket)
    with pytest.raises(Unavailable):
        await store.size(blob.digest)
    with pytest.raises(Unavailable):
        await read_all(store, blob)


async def test_a_bucket_that_takes_nothing_is_unavailable(bucket: Bucket) -> None:
    """A refused write is told, and leaves what is there as it was."""
    store = open_bucket()
    await store.put_bytes(b"content")
    before = dict(bucket.objects)
    bucket.writable = False
    for content in (b"other", content_of(11 * MIB)):
        with pytest.raises(Unavailable, match="storing"):
            await store.put_bytes(content)
    assert bucket.objects == before
