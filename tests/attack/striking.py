"""Attacks, registered by the reason that must be given for them, and the ways to publish them.

An attack is a function that writes one record and says who is established as its sender, if anybody.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from axis.core.disposition import Reason
from axis.core.envelope import Envelope, Part
from axis.core.receipt import Receipt, Source
from axis.core.topics import SUBMISSIONS_STANDARD
from axis.crypto.authority import Credential
from axis.schemas import avro
from tests.attack.forge import Forger
from tests.attack.stage import (
    OFFICE,
    OTHER_WARD,
    WARD,
    Stage,
)


@dataclass(frozen=True, slots=True)
class Struck:
    """A record that was published.

    Attributes:
        value: what was published.
        signer: who is established by its signature; None when nobody is.
        kept: whether the quarantine can hold it whole.
    """

    source: Source
    value: bytes | None
    signer: str | None
    kept: bool = True


Attack = Callable[[Stage, datetime], Struck]
ATTACKS: dict[Reason, list[Attack]] = {}


def against(reason: Reason) -> Callable[[Attack], Attack]:
    """Register an attack by the reason that must be given for it."""

    def register(attack: Attack) -> Attack:
        ATTACKS.setdefault(reason, []).append(attack)
        return attack

    return register


def submit(
    stage: Stage, envelope: Envelope, signer: str | None = OFFICE, topic: str = SUBMISSIONS_STANDARD
) -> Struck:
    """Publish an envelope where its signer's records go."""
    return raw(stage, avro.encode_envelope(envelope), signer, topic)


def raw(
    stage: Stage, value: bytes | None, signer: str | None = None, topic: str = SUBMISSIONS_STANDARD
) -> Struck:
    """Publish bytes."""
    return Struck(stage.put(value, sender=signer or OFFICE, topic=topic), value, signer)


def attest(stage: Stage, forger: Forger, receipt: Receipt, now: datetime) -> Struck:
    """Publish a signed receipt where receipts about its sender's documents go."""
    value = forger.signed(receipt, now)
    return Struck(stage.put(value, sender=receipt.sender), value, forger.code)


def header_attack(stage: Stage, now: datetime, sender: str = OFFICE, **changes: object) -> Struck:
    """Publish a document that is right but for some fields of its header."""
    return submit(stage, stage.forger(sender).letter(WARD, now, **changes), sender)


def parts_attack(stage: Stage, now: datetime, *parts: Part, carried: Sequence[Part] | None = None) -> Struck:
    """Publish a document with these parts, or with others than the manifest lists."""
    office = stage.forger(OFFICE)
    return submit(stage, office.seal(office.header(WARD, now), parts, at=now, record_parts=carried))


def signed_by(stage: Stage, now: datetime, credential: Credential, code: str = OFFICE) -> Struck:
    """Publish a document under a certificate that does not establish its sender."""
    return submit(stage, stage.forger(code, signed_by=credential).letter(OTHER_WARD, now), None)


def manifest_attack(stage: Stage, now: datetime, change: Callable[[bytes], bytes]) -> Struck:
    """Publish a document whose signed manifest is not as it should be."""
    office = stage.forger(OFFICE)
    plain = office.letter(WARD, now)
    return submit(stage, office.seal(plain.header, plain.parts, at=now, listed=change(plain.manifest)))
