"""Publish a document: check, store large parts, sign, keep, append, wait for the acknowledgement.

The order is the guarantee. Large parts are durable before the envelope that names them is signed; the envelope is in
the node's journal before the first attempt to append it; every further attempt appends the same bytes. So an unknown
outcome costs a repetition, never a second document: the axis knows (sender, message id) and answers again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from axis.core.addressing import OrganisationCode
from axis.core.admission import check_fields, check_recipient_count, part_faults
from axis.core.consignment import State, Step, advance
from axis.core.digest import sha256
from axis.core.directory import Directory
from axis.core.disposition import Reason
from axis.core.envelope import Envelope, Header, MessageId, Operation, Part, Urgency
from axis.core.partitioning import partition_of
from axis.core.policy import AcceptancePolicy
from axis.core.retry import RetrySchedule
from axis.core.routing import route
from axis.core.topics import LANES
from axis.errors import Bilingual, OutcomeUnknown, Refused, Unavailable
from axis.ports import Append, BlobStore, BusWriter, Clock, Signer
from axis.producers.files import file_faults, read, size_of
from axis.producers.identity import new_message_id
from axis.schemas import avro, manifest
from axis.storage.journal import Journal, StoredSubmission

MAX_RECORD_BYTES: Final = 1024 * 1024 - 4096
_INLINE_BYTES: Final = 512 * 1024
"""Content in one record: the largest header, the longest names and the signature that pass the check fit in beside it."""


class DraftRefused(Refused):
    """A draft breaks rules; `faults` lists all of them, each as (reason, detail)."""

    def __init__(self, faults: Sequence[Refused]) -> None:
        super().__init__(faults[0].reason, "; ".join(fault.detail for fault in faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class DraftPart:
    """A file to be sent: its content is given as bytes or as a path."""

    name: str
    media_type: str
    content: bytes | Path


@dataclass(frozen=True, slots=True)
class Draft:
    """A document before it is signed; the fields are those of `axis.core.envelope.Header`.

    Attributes:
        document_id: the document's own identity; the message id when None.
    """

    subject: str
    recipients: tuple[str, ...]
    parts: tuple[DraftPart, ...]
    document_type: str = "cong-van"
    number: str = ""
    notation: str = ""
    urgency: Urgency = Urgency.NORMAL
    operation: Operation = Operation.NEW
    document_id: str | None = None
    due_at: datetime | None = None
    expires_at: datetime | None = None
    references: tuple[MessageId, ...] = ()


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A submission that the broker holds: it will be answered with a receipt.

    Attributes:
        attempts: how often it was appended; more than 1 when an outcome was unknown.
    """

    submission: StoredSubmission
    partition: int
    offset: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Unsent:
    """A submission that was not acknowledged and stays kept.

    Attributes:
        error: `Refused` when the broker will not take it as it is, `Unavailable` when the outcome is unknown.
    """

    submission: StoredSubmission
    error: Refused | Unavailable


