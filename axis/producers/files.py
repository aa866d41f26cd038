"""The content of a document's files, each given as bytes or as a path, and whether it can be read and is not too large."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from axis.core.disposition import Reason
from axis.core.policy import AcceptancePolicy
from axis.errors import Refused


def size_of(content: bytes | Path) -> int:
    """Return the size in bytes.

    Raises:
        Refused: `file-missing`, the path names no file that can be read.
    """
    if isinstance(content, bytes):
        return len(content)
    with _faults_of_reading(content):
        if not content.is_file() or not os.access(content, os.R_OK):
            raise _unreadable(content)
        return content.stat().st_size


def read(content: bytes | Path) -> bytes:
    """Return the content; raises as `size_of`."""
    if isinstance(content, bytes):
        return content
    with _faults_of_reading(content):
        return content.read_bytes()


def file_faults(contents: Sequence[bytes | Path], policy: AcceptancePolicy) -> Iterator[Refused]:
    """Yield each file that cannot be read, is empty or larger than the axis takes, then the sum of all where it alone is."""
    total = 0
    for position, content in enumerate(contents, 1):
        try:
            size = size_of(content)
        except Refused as refusal:
            yield refusal
            continue
        if size == 0:
            yield Refused("file-empty", f"part {position} has 0 bytes, expected the document's content")
            continue
        if size > policy.max_part_bytes:
            yield Refused(
                Reason.PART_TOO_LARGE,
                f"part {position} has {size} bytes, expected at most {policy.max_part_bytes}; split it",
            )
            continue
        total += size
    if total > policy.max_total_bytes:
        yield Refused(
            Reason.PART_TOO_LARGE,
            f"the parts have {total} bytes together, expected at most {policy.max_total_bytes}; send several documents",
        )


@contextmanager
def _faults_of_reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> Refused:
    return Refused("file-missing", f"{path} is not a file that can be read")
