"""What every blob store promises; a folder on a full disk and after a crash; a bucket that is closed, gone or altered."""

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing
from hashlib import sha256
from pathlib import Path

import pytest

from axis.core.digest import Digest
from axis.errors import ConfigurationError, IntegrityError, Refused, Unavailable
from axis.ports import StoredBlob
from axis.storage.blobs import BlobMissing, BlobStore, open_store
from axis.storage.whole import CHUNK_BYTES
from tests.contract.object_server import BUCKET, Bucket, serve

SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 11 * CHUNK_BYTES + 7]
ABSENT = Digest(bytes(32))
MIB = 1024 * 1024


def content_of(size: int) -> bytes:
    """Return this many bytes in which no two chunks are alike."""
    return b"".join(sha256(number.to_bytes(8, "big")).digest() for number in range(size // 32 + 1))[:size]


async def read_all(store: BlobStore, blob: StoredBlob) -> bytes:
    """Return the whole content."""
    received: list[bytes] = []
    await read_into(received, store, blob)
    return b"".join(received)


async def read_into(received: list[bytes], store: BlobStore, blob: StoredBlob) -> None:
    """Append each chunk as it is handed out."""
    async with aclosing(store.read(blob.digest, blob.size)) as chunks:
        async for chunk in chunks:
            received.append(chunk)  # noqa: PERF401 - what came before a fault is wanted


def files_in(folder: Path) -> list[Path]:
    """Return every file in a folder and below."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def path_of(root: Path, digest: bytes) -> Path:
    """Return where the folder keeps this content."""
    name = digest.hex()
    return root / "sha256" / name[:2] / name[2:]


def key_of(digest: bytes) -> str:
    """Return where the bucket keeps this content."""
    return f"axis/{path_of(Path(), digest)}"


MARK = key_of(sha256().digest())


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket, with every right, which the environment names."""
    with serve() as served:
        monkeypatch.setenv("AWS_ENDPOINT", served.endpoint)
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "clerk")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the tests")
        yield served


def open_bucket() -> BlobStore:
    """Open the bucket as another process would."""
    return open_store(f"s3://{BUCKET}/axis", Path())


@pytest.fixture(params=["file:blobs", "memory:", "s3:"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """Each kind of store, empty."""
    if request.param == "s3:":
        request.getfixturevalue("bucket")
        return open_bucket()
    return open_store(request.param, tmp_path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the folder store of a test lies."""
    return tmp_path / "blobs"


@pytest.fixture
def folder(root: Path) -> BlobStore:
    """An empty folder store."""
    return open_store("file:blobs", root.parent)


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


async def test_a_cancelled_write_leaves_nothing(folder: BlobStore, root: Path, tmp_path: Path) -> None:
    """Cancelling a write ends it cleanly, however long its source has still to say something."""
    source = tmp_path / "source"
    os.mkfifo(source)
    writing = asyncio.create_task(folder.put_file(source))
    with await asyncio.to_thread(source.open, "wb", buffering=0) as line:
        await asyncio.to_thread(line.write, content_of(CHUNK_BYTES))
        assert len(files_in(root / "partial")) == 1
        writing.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert files_in(root) == []


async def test_a_file_that_cannot_be_read_is_unavailable(
    folder: BlobStore, root: Path, tmp_path: Path
) -> None:
    """A source that is not there is named, and nothing stays of it."""
    with pytest.raises(Unavailable, match=r"nowhere\.pdf"):
        await folder.put_file(tmp_path / "nowhere.pdf")
    assert files_in(root) == []


async def test_the_folder_has_the_documented_layout(folder: BlobStore, root: Path) -> None:
    """One file per content under its address, readable by its owner alone; nothing else."""
    blob = await folder.put_bytes(b"content")
    assert files_in(root) == [path_of(root, blob.digest)]
    assert path_of(root, blob.digest).stat().st_mode & 0o077 == 0
    assert await read_all(open_store(f"file:{root}", Path("/elsewhere")), blob) == b"content"


@pytest.mark.parametrize("size", [7, 5 * CHUNK_BYTES])
@pytest.mark.parametrize("place", ["first", "last"])
async def test_altered_content_is_never_handed_out_whole(
    folder: BlobStore, root: Path, tmp_path: Path, size: int, place: str
) -> None:
    """A flipped bit is found before the last chunk leaves, and a fetched file does not appear at all."""
    blob = await folder.put_bytes(content_of(size))
    path = path_of(root, blob.digest)
    altered = bytearray(path.read_bytes())
    altered[0 if place == "first" else -1] ^= 1
    path.write_bytes(altered)
    received: list[bytes] = []
    with pytest.raises(IntegrityError, match="SHA-256"):
        await read_into(received, folder, blob)
    assert sum(len(chunk) for chunk in received) < size
    with pytest.raises(IntegrityError):
        await folder.fetch_to(blob.digest, blob.size, tmp_path / "fetched")
    assert files_in(tmp_path) == [path]


async def test_storing_again_repairs_altered_content(folder: BlobStore, root: Path) -> None:
    """The folder replaces what it holds: a sender who stores the content again heals it."""
    blob = await folder.put_bytes(b"content")
    path_of(root, blob.digest).write_bytes(b"contenT")
    await folder.put_bytes(b"content")
    assert await read_all(folder, blob) == b"content"


async def test_a_folder_that_is_gone_is_not_taken_for_missing_content(folder: BlobStore, root: Path) -> None:
    """An unmounted disk is our fault and may come back; nobody's document is declared missing for it."""
    blob = await folder.put_bytes(b"content")
    os.rename(root, f"{root}-unmounted")  # noqa: PTH104 - a test may block
    with pytest.raises(Unavailable, match="mount"):
        await folder.size(blob.digest)
    with pytest.raises(Unavailable, match="mount"):
        await read_all(folder, blob)
    with pytest.raises(Unavailable, match="mount"):
        await folder.put_bytes(b"content")
    os.rename(f"{root}-unmounted", root)  # noqa: PTH104
    assert await read_all(folder, blob) == b"content"


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


@pytest.fixture
def largest_file() -> Iterator[int]:
    """The system refuses files larger than this many bytes, as it does when a quota is used up."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = 2 * MIB
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield limit
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_write_beyond_the_limit_is_unavailable(
    folder: BlobStore, root: Path, largest_file: int
) -> None:
    """The refusal of the system is told with what to do, nothing stays, and smaller content is still taken."""
    with pytest.raises(Unavailable, match="File too large; check free space"):
        await folder.put_bytes(content_of(largest_file + 1))
    assert files_in(root) == []
    assert (await folder.put_bytes(b"small")).size == 5


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(mounted)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


async def test_a_full_disk_is_unavailable_until_space_is_freed(small_disk: Path) -> None:
    """On a full disk a write fails clearly and leaves nothing; after space is freed the same call succeeds."""
    store = open_store(f"file:{small_disk / 'blobs'}", small_disk)
    kept = await store.put_bytes(content_of(MIB))
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(4 * MIB))
    content = content_of(5 * MIB)
    digest = Digest(sha256(content).digest())
    with pytest.raises(Unavailable, match="No space left on device; check free space"):
        await store.put_bytes(content)
    assert files_in(small_disk / "blobs") == [path_of(small_disk / "blobs", kept.digest)]
    assert await store.size(digest) is None
    assert await read_all(store, kept) == content_of(MIB)
    ballast.unlink()
    assert await store.put_bytes(content) == StoredBlob(digest, 5 * MIB)


async def test_a_full_disk_leaves_no_half_fetched_file(small_disk: Path, tmp_path: Path) -> None:
    """Fetching to a full disk fails clearly and leaves neither the file nor a part of it."""
    store = open_store("file:blobs", tmp_path)
    blob = await store.put_bytes(content_of(9 * MIB))
    with pytest.raises(Unavailable, match="No space left on device"):
        await store.fetch_to(blob.digest, blob.size, small_disk / "document.pdf")
    assert files_in(small_disk) == []


WRITER = """
import asyncio, sys
from pathlib import Path
from axis.storage.blobs import open_store

asyncio.run(open_store(f"file:{sys.argv[1]}", Path()).put_file(Path(sys.argv[2])))
"""


def test_a_killed_writer_leaves_nothing_after_the_next_start(
    folder: BlobStore, root: Path, tmp_path: Path
) -> None:
    """What a killed process had begun has no address, and is swept; what a living one writes is left alone."""
    kept = asyncio.run(folder.put_bytes(b"content"))
    source = tmp_path / "source"
    os.mkfifo(source)
    with (
        subprocess.Popen([sys.executable, "-c", WRITER, str(root), str(source)]) as writer,
        source.open("wb", buffering=0) as line,
    ):
        line.write(content_of(3 * MIB))
        open_store(f"file:{root}", root)
        assert len(files_in(root / "partial")) == 1
        writer.kill()
    assert files_in(root / "sha256") == [path_of(root, kept.digest)]
    open_store(f"file:{root}", root)
    assert files_in(root) == [path_of(root, kept.digest)]


MEASURED = """
import asyncio, sys
from pathlib import Path
from axis.storage.blobs import open_store

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

async def main():
    store = open_store(f"file:{sys.argv[1]}/blobs", Path())
    await store.put_bytes(b"warm")
    before = peak()
    blob = await store.put_file(Path(sys.argv[1], "large"))
    await store.fetch_to(blob.digest, blob.size, Path(sys.argv[1], "fetched"))
    print(peak() - before, blob.size)

asyncio.run(main())
"""


def test_large_content_passes_in_little_memory(tmp_path: Path) -> None:
    """Storing and fetching 200 MB takes less than 64 MB of memory beyond what the program takes anyway."""
    with (tmp_path / "large").open("wb") as large:
        for number in range(200):
            large.write(number.to_bytes(8, "big") * 125_000)
    ended = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path)], capture_output=True, check=True, text=True
    )
    grown, size = (int(word) for word in ended.stdout.split())
    assert size == 200_000_000
    assert grown < 64_000_000


@pytest.mark.parametrize("url", ["", "file:", "s3:bucket", "memory:x", "http://example.test/", "blobs"])
def test_other_urls_are_the_operators_matter(url: str, tmp_path: Path) -> None:
    """A URL that is none of the three kinds is refused with the three that are known."""
    with pytest.raises(ConfigurationError, match=r"expected file:<folder>, s3://bucket/prefix or memory:"):
        open_store(url, tmp_path)


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    """A file where the folder should be is told at the start, not at the first document."""
    (tmp_path / "blobs").write_text("in the way")
    with pytest.raises(Unavailable, match="opening file:blobs"):
        open_store("file:blobs", tmp_path)
