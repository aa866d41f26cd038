"""Large parts by content address: a folder by default, S3 by URL, memory for tests.

    sha256/<first two hexadecimal digits>/<other 62>    content, complete and durable from the moment it has this name
    partial/.<random>.partial                           (folder only) content on its way in

Content comes in through a spool file, hashed on the way, so that what is stored under a digest is what was hashed, even
when the source changes meanwhile. A name is given only to what is complete: a full disk or a crash leaves none.
Content that is stored again takes the place of what has its name: whoever does so heals what was altered there.

An object store answers for a missing object as it does for a missing bucket (404), and as it does for every object to
somebody without rights (403, where listing is not allowed). So whoever stores something stores the empty content
first, and nothing is called missing before that one showed that the store is there and may be read.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Final, ParamSpec, Protocol, TypeVar

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError
from obstore.store import LocalStore, MemoryStore, ObjectStore, S3Store

from axis.core.digest import Digest, digests_equal
from axis.errors import AxisError, Bilingual, ConfigurationError, IntegrityError, Unavailable
from axis.ports import StoredBlob
from axis.storage.whole import CHUNK_BYTES, Spool, sweep, sync_folder

_UPLOAD_PART_BYTES: Final = 5 * 1024 * 1024
_UPLOADS_AT_ONCE: Final = 4
_SHOWN_CHARACTERS: Final = 300
_RETRY_TIMEOUT: Final = timedelta(seconds=60)
_MARK: Final = Digest(sha256().digest())

_P = ParamSpec("_P")
_T = TypeVar("_T")


class BlobMissing(AxisError):  # noqa: N818 - named as the condition it stands for
    """No content is stored under this digest."""


def open_store(url: str, base: Path) -> "BlobStore":
    """Return the store at a URL.

    Args:
        url: `file:<folder>`, relative to `base` unless absolute; `s3://bucket/prefix`, with the `AWS_*` variables of the
            environment, and the rights `s3:GetObject` to read and `s3:PutObject` to store; or `memory:`, which forgets
            everything when the process ends.
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
                    Bilingual(
                        f"không dùng được {url}: {error}; sửa địa chỉ này hoặc các biến AWS_*",
                        f"{url} cannot be used: {error}; correct it or the AWS_* variables",
                    )
                ) from error
            return BlobStore(_Bucket(store))
        case "memory" if not rest:
            return BlobStore(_Bucket(MemoryStore()))
        case _:
            raise ConfigurationError(
                Bilingual(
                    f"kho tệp lớn là {url!r}, phải là file:<thư mục>, s3://<kho>/<tiền tố> hoặc memory:",
                    f"got blob store {url!r}, expected file:<folder>, s3://bucket/prefix or memory:",
                )
            )


class BlobStore:
    """Implements `axis.ports.BlobStore`; made by `open_store`."""

    def __init__(self, place: "_Place") -> None:
        self._place = place

    async def put_file(self, path: Path) -> StoredBlob:
        """Store the content of a file.

        Raises:
            Unavailable: the file cannot be read, or the store cannot take it now, for instance because it is full;
                nothing of it stays there.
        """
        async with self._spooled() as spool:
            with _faults_of_storage(f"storing {path}"):
                await _in_thread(spool.copy, path)
            return await self._keep(spool)

    async def put_bytes(self, content: bytes) -> StoredBlob:
        """Store content held in memory; raises as `put_file`."""
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
            except self._place.absences:
                await self._place.require()
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
        """Write the verified content to a new file, which appears complete and durable or not at all.

        Raises:
            Refused: `file-exists`, another file has the name.
            IntegrityError: size or SHA-256 are not the expected ones.
            BlobMissing: nothing is stored under the digest.
            Unavailable: the store does not answer, or the file cannot be written.
        """
        with _faults_of_storage(f"writing {path}"):
            spool = Spool.named(path.parent)
        try:
            async for chunk in self.read(digest, size):
                with _faults_of_storage(f"writing {path}"):
                    await _in_thread(spool.write, chunk)
            with _faults_of_storage(f"writing {path}"):
                await _in_thread(spool.appear, path)
        finally:
            spool.discard()

    async def _chunks(self, digest: Digest) -> AsyncGenerator[bytes, None]:
        with _faults_of_storage(f"reading {digest.hex()}"):
            try:
                answer = await obstore.get_async(self._place.store, _key(digest))
            except self._place.absences as error:
                await self._place.require()
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
    async def _spooled(self) -> AsyncIterator[Spool]:
        with _faults_of_storage("storing content"):
            spool = self._place.spool()
        try:
            yield spool
        finally:
            spool.discard()

    async def _keep(self, spool: Spool) -> StoredBlob:
        blob = StoredBlob(spool.digest, spool.size)
        with _faults_of_storage(f"storing {blob.digest.hex()}"):
            await self._place.keep(spool, blob)
        return blob


