"""Large parts by content address: a folder by default, S3 by URL, memory for tests.

    sha256/<first two hexadecimal digits>/<other 62>    content, complete and durable from the moment it has this name
    partial/.<random>.partial                           (folder only) content on its way in

Content comes in through a spool file, hashed on the way, so that what is stored under a digest is what was hashed, even
when the source changes meanwhile. A name is given only to what is complete: a full disk or a crash leaves none.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Final, ParamSpec, Protocol, TypeVar
from uuid import uuid4

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, ObjectStore, S3Store

from axis.core.digest import Digest, digests_equal
from axis.errors import AxisError, ConfigurationError, IllegalTransition, IntegrityError, Unavailable
from axis.ports import StoredBlob

CHUNK_BYTES: Final = 1024 * 1024

_UPLOAD_PART_BYTES: Final = 5 * 1024 * 1024
_UPLOADS_AT_ONCE: Final = 4
_SHOWN_CHARACTERS: Final = 300
_RETRY_TIMEOUT: Final = timedelta(seconds=60)

_P = ParamSpec("_P")
_T = TypeVar("_T")


class BlobMissing(AxisError):  # noqa: N818 - named as the condition it stands for
    """No content is stored under this digest."""


def open_store(url: str, base: Path) -> "BlobStore":
    """Return the store at a URL.

    Args:
        url: `file:<folder>`, relative to `base` unless absolute; `s3://bucket/prefix`, with the `AWS_*` variables of the
            environment; or `memory:`, which forgets everything when the process ends.
        base: the data folder.

    Raises:
        ConfigurationError: the URL is none of these, or the S3 settings cannot be used.
        Unavailable: the folder cannot be made.
    """
    scheme, _, rest = url.partition(":")
    match scheme:
        case "file" if rest:
            with _faults_of_storage(f"opening {url}"):
                return BlobStore(_Folder(base / rest))
        case "s3" if rest.startswith("//"):
            try:
                store = S3Store.from_url(
                    url, retry_config={"max_retries": 5, "retry_timeout": _RETRY_TIMEOUT}
                )
            except BaseError as error:
                raise ConfigurationError(
                    f"{url} cannot be used: {error}; correct it or the AWS_* variables"
                ) from error
            return BlobStore(_Bucket(store))
        case "memory" if not rest:
            return BlobStore(_Bucket(MemoryStore()))
        case _:
            raise ConfigurationError(
                f"got blob store {url!r}, expected file:<folder>, s3://bucket/prefix or memory:"
            )


class BlobStore:
    """Implements `axis.ports.BlobStore`; made by `open_store`."""

    def __init__(self, place: "_Place") -> None:
        self._place = place

    async def put(self, chunks: AsyncIterable[bytes]) -> StoredBlob:
        """Store content that comes in chunks of any size.

        Raises:
            Unavailable: the store cannot take it now, for instance because it is full; nothing of it stays there.
        """
        async with self._spooled() as spool:
            async for chunk in chunks:
                with _faults_of_storage("storing content"):
                    await _in_thread(spool.write, chunk)
            return await self._keep(spool)

    async def put_file(self, path: Path) -> StoredBlob:
        """Store the content of a file; raises as `put`, and `Unavailable` when the file cannot be read."""
        async with self._spooled() as spool:
            with _faults_of_storage(f"storing {path}"):
                await _in_thread(spool.copy, path)
            return await self._keep(spool)

    async def put_bytes(self, content: bytes) -> StoredBlob:
        """Store content held in memory; raises as `put`."""
        async with self._spooled() as spool:
            with _faults_of_storage("storing content"):
                await _in_thread(spool.write, content)
            return await self._keep(spool)

    async def size(self, digest: Digest) -> int | None:
        """Return the size in bytes of stored content, None when it is not there.

        Raises:
            Unavailable: the store does not answer.
        """
        with _faults_of_storage(f"looking for {digest.hex()}"):
            try:
                return (await obstore.head_async(self._place.store, _key(digest)))["size"]
            except FileNotFoundError:
                self._place.require()
                return None

    async def read(self, digest: Digest, expected_size: int) -> AsyncGenerator[bytes, None]:
        """Yield the content in chunks of about 1 MiB, the last one only when everything has been verified.

        Raises:
            IntegrityError: size or SHA-256 are not the expected ones.
            BlobMissing: nothing is stored under the digest.
            Unavailable: the store does not answer.
        """
        computed = sha256()
        size = 0
        held = b""
        async with aclosing(self._chunks(digest)) as chunks:
            async for chunk in chunks:
                computed.update(chunk)
                size += len(chunk)
                if size > expected_size:
                    break
                if held:
                    yield held
                held = chunk
        if size != expected_size:
            raise IntegrityError(
                f"content {digest.hex()} has {'at least ' if size > expected_size else ''}{size} bytes, expected"
                f" {expected_size}; restore it from its sender or a backup"
            )
        if not digests_equal(computed.digest(), digest):
            raise IntegrityError(
                f"content {digest.hex()} has SHA-256 {computed.hexdigest()}; restore it from its sender or a backup"
            )
        if held:
            yield held

    async def fetch_to(self, digest: Digest, size: int, path: Path) -> None:
        """Write the verified content to a file, which appears complete and durable or not at all.

        Raises:
            IntegrityError: size or SHA-256 are not the expected ones.
            BlobMissing: nothing is stored under the digest.
            Unavailable: the store does not answer, or the file cannot be written.
        """
        with _faults_of_storage(f"writing {path}"):
            spool = _Spool.named(path.parent)
        try:
            async for chunk in self.read(digest, size):
                with _faults_of_storage(f"writing {path}"):
                    await _in_thread(spool.write, chunk)
            with _faults_of_storage(f"writing {path}"):
                await _in_thread(spool.become, path)
        finally:
            spool.discard()

    async def _chunks(self, digest: Digest) -> AsyncGenerator[bytes, None]:
        with _faults_of_storage(f"reading {digest.hex()}"):
            try:
                answer = await obstore.get_async(self._place.store, _key(digest))
            except FileNotFoundError as error:
                self._place.require()
                raise BlobMissing(
                    f"no content is stored under {digest.hex()}; ask its sender to store it again"
                ) from error
            stream = aiter(answer.stream(min_chunk_size=CHUNK_BYTES))
        while True:
            with _faults_of_storage(f"reading {digest.hex()}"):
                try:
                    chunk = bytes(await anext(stream))
                except StopAsyncIteration:
                    return
            yield chunk

    @asynccontextmanager
    async def _spooled(self) -> AsyncIterator["_Spool"]:
        with _faults_of_storage("storing content"):
            spool = self._place.spool()
        try:
            yield spool
        finally:
            spool.discard()

    async def _keep(self, spool: "_Spool") -> StoredBlob:
        blob = StoredBlob(spool.digest, spool.size)
        with _faults_of_storage(f"storing {blob.digest.hex()}"):
            await self._place.keep(spool, blob)
        return blob


class _Place(Protocol):
    """Where content is kept; its faults are `OSError` and obstore's."""

    store: ObjectStore

    def spool(self) -> "_Spool":
        """Return a new, empty spool."""

    async def keep(self, spool: "_Spool", blob: StoredBlob) -> None:
        """Give the spooled content its name; MUST NOT return before it is durable."""

    def require(self) -> None:
        """Raise `OSError` when the place itself is gone, so that this is not taken for missing content."""


