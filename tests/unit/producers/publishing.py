"""A node's publisher, and a document for it."""

from datetime import UTC, datetime

from axis.core.addressing import OrganisationCode
from axis.core.digest import sha256
from axis.core.policy import AcceptancePolicy
from axis.core.retry import RetrySchedule
from axis.ports import BusWriter, Clock
from axis.producers.publish import Draft, DraftPart, Publisher
from axis.storage.blobs import BlobStore
from axis.storage.journal import Journal
from axis.testing.clock import SettableClock

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
POLICY = AcceptancePolicy()
LETTER = DraftPart("a.pdf", "application/pdf", b"%PDF")
DRAFT = Draft("V/v", ("H56.1",), (LETTER,))


class PlainSigner:
    """A signer whose signatures nobody looks at here; as long as those with a chain of RSA certificates."""

    def sign(self, content: bytes, at: datetime) -> bytes:
        """Return bytes of the usual length, which differ from moment to moment."""
        return (sha256(content) + at.isoformat().encode()).ljust(16 * 1024, b"\0")


def publisher_of(
    sender: str,
    journal: Journal,
    blobs: BlobStore,
    lane: BusWriter,
    policy: AcceptancePolicy = POLICY,
    clock: Clock | None = None,
    deadline_seconds: float = 0.0,
) -> Publisher:
    """A publisher that repeats without a pause; unless told otherwise it gives up at once when it gets no answer."""
    return Publisher(
        sender=OrganisationCode(sender),
        environment="test",
        signer=PlainSigner(),
        blobs=blobs,
        journal=journal,
        writer=lane,
        clock=clock or SettableClock(NOW),
        lane_partitions=4,
        policy=policy,
        retry=RetrySchedule(0.0, 0.0),
        deadline_seconds=deadline_seconds,
    )