class Publisher:
    """Publishes for one organisation.

    Args:
        sender: its code.
        environment: name of the installation.
        signer: its signing key.
        blobs: where parts above the inline limit go.
        journal: its journal.
        writer: the way to Kafka.
        clock: the time.
        lane_partitions: partitions of each submission lane.
        policy: the limits that the axis will judge by.
        retry: pauses between attempts whose outcome is unknown.
        deadline_seconds: how long to go on with attempts.
    """

    def __init__(
        self,
        *,
        sender: OrganisationCode,
        environment: str,
        signer: Signer,
        blobs: BlobStore,
        journal: Journal,
        writer: BusWriter,
        clock: Clock,
        lane_partitions: int,
        policy: AcceptancePolicy | None = None,
        retry: RetrySchedule | None = None,
        deadline_seconds: float = 60.0,
    ) -> None:
        self._sender = sender
        self._environment = environment
        self._signer = signer
        self._blobs = blobs
        self._journal = journal
        self._writer = writer
        self._clock = clock
        self._partition = partition_of(sender, lane_partitions)
        self._policy = policy or AcceptancePolicy()
        self._retry = retry or RetrySchedule()
        self._deadline_seconds = deadline_seconds

    async def publish(self, draft: Draft, directory: Directory | None = None) -> Acknowledged:
        """Sign a document and append it.

        Args:
            draft: the document.
            directory: when given, recipients are looked up before anything leaves the node.

        Raises:
            DraftRefused: with every fault of the draft; nothing was stored or sent.
            OutcomeUnknown: no acknowledgement within the deadline; `resume` goes on with the same bytes.
            Unavailable: the blob store or the journal cannot take it; nothing was sent.
        """
        return await self.append(await self.prepare(draft, directory))

    def check(self, draft: Draft, directory: Directory | None = None) -> Header:
        """Return the header that a draft would be sent with now; nothing is stored or sent.

        Raises:
            DraftRefused: with every fault of the draft.
        """
        now = self._clock.now()
        header = self._header(draft, now)
        self._check(draft, header, directory, now)
        return header

    async def prepare(self, draft: Draft, directory: Directory | None = None) -> StoredSubmission:
        """Check, store, sign and keep a document, without sending it yet; raises as `publish` does."""
        header = self.check(draft, directory)
        submission = self.seal(header, await self._parts(draft.parts), header.created_at)
        self._journal.store_submission(submission)
        return submission

    def seal(self, header: Header, parts: tuple[Part, ...], now: datetime) -> StoredSubmission:
        """Sign header and parts into an envelope.

        Raises:
            Refused: `oversized`, the record would exceed what a submission lane takes.
        """
        encoded = avro.encode_header(header)
        unsigned = Envelope(b"", b"", encoded, parts)
        listed = manifest.render(manifest.expected_entries(sha256(encoded), unsigned))
        envelope = replace(unsigned, manifest=listed, signature=self._signer.sign(listed, now))
        value = avro.encode_envelope(envelope)
        if len(value) > MAX_RECORD_BYTES:
            raise Refused(
                Reason.OVERSIZED,
                f"the envelope has {len(value)} bytes, expected at most {MAX_RECORD_BYTES}; send fewer small parts",
            )
        return StoredSubmission(
            header.message_id, envelope.digest, LANES[header.urgency.lane], value, State.STORED, now
        )

    async def append(self, submission: StoredSubmission) -> Acknowledged:
        """Append a kept submission, repeating the same bytes while the outcome is unknown.

        Raises:
            OutcomeUnknown: no acknowledgement within the deadline.
            Refused: the broker will never take it.
        """
        record = Append(submission.topic, self._partition, self._sender.encode(), submission.value)
        offset, attempts = await _until_acknowledged(
            lambda: self._writer.append(record), self._retry, self._deadline_seconds, submission.message_id
        )
        return Acknowledged(self._appended(submission), self._partition, offset, attempts)

    async def resume(self) -> list[Acknowledged | Unsent]:
        """Append again what was kept but never acknowledged, oldest first.

        What the broker refuses holds up nothing else. After an unknown outcome the rest of that lane waits for the next
        time, because a sender's documents keep their order within a lane; it is not part of the result.

        Raises:
            Unavailable: the journal cannot be read.
        """
        results: list[Acknowledged | Unsent] = []
        held_up: set[str] = set()
        for submission in self._journal.submissions([State.STORED]):
            if submission.topic in held_up:
                continue
            try:
                results.append(await self.append(submission))
            except Refused as error:
                results.append(Unsent(submission, error))
            except Unavailable as error:
                results.append(Unsent(submission, error))
                held_up.add(submission.topic)
        return results

    def drop(self, message_id: MessageId) -> StoredSubmission:
        """Give up a submission that was kept and not sent: `resume` leaves it alone, and it stays in the journal.

        It counts as rejected, by its own sender. If the broker has it after all, it is accepted and that is recognised.

        Raises:
            Refused: `not-waiting`, no submission with this id waits to be sent.
        """
        with self._journal.together():
            submission = self._journal.submission(message_id=message_id)
            if submission is None or submission.state is not State.STORED:
                state = submission.state if submission else "unknown"
                raise Refused("not-waiting", f"{message_id} is {state}, expected it to be stored")
            self._journal.set_state(message_id, advance(submission.state, Step.REJECTION))
        return replace(submission, state=State.REJECTED)

    def _appended(self, submission: StoredSubmission) -> StoredSubmission:
        """Move a submission on from where it is by now: its acceptance may have come before the acknowledgement."""
        with self._journal.together():
            present = self._journal.submission(message_id=submission.message_id) or submission
            state = advance(present.state, Step.APPENDED)
            self._journal.set_state(submission.message_id, state)
        return replace(submission, state=state)

    def _header(self, draft: Draft, now: datetime) -> Header:
        message_id = new_message_id(now)
        return Header(
            environment=self._environment,
            message_id=message_id,
            operation=draft.operation,
            document_id=draft.document_id or message_id,
            number=draft.number,
            notation=draft.notation,
            document_type=draft.document_type,
            subject=draft.subject,
            sender=self._sender,
            recipients=draft.recipients,
            urgency=draft.urgency,
            created_at=now,
            due_at=draft.due_at,
            expires_at=draft.expires_at,
            references=draft.references,
        )

    def _check(self, draft: Draft, header: Header, directory: Directory | None, now: datetime) -> None:
        """Collect every fault that the axis would refuse for, so that a person corrects them in one go."""
        faults: list[Refused] = []

        def note(check: Callable[[], object]) -> None:
            try:
                check()
            except Refused as refusal:
                faults.append(refusal)

        note(lambda: check_fields(header))
        note(lambda: check_recipient_count(header, self._policy))
        note(lambda: _check_size(header, self._policy))
        if directory is not None:
            faults.extend(self._addressing_faults(header, directory, now))
        if header.expires_at is not None and header.expires_at <= now:
            faults.append(
                Refused(Reason.EXPIRED, f"expires at {header.expires_at:%Y-%m-%dT%H:%M:%SZ}, already past")
            )
        faults.extend(part_faults([part.name for part in draft.parts], self._policy))
        faults.extend(_media_type_faults(draft.parts))
        faults.extend(file_faults([part.content for part in draft.parts], self._policy))
        if faults:
            raise DraftRefused(faults)

    def _addressing_faults(self, header: Header, directory: Directory, now: datetime) -> list[Refused]:
        faults: dict[str, Refused] = {}
        if not directory.may_send(self._sender, now):
            detail = f"{self._sender} is suspended or does not exist today, in directory {directory.version}"
            faults[detail] = Refused(Reason.SENDER_NOT_ALLOWED, detail)
        # One by one, so that each is named; then together, because groups can add up to too many.
        each_alone = [replace(header, recipients=(recipient,)) for recipient in header.recipients]
        for addressed in [*each_alone, header] if each_alone else []:
            try:
                route(addressed, directory, now, self._policy)
            except Refused as refusal:
                faults.setdefault(refusal.detail, refusal)
        return list(faults.values())

    async def _parts(self, parts: Sequence[DraftPart]) -> tuple[Part, ...]:
        """Turn files into parts: small ones stay in the record while it has room."""
        made: list[Part] = []
        room = _INLINE_BYTES
        for each in parts:
            part = await self._part(each, min(self._policy.max_inline_bytes, room))
            if part.content is not None:
                room -= part.size
            made.append(part)
        return tuple(made)

    async def _part(self, part: DraftPart, max_inline_bytes: int) -> Part:
        """Turn a file into a part: inline when small, else stored under its digest first."""
        if isinstance(part.content, Path) and size_of(part.content) > max_inline_bytes:
            stored = await self._blobs.put_file(part.content)
        elif len(content := read(part.content)) > max_inline_bytes:
            stored = await self._blobs.put_bytes(content)
        else:
            return Part(part.name, part.media_type, len(content), sha256(content), content)
        return Part(part.name, part.media_type, stored.size, stored.digest, None)


