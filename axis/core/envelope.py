"""The envelope: the signed unit on the wire, and the header it carries.

The signature covers the manifest, the manifest lists the SHA-256 of the header and of every part. The identity of an
envelope is the SHA-256 of its manifest: signatures and CMS structures can be varied without the key (ECDSA accepts
both s and n - s, unsigned attributes are free), the manifest cannot.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Final, NewType

from axis.core.addressing import OrganisationCode
from axis.core.digest import Digest, sha256

MessageId = NewType("MessageId", str)
"""A UUIDv7 (RFC 9562) in canonical lower case, chosen by the sender, never used for two documents."""

_UUID7: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

DOCUMENT_KIND: Final = "document"
"""The only kind of thing that is sent in envelopes so far."""

HEADER_NAME: Final = "header.avro"
"""The name of the header among the parts that the manifest lists."""


class Lane(StrEnum):
    """The two submission lanes; express is drained first."""

    EXPRESS = "express"
    STANDARD = "standard"


class Urgency(IntEnum):
    """Urgency as edXML's `Priority` numbers it (QCVN 102:2016)."""

    NORMAL = 0
    URGENT = 1
    VERY_URGENT = 2
    FLASH = 3
    FLASH_TIMED = 4

    @property
    def lane(self) -> Lane:
        """Every marked urgency is to be dealt with at once (NĐ 30/2020, art. 4.2c), so all of them go express."""
        return Lane.STANDARD if self is Urgency.NORMAL else Lane.EXPRESS

    @property
    def label(self) -> str:
        """The metric label of this urgency."""
        return self.name.lower()


class Operation(StrEnum):
    """What a document does to an earlier one (edXML `BussinessDocType` 0-3)."""

    NEW = "NEW"
    RECALL = "RECALL"
    UPDATE = "UPDATE"
    REPLACE = "REPLACE"


@dataclass(frozen=True, slots=True)
class Header:
    """What a sender states about a document; all of it is signed.

    Attributes:
        environment: the installation it is meant for ("production", "demo", …): a test document never enters production.
        kind: what is sent, `DOCUMENT_KIND`; a later version may know others, which this one refuses for now.
        document_id: the document's own identity, which operations on it repeat.
        number: number of the document in its series, digits ("" where it has none yet).
        notation: its notation, e.g. "UBND-VP".
        document_type: code of one of the 29 types (`axis.core.document_types`).
        subject: trích yếu; never logged.
        recipients: organisation codes, legacy codes or directory groups ("@communes"), as the sender wrote them.
        due_at: when the recipient is to act by.
        expires_at: after this moment it must not be delivered any more.
        references: message ids of earlier documents.
    """

    environment: str
    message_id: MessageId
    operation: Operation
    document_id: str
    number: str
    notation: str
    document_type: str
    subject: str
    sender: OrganisationCode
    recipients: tuple[str, ...]
    urgency: Urgency
    created_at: datetime
    due_at: datetime | None = None
    expires_at: datetime | None = None
    references: tuple[MessageId, ...] = ()
    kind: str = DOCUMENT_KIND


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a document.

    Attributes:
        size: in bytes.
        digest: SHA-256 of the whole content.
        content: the bytes when they travel inside the record; None for a claim check, fetched by digest.
    """

    name: str
    media_type: str
    size: int
    digest: Digest
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Envelope:
    """The record as published: exact bytes of manifest, signature and header, and the parts."""

    manifest: bytes
    signature: bytes
    header: bytes
    parts: tuple[Part, ...]

    @property
    def digest(self) -> Digest:
        """The identity of this envelope."""
        return sha256(self.manifest)


def is_message_id(text: str) -> bool:
    """Tell whether a text is a UUIDv7 in canonical form."""
    return _UUID7.fullmatch(text) is not None
