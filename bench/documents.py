"""Signed documents, made before the clock starts."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from axis.apps import wiring
from axis.core.addressing import OrganisationCode
from axis.core.digest import sha256
from axis.core.envelope import Envelope, Header, Lane, Operation, Part, Urgency
from axis.core.partitioning import partition_of
from axis.core.topics import SUBMISSIONS_EXPRESS, SUBMISSIONS_STANDARD, inbox_topic
from axis.crypto.signing import ValidSigner
from axis.producers.identity import new_message_id
from axis.schemas import avro, manifest
from bench.ground import Ground

LANES: Final = {Lane.EXPRESS: SUBMISSIONS_EXPRESS, Lane.STANDARD: SUBMISSIONS_STANDARD}
_SENDERS_PER_PARTITION: Final = 5
_PART_BYTES: Final = 700
BROADCAST: Final = ("@communes",)


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed envelope, ready to be appended.

    Attributes:
        inboxes: the topics it is to arrive in.
    """

    message_id: str
    topic: str
    partition: int
    key: bytes
    value: bytes
    inboxes: tuple[str, ...]


class Authors:
    """Organisations that write documents, equally many for each partition of the lanes.

    Args:
        ground: whose keys and directory are used.
    """

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._clock = wiring.clock()
        self._random = random.Random(1)  # noqa: S311 - documents that look alike in every run
        self._signers: dict[OrganisationCode, ValidSigner] = {}
        waiting: dict[int, list[OrganisationCode]] = {n: [] for n in range(ground.lane_partitions)}
        for organisation in ground.directory.organisations:
            senders = waiting[partition_of(organisation.code, ground.lane_partitions)]
            if len(senders) < _SENDERS_PER_PARTITION and organisation.code != ground.settings.node:
                senders.append(organisation.code)
        most = max(map(len, waiting.values()))
        # Partition by partition, so that any run of documents is spread over all of them.
        self.codes: Sequence[OrganisationCode] = [
            senders[turn % len(senders)] for turn in range(most) for senders in waiting.values()
        ]

    def write(
        self, count: int, *, broadcast: bool = False, urgency: Urgency = Urgency.NORMAL
    ) -> list[Signed]:
        """Write documents, from one sender after the other.

        Args:
            count: how many.
            broadcast: to all communes (but the sender), else each to one commune, in turn.
            urgency: decides the lane.
        """
        communes = self._ground.communes
        signed = []
        for number in range(count):
            sender = self.codes[number % len(self.codes)]
            recipients: tuple[str, ...] = BROADCAST if broadcast else (communes[number % len(communes)],)
            signed.append(self._sign(sender, recipients, urgency))
        return signed

    def _sign(self, sender: OrganisationCode, recipients: tuple[str, ...], urgency: Urgency) -> Signed:
        now = self._clock.now()
        message_id = new_message_id(now)
        header = avro.encode_header(
            Header(
                environment=self._ground.settings.environment,
                message_id=message_id,
                operation=Operation.NEW,
                document_id=message_id,
                number="1024",
                notation="UBND-VP",
                document_type="cong-van",
                subject="Về việc báo cáo kết quả thực hiện nhiệm vụ",
                sender=sender,
                recipients=recipients,
                urgency=urgency,
                created_at=now,
            )
        )
        content = b"%PDF-1.7\n" + self._random.randbytes(_PART_BYTES)
        part = Part("cong-van.pdf", "application/pdf", len(content), sha256(content), content)
        unsigned = Envelope(b"", b"", header, (part,))
        listed = manifest.render(manifest.expected_entries(sha256(header), unsigned))
        envelope = replace(unsigned, manifest=listed, signature=self._signer(sender).sign(listed, now))
        codes = [code for each in recipients for code in self._ground.directory.resolve(each, sender, now)]
        return Signed(
            message_id=message_id,
            topic=LANES[urgency.lane],
            partition=partition_of(sender, self._ground.lane_partitions),
            key=sender.encode(),
            value=avro.encode_envelope(envelope),
            inboxes=tuple(inbox_topic(code) for code in codes),
        )

    def _signer(self, code: OrganisationCode) -> ValidSigner:
        if code not in self._signers:
            self._signers[code] = wiring.signer(self._ground.settings, code)
        return self._signers[code]
