"""Manifests: what we write comes back, what others write is read strictly, and attacks end in a refusal."""

from base64 import b64encode
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axis.core.digest import Digest, sha256
from axis.core.disposition import Reason
from axis.core.envelope import HEADER_NAME, Envelope, Part
from axis.errors import Refused
from axis.schemas import manifest
from axis.schemas.manifest import Entry

HEADER = Entry(HEADER_NAME, "avro/binary", sha256(b"header"))
PART = Entry("Tờ trình & phụ lục.pdf", "application/pdf", sha256(b"part"))
PLAIN = manifest.render([HEADER, PART])
NAMES = st.text(max_size=30) | st.sampled_from(
    [
        '"',
        "<x>",
        "&amp;",
        "&lt;",
        "]]>",
        "a%41",
        "%",
        "%%32",
        "%FF",
        "a+b c",
        "../x",
        "\x00",
        "\r\n",
        "é",
        "e\u0301",
        "\u202e",
        "😀",
    ]
)
MEDIA_TYPES = st.sampled_from(
    ["application/pdf", "text/plain", "application/vnd.ms-excel.sheet.macroenabled.12"]
)
ENTRIES = st.lists(
    st.builds(Entry, NAMES, MEDIA_TYPES, st.binary(min_size=32, max_size=32).map(Digest)), max_size=4
)


def refusal(content: bytes) -> Refused:
    """The refusal that reading ends in."""
    with pytest.raises(Refused) as caught:
        manifest.parse(content)
    return caught.value


def with_attribute(name: str, value: str) -> bytes:
    """A manifest whose only part has another URI or media type, as text between the quotes."""
    plain = manifest.render([HEADER, Entry("ten", "text/plain", PART.digest)]).decode()
    return plain.replace(
        {"URI": 'URI="ten"', "MimeType": 'MimeType="text/plain"'}[name], f'{name}="{value}"'
    ).encode()


@given(ENTRIES)
def test_what_we_render_comes_back(parts: list[Entry]) -> None:
    """Every name comes back as it was, however hostile, unless it stands twice."""
    entries = [HEADER, *parts]
    rendered = manifest.render(entries)
    if len({entry.name for entry in entries}) == len(entries):
        assert manifest.parse(rendered) == tuple(entries)
    else:
        assert "same name" in refusal(rendered).detail


@given(st.lists(ENTRIES, min_size=2, max_size=2))
def test_other_entries_make_another_manifest(both: list[list[Entry]]) -> None:
    """Two lists that render alike are the same list, so comparing bytes is comparing lists."""
    one, two = both
    assert (manifest.render([HEADER, *one]) == manifest.render([HEADER, *two])) == (one == two)


def test_what_we_write_is_matched_without_a_parser() -> None:
    """The expected list is returned itself when the manifest is exactly its rendering."""
    expected = (HEADER, PART)
    assert manifest.read(PLAIN, expected) is expected
    other = PLAIN.replace(b"\n", b"\n  ")
    assert manifest.read(other, expected) == expected
    assert manifest.read(other, expected) is not expected


@pytest.mark.parametrize(
    "listed",
    [
        (HEADER,),
        (HEADER, PART, replace(PART, name="2.pdf")),
        (HEADER, replace(PART, digest=sha256(b"other"))),
        (HEADER, replace(PART, name="other.pdf")),
        (HEADER, replace(PART, media_type="text/plain")),
        (replace(HEADER, digest=sha256(b"other")), PART),
        (PART, HEADER),
    ],
)
def test_a_list_that_is_not_the_envelopes_is_refused(listed: tuple[Entry, ...]) -> None:
    """More, fewer, other, renamed, retyped or reordered parts are an altered envelope."""
    with pytest.raises(Refused) as caught:
        manifest.compare(listed, (HEADER, PART))
    assert caught.value.reason == Reason.PART_ALTERED
    manifest.compare((HEADER, PART), (HEADER, PART))


def test_entries_follow_from_the_envelope() -> None:
    """The header comes first, then the parts in their order."""
    part = Part(PART.name, PART.media_type, 4, PART.digest, None)
    envelope = Envelope(b"", b"", b"header", (part,))
    assert manifest.expected_entries(sha256(b"header"), envelope) == (HEADER, PART)


FORMATTING = {
    "blanks": PLAIN.replace(b"\n", b"\n\t "),
    "other prefixes": PLAIN.replace(b"asic:", b"a:").replace(b"xmlns:asic", b"xmlns:a"),
    "single quotes": PLAIN.replace(b'"', b"'"),
    "no declaration": PLAIN.partition(b"\n")[2],
    "utf-16": PLAIN.decode().replace("UTF-8", "UTF-16").encode("utf-16"),
    "blanks in base64": PLAIN.replace(b64encode(PART.digest), b"\n" + b64encode(PART.digest) + b"\n"),
    "character reference": PLAIN.replace(b"application/pdf", b"application&#47;pdf"),
    "plain uri": PLAIN.replace(manifest._quoted(PART.name).encode(), "Tờ trình &amp; phụ lục.pdf".encode()),
}


@pytest.mark.parametrize("content", FORMATTING.values(), ids=FORMATTING.keys())
def test_other_formatting_lists_the_same(content: bytes) -> None:
    """A manifest that other software wrote means what its XML means."""
    assert manifest.parse(content) == (HEADER, PART)


