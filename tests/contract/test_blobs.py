"""What every blob store promises."""

import asyncio
from hashlib import sha256
from pathlib import Path

import pytest

from axis.core.digest import Digest
from axis.errors import ConfigurationError, IntegrityError, Refused
from axis.ports import StoredBlob
from axis.storage.blobs import BlobMissing, BlobStore, open_store
from axis.storage.whole import CHUNK_BYTES
from tests.contract.blob_stores import ABSENT, content_of, files_in, open_bucket, read_all

SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 11 * CHUNK_BYTES + 7]


@pytest.fixture(params=["file:blobs", "memory:", "s3:"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """Each kind of store, empty."""
    if request.param == "s3:":
        request.getfixturevalue("bucket")
        return open_bucket()
    return open_store(request.param, tmp_path)


@pytest.mark.parametrize("size", SIZES)
async def test_content_comes_back_byte_for_byte(store: BlobStore, tmp_path: Path, size: int) -> None:
    """However it was handed in, content has its SHA-256 as address and comes back unchanged."""
    content = content_of(size)
    source = tmp_path / "source"
    source.write_bytes(content)
    expected = StoredBlob(Digest(sha256(content).digest()), size)
    assert await store.put_bytes(content) == expected
    assert await store.put_file(source) == expected
    assert await store.size(expected.digest) == size
    assert await read_all(store, expected) == content


async def test_the_same_content_may_be_stored_many_times_at_once(store: BlobStore) -> None:
    """Writers of the same content do not disturb each other."""
    content = content_of(3 * CHUNK_BYTES)
    blobs = await asyncio.gather(*(store.put_bytes(content) for _ in range(8)))
    assert len(set(blobs)) == 1
    assert await read_all(store, blobs[0]) == content


async def test_missing_content_is_told_from_a_store_that_does_not_answer(
    store: BlobStore, tmp_path: Path
) -> None:
    """What was never stored has no size and cannot be read, and nothing is written for it."""
    assert await store.size(ABSENT) is None
    with pytest.raises(BlobMissing, match="00000000"):
        await read_all(store, StoredBlob(ABSENT, 1))
    with pytest.raises(BlobMissing):
        await store.fetch_to(ABSENT, 1, tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


@pytest.mark.parametrize("wrong", [0, 5 * CHUNK_BYTES - 1, 5 * CHUNK_BYTES + 1])
async def test_another_size_than_expected_is_refused(store: BlobStore, wrong: int) -> None:
    """The size is part of the claim, as the digest is."""
    blob = await store.put_bytes(content_of(5 * CHUNK_BYTES))
    with pytest.raises(IntegrityError, match="bytes, expected"):
        await read_all(store, StoredBlob(blob.digest, wrong))


@pytest.mark.parametrize("size", [0, CHUNK_BYTES * 2 + 5])
async def test_content_is_fetched_into_a_file(store: BlobStore, tmp_path: Path, size: int) -> None:
    """A fetched file has the content, and no other file is left beside it."""
    target = tmp_path / "fetched" / "document.pdf"
    target.parent.mkdir()
    blob = await store.put_bytes(content_of(size))
    await store.fetch_to(blob.digest, blob.size, target)
    assert target.read_bytes() == content_of(size)
    assert files_in(target.parent) == [target]


async def test_another_file_is_never_fetched_over(store: BlobStore, tmp_path: Path) -> None:
    """Who has a file of that name keeps it, and nothing is left beside it."""
    target = tmp_path / "fetched" / "document.pdf"
    target.parent.mkdir()
    target.write_bytes(b"somebody else's")
    blob = await store.put_bytes(b"content")
    with pytest.raises(Refused, match="file-exists"):
        await store.fetch_to(blob.digest, blob.size, target)
    assert target.read_bytes() == b"somebody else's"
    assert files_in(target.parent) == [target]


@pytest.mark.parametrize("url", ["", "file:", "s3:bucket", "memory:x", "http://example.test/", "blobs"])
def test_other_urls_are_the_operators_matter(url: str, tmp_path: Path) -> None:
    """A URL that is none of the three kinds is refused with the three that are known."""
    with pytest.raises(ConfigurationError, match=r"expected file:<folder>, s3://bucket/prefix or memory:"):
        open_store(url, tmp_path)
