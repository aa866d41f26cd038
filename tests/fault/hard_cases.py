"""What is neither a faultless small document nor garbage: large parts, hand-overs, conflicts, and what is rejected."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from axis.apps import wiring
from axis.consumers.take import Taker
from axis.core.addressing import OrganisationCode
from axis.core.digest import sha256
from axis.core.envelope import Envelope, Header, Lane, Part, Urgency
from axis.ports import BusWriter
from axis.producers.publish import Acknowledged, Draft, DraftPart, Publisher
from axis.schemas import avro
from axis.settings import Settings
from axis.storage.journal import Journal, StoredDelivery, StoredSubmission
from tests.configuration import LANE_PARTITIONS

NOBODY: Final = "H56.99999"
_LARGE_BYTES: Final = 64 * 1024 + 1
"""One byte more than travels inside a record."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An envelope and who publishes it."""

    publisher: Publisher
    submission: StoredSubmission

    async def append(self) -> Acknowledged:
        """Append it, once more if it was before."""
        return await self.publisher.append(self.submission)


@dataclass(frozen=True, slots=True)
class HardCase:
    """Submissions of one sender in one lane.

    Attributes:
        large: a document with a part by claim check, to be handed over.
        first: to be appended before `later`: that document, one to nobody, one for another environment, and the altered
            copy of a document.
        later: the two that are refused once more, the document as it was before it was altered, and another one with the
            large one's message id.
    """

    large: Sent
    first: Sequence[Sent]
    later: Sequence[Sent]

    @classmethod
    async def prepare(
        cls, publisher: Publisher, recipient: OrganisationCode, lane: Lane, number: int
    ) -> "HardCase":
        """Sign everything, with a content that nobody has signed before."""
        content = b"%PDF-1.7 " + number.to_bytes(8)
        urgency = Urgency.FLASH if lane is Lane.EXPRESS else Urgency.NORMAL

        def draft(to: str, content: bytes) -> Draft:
            part = DraftPart("cong-van.pdf", "application/pdf", content)
            return Draft(f"Công văn khó số {number}", (to,), (part,), urgency=urgency)

        large = await publisher.prepare(draft(recipient, content.ljust(_LARGE_BYTES)))
        genuine = await publisher.prepare(draft(recipient, content))
        to_nobody = await publisher.prepare(draft(NOBODY, content))
        foreign = _sealed(
            publisher, replace(publisher.check(draft(recipient, content)), environment="elsewhere")
        )
        conflicting = _sealed(publisher, replace(_header(large), subject="Công văn khác"))
        first = [Sent(publisher, each) for each in (large, to_nobody, foreign, _altered(genuine))]
        later = [Sent(publisher, each) for each in (to_nobody, foreign, genuine, conflicting)]
        return cls(first[0], first, later)


def _sealed(publisher: Publisher, header: Header) -> StoredSubmission:
    content = b"%PDF-1.7"
    part = Part("cong-van.pdf", "application/pdf", len(content), sha256(content), content)
    return publisher.seal(header, (part,), header.created_at)


def _opened(submission: StoredSubmission) -> Envelope:
    envelope = avro.decode(submission.value)
    assert isinstance(envelope, Envelope)
    return envelope


def _header(submission: StoredSubmission) -> Header:
    return avro.decode_header(_opened(submission).header)


def _altered(submission: StoredSubmission) -> StoredSubmission:
    """Return a copy whose part is not what was signed, as somebody on the way may make it."""
    envelope = _opened(submission)
    [part] = envelope.parts
    assert part.content is not None
    altered = replace(part, content=part.content[:-1] + b"\xff")
    return replace(submission, value=avro.encode_envelope(replace(envelope, parts=(altered,))))


class Recipient:
    """An organisation that hands documents over, and does not wait until it has read them: what it says comes behind them."""

    def __init__(
        self, settings: Settings, code: OrganisationCode, journal: Journal, writer: BusWriter
    ) -> None:
        self._journal = journal
        self._directory = wiring.directory(settings)
        self._taker = Taker(
            owner=code,
            environment=settings.environment,
            signer=wiring.signer(settings, code),
            journal=journal,
            writer=writer,
            clock=wiring.clock(),
            lane_partitions=LANE_PARTITIONS,
        )

    async def hand_over(self, documents: Sequence[StoredSubmission], deadline_seconds: float) -> None:
        """Attest the hand-over of documents that the broker has, each twice."""
        for document in documents:
            header = _header(document)
            self._journal.add_delivery(
                StoredDelivery(
                    header.sender,
                    header.message_id,
                    document.digest,
                    document.value,
                    header.created_at,
                    None,
                    False,
                )
            )
        keys = [(header.sender, header.message_id) for header in map(_header, documents)]
        async with asyncio.timeout(deadline_seconds):
            for _ in range(2):
                deliveries = [each for key in keys if (each := self._journal.delivery(*key)) is not None]
                for each in deliveries:
                    self._journal.set_handover_appended(each, appended=False)
                while await self._taker.take(deliveries, self._directory.current()):
                    pass
