"""Many documents of several senders at once, and what became of each."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from axis.apps.demo import documents
from axis.apps.demo.stage import SENDERS, Stage
from axis.apps.node import Node
from axis.core.addressing import OrganisationCode
from axis.core.topics import inbox_topic
from axis.ports import Record
from axis.storage.journal import StoredSubmission


@dataclass(frozen=True, slots=True)
class Notice:
    """A signed document of a bulk, for one ward or commune."""

    node: Node
    submission: StoredSubmission
    recipient: OrganisationCode

    def is_delivered_by(self, record: Record) -> bool:
        """Tell whether a record is this document, byte for byte, in the inbox of its recipient."""
        return record.topic == inbox_topic(self.recipient) and record.value == self.submission.value


async def prepare(stage: Stage, count: int) -> list[Notice]:
    """Sign `count` documents, in turn from every sender and to every ward and commune; nothing is sent yet."""
    nodes = [await stage.node(code) for code in SENDERS]
    wards = stage.wards
    prepared: list[Notice] = []
    for number in range(count):
        node, recipient = nodes[number % len(nodes)], wards[number % len(wards)]
        submission = await node.publisher.prepare(documents.notice(recipient, number + 1), stage.directory)
        prepared.append(Notice(node, submission, recipient))
    return prepared


async def append(notices: Sequence[Notice]) -> None:
    """Append them all, and return when the broker holds every one."""
    await asyncio.gather(*(notice.node.publisher.append(notice.submission) for notice in notices))


def by_message_id(records: Sequence[Record]) -> Mapping[bytes, list[Record]]:
    """Return records by their key, which in inboxes and receipts is the message id."""
    found: dict[bytes, list[Record]] = {}
    for record in records:
        found.setdefault(record.key or b"", []).append(record)
    return found


def deliveries(notices: Sequence[Notice], records: Sequence[Record]) -> list[list[Record]]:
    """Return, for each document, the records of inboxes that are its delivery: exactly one, if all is well."""
    found = by_message_id(records)
    return [
        [
            each
            for each in found.get(notice.submission.message_id.encode(), ())
            if notice.is_delivered_by(each)
        ]
        for notice in notices
    ]
