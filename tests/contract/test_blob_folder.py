"""A folder as blob store: its layout, altered content, a full disk, a killed writer."""

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from axis.core.digest import Digest
from axis.errors import IntegrityError, Unavailable
from axis.ports import StoredBlob
from axis.storage.blobs import BlobStore, open_store
from axis.storage.whole import CHUNK_BYTES
from tests.contract.blob_stores import MIB, content_of, files_in, path_of, read_all, read_into


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the folder store of a test lies."""
    return tmp_path / "blobs"


@pytest.fixture
def folder(root: Path) -> BlobStore:
    """An empty folder store."""
    return open_store("file:blobs", root.parent)


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
        pytest.skip("mount: this machine does not let the tests mount a tmpfs")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


@pytest.mark.mount
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


@pytest.mark.mount
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


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    """A file where the folder should be is told at the start, not at the first document."""
    (tmp_path / "blobs").write_text("in the way")
    with pytest.raises(Unavailable, match="opening file:blobs"):
        open_store("file:blobs", tmp_path)