class _Folder:
    """A local folder: obstore reads it, but writes without fsync, so that names are given here."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._partial = root / "partial"
        self._complete = root / "sha256"
        for folder in (root, self._partial, self._complete):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.store: ObjectStore = LocalStore(root)
        for path in self._partial.iterdir():
            _sweep(path)

    def spool(self) -> "_Spool":
        return _Spool.named(self._partial)

    async def keep(self, spool: "_Spool", blob: StoredBlob) -> None:
        await _in_thread(self._keep, spool, self._root / _key(blob.digest))

    def require(self) -> None:
        self._complete.stat()

    def _keep(self, spool: "_Spool", path: Path) -> None:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        # Always, not only when just made: whoever made them may have crashed before they were durable.
        _sync_folder(self._root)
        _sync_folder(self._complete)
        spool.become(path)


class _Bucket:
    """An object store, in which an object appears when its upload is complete."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    def spool(self) -> "_Spool":
        return _Spool.anonymous()

    async def keep(self, spool: "_Spool", blob: StoredBlob) -> None:
        key = _key(blob.digest)
        with suppress(FileNotFoundError):
            if (await obstore.head_async(self.store, key))["size"] == blob.size:
                return
        spool.file.seek(0)
        await obstore.put_async(
            self.store, key, spool.file, chunk_size=_UPLOAD_PART_BYTES, max_concurrency=_UPLOADS_AT_ONCE
        )

    def require(self) -> None:
        """An object store tells a missing bucket from a missing object by itself."""


