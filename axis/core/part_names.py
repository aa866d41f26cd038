"""Which names a part may have.

Names are labels: parts are stored by digest. They are still refused when they could mislead a file system, a zip
reader or a person's eyes on export (path traversal, device names, bidirectional overrides, look-alike forms).
"""

import unicodedata
from typing import Final

_DEVICES: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³")}
)
_RESERVED: Final = frozenset({"header.avro", "mimetype", "meta-inf"})
_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def fault_in_name(name: str, max_bytes: int) -> str | None:
    """Return what is wrong with a part's name in a few words, or None when it may be used."""
    if not name:
        return "the name is empty"
    if len(name.encode("utf-8", "surrogatepass")) > max_bytes:
        return f"the name is longer than {max_bytes} bytes"
    if any(unicodedata.category(character) in _REFUSED_CATEGORIES for character in name):
        return "the name has a control, format or unassigned character"
    if unicodedata.normalize("NFC", name) != name:
        return "the name is not in Unicode form NFC"
    if any(character in '/\\:*?"<>|' for character in name):
        return "the name has a path separator or another character that file systems refuse"
    if name[0] in " ." or name[-1] in " .":
        return "the name begins or ends with a dot or a space"
    if name.casefold() in _RESERVED:
        return "the name is reserved for the container"
    if name.split(".", 1)[0].rstrip().casefold() in _DEVICES:
        return "the name is a device name on some systems"
    return None
