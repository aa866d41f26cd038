"""Write files whole or not at all: content grows under a name of its own, and gets its final name when it is durable.

What a process leaves behind that was killed in between is a hidden file `.<random>.partial`, never half of a document; on a
file system without hard links, such as that of a memory stick, it may also be an empty file under the name.
"""

import errno
import fcntl
import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Final, Self
from uuid import uuid4

from axis.core.digest import Digest
from axis.errors import IllegalTransition, Refused

CHUNK_BYTES: Final = 1024 * 1024

_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""How file systems say that they have no hard links."""


class Spool:
    """Content on its way: a file that is hashed while it is written, and gone unless it becomes something.

    Its faults are `OSError`.
    """

    def __init__(self, file: BinaryIO, path: Path | None) -> None:
        self.file = file
        self.size = 0
        self._path = path
        self._hash = sha256()

    @classmethod
    def anonymous(cls) -> Self:
        """Return a spool without a name: it ends with the process, however that ends."""
        return cls(TemporaryFile(), None)

    @classmethod
    def named(cls, folder: Path) -> Self:
        """Return a spool that can become a file in the same file system; its lock tells `sweep` that it is in use."""
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
        """Add content."""
        self._hash.update(chunk)
        self.size += len(chunk)
        self.file.write(chunk)

    def copy(self, path: Path) -> None:
        """Add the content of a file."""
        with path.open("rb") as source:
            while chunk := source.read(CHUNK_BYTES):
                self.write(chunk)

    def replace(self, path: Path) -> None:
        """Become a file, durably, in place of what has that name."""
        self._durable().replace(path)
        sync_folder(path.parent)

    def appear(self, path: Path) -> None:
        """Become a new file, durably; what has that name stays, whoever made it and when.

        Raises:
            Refused: `file-exists`.
        """
        spooled = self._durable()
        try:
            os.link(spooled, path)
        except FileExistsError as error:
            raise name_taken(path) from error
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            _replace_reserved(spooled, path)
        else:
            spooled.unlink()
        sync_folder(path.parent)

    def discard(self) -> None:
        """Close the file, and remove it unless it became something; safe to call after any fault."""
        # The fault that matters was already raised by write, flush or fsync; what cannot be removed is swept later.
        with suppress(OSError):
            self.file.close()
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _durable(self) -> Path:
        if self._path is None:
            raise IllegalTransition("an anonymous spool cannot become a file")
        self.file.flush()
        os.fsync(self.file.fileno())
        return self._path


def write_new(content: bytes, path: Path) -> None:
    """Write a file that does not exist, whole and durable or not at all.

    Raises:
        Refused: `file-exists`.
        OSError: the disk refuses.
    """
    spool = Spool.named(path.parent)
    try:
        spool.write(content)
        spool.appear(path)
    finally:
        spool.discard()


def _replace_reserved(spooled: Path, path: Path) -> None:
    """Give a file a name that nobody has, in two steps: an empty file takes the name first."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError as error:
        raise name_taken(path) from error
    try:
        spooled.replace(path)
    except OSError:
        path.unlink()
        raise


def name_taken(path: Path) -> Refused:
    """Return the refusal to write over another file."""
    return Refused("file-exists", f"{path} exists with other content; choose another folder")


def sweep(path: Path) -> None:
    """Remove a spool whose process ended before it became something."""
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDWR)
        try:
            if _locked(descriptor):
                path.unlink()
        finally:
            os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Take the lock of a spool, which ends with its process; return whether it was free."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
