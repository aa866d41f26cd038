"""What happens to a router task meanwhile: submissions arrive and mishaps strike, each at a moment of its calls."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import Enum, auto
from itertools import repeat
from typing import Final

from axis.core.digest import sha256
from axis.core.envelope import Envelope, Lane, Part, Urgency
from axis.core.partitioning import partition_of
from axis.ports import PartitionId
from axis.schemas import avro
from axis.testing.log import outage
from tests.attack.forge import message_id_of, part
from tests.unit.consumers.ledger import Kind, Ledger, Submission
from tests.unit.consumers.town import (
    EXPRESS,
    LANE_PARTITIONS,
    NAME,
    NOW,
    OFFICE,
    OTHER_WARD,
    STANDARD,
    STRANGER,
    WARD,
    Site,
    Town,
)

_OPENING: Final = tuple(f"{NAME}-{lane}" for lane in (Lane.STANDARD, Lane.EXPRESS))
"""The transactional ids of a task in the order in which it opens them."""
Arrival = tuple[Submission, PartitionId]
"""What is put where, be it the wrong place."""


class Mishap(Enum):
    """What may strike at a moment."""

    OUTAGE = auto()
    KILL = auto()
    KILL_AND_LOSE_DISK = auto()
    LATE_COMMIT = auto()
    """A process dies when its commit is on the way, which arrives just before the next one opens."""
    FENCE = auto()


class Script:
    """Plays arrivals and mishaps to a site.

    Args:
        site: whose task it happens to.
        arrivals: each with the moment at which it arrives; all of them arrive, at the latest when nothing else waits.
        mishaps: each with the moment at which it strikes.

    Attributes:
        moments: what was called so far.
    """

    def __init__(
        self,
        site: Site,
        arrivals: Iterable[tuple[int, Arrival]],
        mishaps: Iterable[tuple[int, Mishap]] = (),
    ) -> None:
        self.moments: list[str] = []
        self._site = site
        self._late: list[str] = []
        self._arrivals = sorted(arrivals, key=lambda each: each[0])
        self._mishaps = sorted(mishaps, key=lambda each: each[0])
        site.bus.listener = self
        site.on_idle = self._on_idle
        self._arrive()

    def __call__(self, moment: str) -> None:
        """Let happen what is due at this moment."""
        self.moments.append(moment)
        self._arrive()
        if moment == "before open" and self._late:
            self._commit_late()
        if self._is_due(moment):
            if self._mishaps[0][1] is Mishap.LATE_COMMIT:
                self._late = list(_OPENING)
            strike(self._mishaps.pop(0)[1], self._site, moment)

    def _commit_late(self) -> None:
        """Let the commit of what is opened next arrive, if it was on the way: a moment later it would be too late."""
        assert self._late
        writer = self._late.pop(0)
        if writer in self._site.bus.complete():
            self._site.bus.settle(writer, committed=True)

    def _is_due(self, moment: str) -> bool:
        if not self._mishaps or self._mishaps[0][0] > len(self.moments):
            return False
        return self._mishaps[0][1] is not Mishap.LATE_COMMIT or moment == "before commit"

    def _arrive(self) -> None:
        while self._arrivals and self._arrivals[0][0] <= len(self.moments):
            self._submit()

    def _submit(self) -> None:
        submission, place = self._arrivals.pop(0)[1]
        self._site.submit(submission.value, place)

    def _on_idle(self) -> None:
        if not self._arrivals:
            self._site.task.stop()
            return
        moment = self._arrivals[0][0]
        while self._arrivals and self._arrivals[0][0] == moment:
            self._submit()


def at(moment: int, *submissions: Submission) -> list[tuple[int, Arrival]]:
    """Return arrivals at one moment, each where it belongs."""
    return [(moment, (each, each.place)) for each in submissions]


def strike(mishap: Mishap, site: Site, moment: str) -> None:
    """Let a mishap happen."""
    match mishap:
        case Mishap.OUTAGE:
            raise outage(moment)
        case Mishap.KILL | Mishap.LATE_COMMIT:
            site.kill()
        case Mishap.KILL_AND_LOSE_DISK:
            site.lose_disk()
            site.kill()
        case Mishap.FENCE:
            for lane in Lane:
                site.bus.fence(f"{NAME}-{lane}")


async def play(
    town: Town,
    arrivals: Sequence[tuple[int, Arrival]],
    mishaps: Iterable[tuple[int, Mishap]] = (),
    *,
    sizes: Iterable[int] = repeat(1000),
    batch_records: int = 500,
) -> tuple[Site, Script]:
    """Route until everything has arrived and nothing waits, and compare with the model."""
    site = Site(town, sizes=sizes, batch_records=batch_records)
    script = Script(site, arrivals, mishaps)
    await site.route()
    Ledger({each.value: each for _, (each, _) in arrivals}).judge(site)
    return site, script


def document(
    town: Town, sender: str, *recipients: str, parts: Sequence[Part] = (), **changes: object
) -> Submission:
    """A faultless document; the changes are fields of its header."""
    return submitted(sender, town.letter(sender, *recipients, parts=parts, **changes), recipients)


def express(town: Town, sender: str, *recipients: str, **changes: object) -> Submission:
    """A document that goes express."""
    return submitted(
        sender, town.letter(sender, *recipients, parts=(), urgency=Urgency.FLASH, **changes), recipients
    )


def submitted(
    sender: str, envelope: Envelope, recipients: Sequence[str], kind: Kind = Kind.DOCUMENT
) -> Submission:
    """Return an envelope as the ledger knows it."""
    header = avro.decode_header(envelope.header)
    lane = EXPRESS if header.urgency.lane is Lane.EXPRESS else STANDARD
    return Submission(
        kind,
        avro.encode_envelope(envelope),
        sender,
        header.message_id,
        f"{sender}/{header.message_id}",
        envelope.digest,
        PartitionId(lane.topic, partition_of(sender, LANE_PARTITIONS)),
        tuple(sorted(recipients)),
    )


def altered(each: Submission) -> Submission:
    """The same document with a part that was damaged on the way."""
    envelope = avro.decode(each.value)
    assert isinstance(envelope, Envelope)
    return replace(
        each,
        kind=Kind.ALTERED,
        value=avro.encode_envelope(replace(envelope, parts=(part(content=b"another"),))),
    )


def rival(town: Town, each: Submission, urgency: Urgency) -> Submission:
    """Another document of the same sender under the same message id."""
    envelope = town.letter(each.signer, OTHER_WARD, message_id=each.name, urgency=urgency, number="18")
    assert message_id_of(envelope) == each.name
    return submitted(each.signer, envelope, (OTHER_WARD,))


def handover(town: Town, each: Submission, issuer: str, status: str = "01") -> Submission:
    """The receipt with which a recipient attests that it has a document, and in which state."""
    forger = town.forgers[issuer]
    receipt = forger.handover(message_id_of(_envelope(each)), each.digest, each.signer, NOW)
    receipt = replace(receipt, status=status)
    return Submission(
        Kind.HANDOVER,
        forger.signed(receipt, NOW),
        issuer,
        each.name,
        f"{issuer}/{receipt.event}/{each.signer}/{each.name}/{status}",
        sha256(avro.encode_receipt(receipt)),
        each.place,
        document=each,
    )


def garbage(number: int) -> Submission:
    """Bytes that establish nobody."""
    return Submission(Kind.GARBAGE, b"garbage %d" % number)


class Variety:
    """Arrivals of every sort, in right and in wrong places, to be repeated and mixed at will."""

    def __init__(self, town: Town) -> None:
        self._arrivals = _variety(town)

    def __getitem__(self, number: int) -> Arrival:
        return self._arrivals[number % len(self._arrivals)]


def _variety(town: Town) -> list[Arrival]:
    arrivals: list[Arrival] = []
    for sender, other in ((OFFICE, WARD), (WARD, OFFICE)):
        standard = [document(town, sender, OTHER_WARD) for _ in range(4)]
        standard.append(document(town, sender, other, OTHER_WARD))
        urgent = [express(town, sender, OTHER_WARD) for _ in range(3)]
        arrivals += [(each, each.place) for each in (*standard, *urgent)]
        arrivals += [(standard[0], EXPRESS), (urgent[0], STANDARD)]
        first = standard[0]
        more = [altered(first), rival(town, first, Urgency.NORMAL), rival(town, first, Urgency.FLASH)]
        receipts = [handover(town, each, OTHER_WARD) for each in (first, urgent[0])]
        receipts.append(handover(town, first, OTHER_WARD, "03"))
        arrivals += [(each, each.place) for each in (*more, *receipts)]
        arrivals += [(receipts[0], EXPRESS), (receipts[1], STANDARD)]
    stray = document(town, STRANGER, WARD)
    arrivals += [(stray, STANDARD), (garbage(1), STANDARD), (garbage(2), EXPRESS)]
    return arrivals


def _envelope(each: Submission) -> Envelope:
    envelope = avro.decode(each.value)
    assert isinstance(envelope, Envelope)
    return envelope
