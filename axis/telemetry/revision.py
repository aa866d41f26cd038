"""Which software runs, more exactly than its version says."""

from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Final

_CHARACTERS: Final = 12
_SUFFIXES: Final = frozenset({".py", ".avsc"})


@cache
def revision() -> str:
    """Return a short digest of the program's own files: the same on two machines only where they run the same code.

    A digest, because an installed package carries no commit, and because it also shows a file changed by hand.
    """
    package = Path(str(files("axis")))
    content = sha256()
    for path in sorted(path for path in package.rglob("*") if path.suffix in _SUFFIXES):
        content.update(path.relative_to(package).as_posix().encode() + b"\0")
        content.update(sha256(path.read_bytes()).digest())
    return content.hexdigest()[:_CHARACTERS]