class _Place(Protocol):
    """Where content is kept; its faults are `Unavailable`, `OSError` and obstore's.

    Attributes:
        absences: the faults of `store` that mean missing content, provided that `require` passes.
    """

    store: ObjectStore
    absences: ClassVar[tuple[type[Exception], ...]]

    def spool(self) -> Spool:
        """Return a new, empty spool."""

    async def keep(self, spool: Spool, blob: StoredBlob) -> None:
        """Give the spooled content its name, in place of what has it; MUST NOT return before it is durable."""

    async def require(self) -> None:
        """Fail when the place itself is gone or closed to us, so that this is not taken for missing content."""


class _Folder:
    """A local folder: obstore reads it, but writes without fsync, so that names are given here."""

    absences: ClassVar[tuple[type[Exception], ...]] = (FileNotFoundError,)

    def __init__(self, root: Path) -> None:
        self._root = root
        self._partial = root / "partial"
        self._complete = root / "sha256"
        for folder in (root, self._partial, self._complete):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.store: ObjectStore = LocalStore(root)
        for path in self._partial.iterdir():
            sweep(path)

    def spool(self) -> Spool:
        return Spool.named(self._partial)

    async def keep(self, spool: Spool, blob: StoredBlob) -> None:
        await _in_thread(self._keep, spool, self._root / _key(blob.digest))

    async def require(self) -> None:
        self._complete.stat()

    def _keep(self, spool: Spool, path: Path) -> None:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        # Always, not only when just made: whoever made them may have crashed before they were durable.
        sync_folder(self._root)
        sync_folder(self._complete)
        spool.replace(path)


class _Bucket:
    """An object store, in which an object appears when its upload is complete."""

    absences: ClassVar[tuple[type[Exception], ...]] = (FileNotFoundError, PermissionDeniedError)

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self._marked = False

    def spool(self) -> Spool:
        return Spool.anonymous()

    async def keep(self, spool: Spool, blob: StoredBlob) -> None:
        # First, so that where anything is stored, those who may only read can tell what is missing.
        if not self._marked:
            await self._mark()
        spool.file.seek(0)
        # Even when the name exists: its size says nothing about what was altered, nor do attributes that were kept.
        await obstore.put_async(
            self.store,
            _key(blob.digest),
            spool.file,
            chunk_size=_UPLOAD_PART_BYTES,
            max_concurrency=_UPLOADS_AT_ONCE,
        )

    async def require(self) -> None:
        try:
            if not await self._shows_mark():
                await self._mark()
                await obstore.head_async(self.store, _key(_MARK))
        except self.absences as error:
            raise Unavailable(
                Bilingual(
                    f"kho đối tượng không cho đọc cũng không nhận nội dung rỗng {_key(_MARK)}; tạo kho (bucket), cấp quyền"
                    " s3:GetObject dưới tiền tố của nó, cho một nút có s3:PutObject lưu một tệp lớn một lần, rồi chạy lại",
                    f"the object store neither shows nor takes the empty content {_key(_MARK)}; create the bucket, grant"
                    " s3:GetObject under its prefix, and let a node with s3:PutObject store a large part once, then repeat",
                )
            ) from error

    async def _shows_mark(self) -> bool:
        try:
            await obstore.head_async(self.store, _key(_MARK))
        except self.absences:
            return False
        return True

    async def _mark(self) -> None:
        await obstore.put_async(self.store, _key(_MARK), b"")
        self._marked = True


def _key(digest: Digest) -> str:
    name = digest.hex()
    return f"sha256/{name[:2]}/{name[2:]}"


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
            Bilingual(
                f"'{doing}' gặp lỗi: {error.strerror or error}; kiểm tra dung lượng trống, quyền và ổ đĩa được gắn (mount),"
                " rồi chạy lại",
                f"{doing}: {error.strerror or error}; check free space, permissions and the mount, then repeat",
            )
        ) from error
    except BaseError as error:
        reason = str(error).partition("\n")[0][:_SHOWN_CHARACTERS]
        raise Unavailable(
            Bilingual(
                f"'{doing}' gặp lỗi: {reason}; kiểm tra kho đối tượng và quyền trên kho, rồi chạy lại",
                f"{doing}: {reason}; check the object store and its rights, then repeat",
            )
        ) from error
