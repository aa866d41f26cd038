"""A disk that is full: for this process alone, and for as long as the block lasts."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def full_disk(database: Path) -> Iterator[None]:
    """Let no file of a database grow; Python ignores the signal, so that a write fails as on a full disk."""
    largest = max(path.stat().st_size for path in database.parent.glob(f"{database.name}*"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