class _Spool:
    """Content on its way: a file that is hashed while it is written, and gone unless it becomes something."""

    def __init__(self, file: BinaryIO, path: Path | None) -> None:
        self.file = file
        self.size = 0
        self._path = path
        self._hash = sha256()

    @classmethod
    def anonymous(cls) -> "_Spool":
        """Return a spool without a name: it ends with the process, however that ends."""
        return cls(TemporaryFile(), None)

    @classmethod
    def named(cls, folder: Path) -> "_Spool":
        """Return a spool that can `become` a file in the same file system; its lock tells `_sweep` that it is in use."""
        while True:
            path = folder / f".{uuid4().hex}.partial"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            if _locked(descriptor) and os.fstat(descriptor).st_nlink:
                return cls(os.fdopen(descriptor, "w+b"), path)
            os.close(descriptor)  # swept in the instant before it was locked

    @property
    def digest(self) -> Digest:
        """SHA-256 of what was written so far."""
        return Digest(self._hash.digest())

    def write(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.size += len(chunk)
        self.file.write(chunk)

    def copy(self, path: Path) -> None:
        with path.open("rb") as source:
            while chunk := source.read(CHUNK_BYTES):
                self.write(chunk)

    def become(self, path: Path) -> None:
        """Give the file its final name, durably; only for a named spool."""
        if self._path is None:
            raise IllegalTransition("an anonymous spool cannot become a file")
        self.file.flush()
        os.fsync(self.file.fileno())
        self._path.replace(path)
        _sync_folder(path.parent)

    def discard(self) -> None:
        """Close the file, and remove it unless it became something; safe to call after any fault."""
        # The fault that matters was already raised by write, flush or fsync; what cannot be removed is swept later.
        with suppress(OSError):
            self.file.close()
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)


def _key(digest: Digest) -> str:
    name = digest.hex()
    return f"sha256/{name[:2]}/{name[2:]}"


def _sweep(path: Path) -> None:
    """Remove a spool whose process ended before it became something."""
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDWR)
        try:
            if _locked(descriptor):
                path.unlink()
        finally:
            os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Take the lock of a spool, which ends with its process; return whether it was free."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def _in_thread(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run blocking IO in a thread, and on cancellation wait for it: a file in use must not be closed."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


@contextmanager
def _faults_of_storage(doing: str) -> Iterator[None]:
    """Turn faults of files and object stores into `Unavailable`."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"{doing}: {error.strerror or error}; check free space, permissions and the mount, then repeat"
        ) from error
    except BaseError as error:
        reason = str(error).partition("\n")[0][:_SHOWN_CHARACTERS]
        raise Unavailable(f"{doing}: {reason}; check the object store and its rights, then repeat") from error
