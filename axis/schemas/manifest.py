"""The manifest of an envelope: an `ASiCManifest.xml` (ETSI EN 319 162-1, annex A.4) that lists each signed part.

Kept byte for byte, so that an ASiC-E container is a zip of bytes already held. Matching a manifest against an envelope
never needs the XML parser for what our own software writes: the same list is rendered again and the bytes are compared.
Only a manifest in other formatting is parsed, strictly.
"""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

from axis.core.digest import DIGEST_BYTES, Digest, digests_equal
from axis.core.disposition import Reason
from axis.core.envelope import HEADER_NAME, Envelope
from axis.errors import Refused
from axis.schemas import xml

MAX_MANIFEST_BYTES: Final = 128 * 1024
_ASIC: Final = "http://uri.etsi.org/02918/v1.2.1#"
_DS: Final = "http://www.w3.org/2000/09/xmldsig#"
_SHA256: Final = "http://www.w3.org/2001/04/xmlenc#sha256"
_SIGNATURE_URI: Final = "META-INF/signature001.p7s"
_CACHED_CHARACTERS: Final = 255
_HEADER_TYPE: Final = "avro/binary"
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$^_.+-]{0,126}/[a-z0-9][a-z0-9!#$^_.+-]{0,126}")

_HEAD: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    f'<asic:ASiCManifest xmlns:asic="{_ASIC}" xmlns:ds="{_DS}">\n'
    f'<asic:SigReference URI="{_SIGNATURE_URI}" MimeType="application/pkcs7-signature"/>\n'
)
_TAIL: Final = "</asic:ASiCManifest>\n"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the manifest: a part's name, media type and SHA-256."""

    name: str
    media_type: str
    digest: Digest


def render(entries: Iterable[Entry]) -> bytes:
    """Return the manifest bytes for these entries, the header first."""
    return "".join([_HEAD, *(_reference(entry) for entry in entries), _TAIL]).encode()


def expected_entries(header_digest: Digest, envelope: Envelope) -> tuple[Entry, ...]:
    """Return the entries that the manifest of this envelope must have, in order."""
    return (
        Entry(HEADER_NAME, _HEADER_TYPE, header_digest),
        *(Entry(part.name, part.media_type, part.digest) for part in envelope.parts),
    )


def read(manifest: bytes, expected: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the entries that a manifest lists: `expected` itself when the manifest is exactly its rendering.

    Raises:
        Refused: `manifest-malformed`.
    """
    if all(is_media_type(entry.media_type) for entry in expected) and render(expected) == manifest:
        return expected
    return parse(manifest)


def compare(listed: tuple[Entry, ...], expected: tuple[Entry, ...]) -> None:
    """Check that the manifest lists exactly the header and the parts that the envelope has, in order.

    Raises:
        Refused: `part-altered`.
    """
    if len(listed) != len(expected):
        raise Refused(
            Reason.PART_ALTERED, f"got header and {len(expected) - 1} parts, the manifest lists {len(listed)}"
        )
    for position, (want, got) in enumerate(zip(listed, expected, strict=True)):
        same_label = want.media_type == got.media_type and want.name == got.name
        if not same_label or not digests_equal(want.digest, got.digest):
            raise Refused(
                Reason.PART_ALTERED,
                f"entry {position} has SHA-256 {got.digest.hex()}, the manifest lists {want.digest.hex()}",
            )


def parse(manifest: bytes) -> tuple[Entry, ...]:
    """Read a manifest strictly.

    Raises:
        Refused: `manifest-malformed`.
    """
    root = xml.parse(manifest, max_bytes=MAX_MANIFEST_BYTES, reason=Reason.MANIFEST_MALFORMED)
    if root.tag != f"{{{_ASIC}}}ASiCManifest":
        raise _malformed(f"the root element is {root.tag!s:.100}, expected ASiCManifest")
    children = list(root)
    if not children or children[0].tag != f"{{{_ASIC}}}SigReference":
        raise _malformed("the first element must be SigReference")
    entries = tuple(_entry(child) for child in children[1:])
    names = [entry.name for entry in entries]
    if len(set(names)) != len(names):
        raise _malformed("two parts have the same name")
    if not names or names[0] != HEADER_NAME:
        raise _malformed(f"the first part must be {HEADER_NAME}")
    return entries


def is_media_type(text: str) -> bool:
    """Tell whether a text is a media type as envelopes carry it: lower case, no parameters (RFC 6838, 4.2)."""
    return _MEDIA_TYPE.fullmatch(text) is not None


def _reference(entry: Entry) -> str:
    # Names are cached before they are checked: a longer one would fill memory and is refused anyway.
    uri = _quoted(entry.name) if len(entry.name) <= _CACHED_CHARACTERS else quote(entry.name, safe="")
    return (
        f'<asic:DataObjectReference URI="{uri}" MimeType="{entry.media_type}">'
        f'<ds:DigestMethod Algorithm="{_SHA256}"/>'
        f"<ds:DigestValue>{b64encode(entry.digest).decode()}</ds:DigestValue>"
        "</asic:DataObjectReference>\n"
    )


@lru_cache(maxsize=4096)
def _quoted(name: str) -> str:
    return quote(name, safe="")


def _entry(element: xml.Element) -> Entry:
    if not isinstance(element.tag, str):
        raise _malformed("got a comment or an instruction, expected DataObjectReference")
    if element.tag != f"{{{_ASIC}}}DataObjectReference":
        raise _malformed(f"got element {element.tag!s:.100}, expected DataObjectReference")
    if set(element.attrib) != {"URI", "MimeType"}:
        raise _malformed("a DataObjectReference must have exactly the attributes URI and MimeType")
    children = list(element)
    if [child.tag for child in children] != [f"{{{_DS}}}DigestMethod", f"{{{_DS}}}DigestValue"]:
        raise _malformed("a DataObjectReference must hold DigestMethod and DigestValue")
    method, digest_value = children
    if method.attrib.items() != [("Algorithm", _SHA256)] or len(method) or len(digest_value):
        raise _malformed("the digest algorithm must be SHA-256")
    uri, media_type = str(element.attrib["URI"]), str(element.attrib["MimeType"])
    try:
        name = unquote(uri, errors="strict") if uri.isascii() else uri
    except UnicodeDecodeError as error:
        raise _malformed("a URI does not stand for a name in UTF-8") from error
    if uri not in (name, quote(name, safe="")):
        raise _malformed("a URI must be the plain or the fully percent-encoded name")
    if not is_media_type(media_type):
        raise _malformed("a MimeType must be a lower-case media type without parameters")
    return Entry(name, media_type, _digest(digest_value.text or ""))


def _digest(text: str) -> Digest:
    try:
        digest = b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _malformed("a DigestValue is not Base64") from error
    if len(digest) != DIGEST_BYTES:
        raise _malformed(f"a DigestValue has {len(digest)} bytes, expected {DIGEST_BYTES}")
    return Digest(digest)


def _malformed(detail: str) -> Refused:
    return Refused(Reason.MANIFEST_MALFORMED, detail)