ROOT = b"<asic:ASiCManifest"
ATTACKS = {
    "empty": b"",
    "no xml": b"not xml",
    "two roots": PLAIN + b"<x/>",
    "truncated": PLAIN[:-3],
    "nul": PLAIN.replace(b"\n", b"\0"),
    "dtd": PLAIN.replace(ROOT, b"<!DOCTYPE x>" + ROOT),
    "dtd in utf-16": PLAIN.replace(ROOT, b"<!DOCTYPE x>" + ROOT)
    .decode()
    .replace("UTF-8", "UTF-16")
    .encode("utf-16"),
    "dtd in utf-7": b'<?xml version="1.0" encoding="UTF-7"?>\n+ADw-!DOCTYPE x+AD4-'
    + PLAIN.partition(b"\n")[2],
    "external dtd": PLAIN.replace(ROOT, b'<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">' + ROOT),
    "external entity": PLAIN.replace(
        ROOT, b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + ROOT
    ).replace(b64encode(PART.digest), b"&f;"),
    "parameter entity": PLAIN.replace(
        ROOT, b'<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>' + ROOT
    ),
    "entity in an attribute": PLAIN.replace(
        ROOT, b'<!DOCTYPE x [<!ENTITY e "application/pdf">]>' + ROOT
    ).replace(b'"application/pdf"', b'"&e;"'),
    "expansion": PLAIN.replace(
        ROOT,
        b"<!DOCTYPE x ["
        + b"".join(
            b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 10 if n else b"x" * 10) for n in range(12)
        )
        + b"]>"
        + ROOT,
    ).replace(b'"application/pdf"', b'"&e11;"'),
    "oversize": PLAIN + b" " * manifest.MAX_MANIFEST_BYTES,
    "depth": b"<a>" * 20_000,
    "other root": PLAIN.replace(b"ASiCManifest", b"Manifest"),
    "other namespace": PLAIN.replace(b"02918/v1.2.1", b"02918/v1.1.1"),
    "no reference to a signature": b"".join(
        line for line in PLAIN.splitlines(True) if b"SigReference" not in line
    ),
    "comment": PLAIN.replace(b"<asic:DataObjectReference", b"<!-- x --><asic:DataObjectReference", 1),
    "instruction": PLAIN.replace(b"<asic:DataObjectReference", b"<?x y?><asic:DataObjectReference", 1),
    "comment in a digest": PLAIN.replace(
        b64encode(PART.digest), b64encode(PART.digest).replace(b"=", b"<!-- -->=")
    ),
    "extra element": PLAIN.replace(
        b"</asic:ASiCManifest>", b"<asic:ASiCManifestExtensions/></asic:ASiCManifest>"
    ),
    "extra attribute": PLAIN.replace(
        b"<asic:DataObjectReference ", b'<asic:DataObjectReference Rootfile="true" '
    ),
    "second digest": PLAIN.replace(
        b"</ds:DigestValue>", b"</ds:DigestValue><ds:DigestValue>AA==</ds:DigestValue>"
    ),
    "sha-1": PLAIN.replace(
        b"http://www.w3.org/2001/04/xmlenc#sha256", b"http://www.w3.org/2000/09/xmldsig#sha1"
    ),
    "no algorithm": PLAIN.replace(b' Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"', b""),
    "short digest": PLAIN.replace(b64encode(PART.digest), b64encode(PART.digest[:20])),
    "no base64": PLAIN.replace(b64encode(PART.digest), b"!" * 44),
    "no ascii in base64": PLAIN.replace(b64encode(PART.digest), "ệ".encode() * 44),
    "empty digest": PLAIN.replace(b64encode(PART.digest), b""),
    "name twice": manifest.render([HEADER, PART, PART]),
    "header twice": manifest.render([HEADER, replace(PART, name=HEADER_NAME)]),
    "no header": manifest.render([PART]),
    "header last": manifest.render([PART, HEADER]),
    "no entry": manifest.render([]),
    "header under other encoding": PLAIN.replace(b"header.avro", b"header%2Eavro"),
    "needless percent-encoding": with_attribute("URI", "t%65n"),
    "lower-case percent-encoding": with_attribute("URI", "%c3%a9"),
    "half percent-encoding": with_attribute("URI", "a%20b c"),
    "percent-encoding of no text": with_attribute("URI", "%FF%FE"),
    "overlong percent-encoding": with_attribute("URI", "%C0%AF"),
    "surrogate in percent-encoding": with_attribute("URI", "%ED%A0%80"),
    "media type with parameters": with_attribute("MimeType", "text/plain; charset=utf-8"),
    "media type in upper case": with_attribute("MimeType", "Text/Plain"),
    "media type with a line": with_attribute("MimeType", "text/plain&#10;x/y"),
    "media type without slash": with_attribute("MimeType", "text"),
}


@pytest.mark.parametrize("content", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_manifest_that_is_not_as_it_should_be_is_refused(content: bytes) -> None:
    """Each attack ends in one reason, at once, and tells nothing of what it read."""
    refused = refusal(content)
    assert refused.reason == Reason.MANIFEST_MALFORMED
    assert "root:" not in refused.detail


@given(st.data())
def test_a_flipped_bit_lists_the_same_or_is_noticed(data: st.DataObject) -> None:
    """Whatever one changed byte does to a manifest, reading it raises nothing but a refusal."""
    position = data.draw(st.integers(0, len(PLAIN) - 1))
    changed = PLAIN[:position] + bytes([data.draw(st.integers(0, 255))]) + PLAIN[position + 1 :]
    with suppress(Refused):
        entries = manifest.parse(changed)
        assert entries[0].name == HEADER_NAME
        assert len({entry.name for entry in entries}) == len(entries)


def test_long_names_do_not_fill_memory() -> None:
    """Names are rendered before they are checked, so a name that no part may have is not kept."""
    manifest._quoted.cache_clear()
    manifest.render([HEADER, replace(PART, name="x" * 500_000)])
    assert manifest._quoted.cache_info().currsize == 1