def _media_type_faults(parts: Sequence[DraftPart]) -> Iterator[Refused]:
    for position, part in enumerate(parts, 1):
        if not manifest.is_media_type(part.media_type):
            detail = f"part {position}: {part.media_type!a} is no media type"
            yield Refused(Reason.MANIFEST_MALFORMED, detail)


def _check_size(header: Header, policy: AcceptancePolicy) -> None:
    """The header can be written down, and is no longer than the axis takes."""
    try:
        size = len(avro.encode_header(header))
    except UnicodeEncodeError as error:
        raise Refused(
            Reason.HEADER_MALFORMED, "a text has a character that is none in Unicode; type it again"
        ) from error
    if size > policy.max_header_bytes:
        raise Refused(
            Reason.HEADER_TOO_LARGE, f"got {size} bytes, expected at most {policy.max_header_bytes}"
        )


async def _until_acknowledged(
    append: Callable[[], Awaitable[int]],
    retry: RetrySchedule,
    deadline_seconds: float,
    message_id: str,
) -> tuple[int, int]:
    """Call until it returns an offset; return it with the number of attempts."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_seconds
    attempt = 0
    while True:
        try:
            return await append(), attempt + 1
        except Unavailable as error:
            delay = retry.delay_seconds(attempt)
            attempt += 1
            if loop.time() + delay >= end:
                told = Bilingual.of(error)
                raise OutcomeUnknown(
                    Bilingual(
                        f"{message_id} chưa được xác nhận sau {deadline_seconds:g} giây ({told.vietnamese}); văn bản vẫn"
                        " được giữ, gửi tiếp là gửi lại đúng phong bì đó",
                        f"{message_id} was not acknowledged within {deadline_seconds:g} s ({told}); it is kept, and"
                        " resuming sends the same envelope again",
                    )
                ) from error
            await asyncio.sleep(delay)
