"""Blob stores as tests open them, and content as tests store it and look at it."""

from contextlib import aclosing
from hashlib import sha256
from pathlib import Path

from axis.core.digest import Digest
from axis.ports import StoredBlob
from axis.storage.blobs import BlobStore, open_store
from tests.contract.object_server import BUCKET

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


def open_bucket() -> BlobStore:
    """Open the bucket as another process would."""
    return open_store(f"s3://{BUCKET}/axis", Path())
