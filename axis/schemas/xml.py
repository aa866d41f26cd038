"""The one XML parser of the axis, hardened in one place.

No DTD, no entities, no network: a document type declaration is refused before anything is made of it, because every
entity attack (local files, expansion bombs, external subsets) begins with one.
"""

from lxml import etree

from axis.errors import Refused

Element = etree._Element  # noqa: SLF001 - the public name is a function


def parse(xml: bytes, *, max_bytes: int, reason: str) -> Element:
    """Parse a small XML document and return its root.

    Raises:
        Refused: with `reason`, when it is too large, not well-formed, or has a document type declaration or entities.
    """
    if len(xml) > max_bytes:
        raise Refused(reason, f"got {len(xml)} bytes of XML, expected at most {max_bytes}")
    # A fresh parser each time: lxml's parsers keep state and must not be shared by threads.
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=False, remove_pis=False
    )
    try:
        root = etree.fromstring(xml, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Refused(reason, "the XML is not well-formed") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise Refused(reason, "the XML has a document type declaration, expected none")
    return root
