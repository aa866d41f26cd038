"""What did not pass, in a node's journal: each record with its reason, and with its value while it may still pass."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from axis.core.digest import Digest
from axis.storage.moments import moment_of, text_of
from axis.storage.sqlite import Database

MAX_KEPT_BYTES: Final = 64 * 1024 * 1024

_logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoredRejection:
    """A record of the inbox that did not pass.

    Attributes:
        record_digest: SHA-256 of its value; the same bytes are kept once.
        judged_by: the directory and the rules that it was judged by last.
        kept: whether its value is here, to be judged again.
    """

    record_digest: Digest
    offset: int
    appended_at: datetime
    reason: str
    detail: str
    judged_by: str
    kept: bool


class Rejections:
    """The records that did not pass.

    Args:
        database: the journal's file, with its table `rejection`.
        max_bytes: for the values together.
    """

    def __init__(self, database: Database, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._database = database
        self._max_bytes = max_bytes
        self._told = False

    def keep(self, rejection: StoredRejection, value: bytes | None) -> None:
        """Keep a record that did not pass, or note why it does not pass by now.

        Args:
            rejection: what is known of it.
            value: the record's value, unless it is not to be judged again.
        """
        self._database.change(
            "INSERT INTO rejection VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
            " ON CONFLICT (record_digest) DO UPDATE SET"
            " record_offset = ?2, appended_at = ?3, reason = ?4, detail = ?5, judged_by = ?6, value = ?7",
            (
                rejection.record_digest,
                rejection.offset,
                text_of(rejection.appended_at),
                rejection.reason,
                rejection.detail,
                rejection.judged_by,
                value if rejection.kept else None,
            ),
        )

    def make_room(self) -> None:
        """Let go of the oldest values where all of them have more bytes than they may; the records stay named."""
        [(size,)] = self._database.rows("SELECT coalesce(sum(length(value)), 0) FROM rejection")
        if size <= self._max_bytes:
            return
        count = self._database.change(
            "UPDATE rejection SET value = NULL WHERE record_digest IN (SELECT record_digest FROM"
            " (SELECT record_digest, sum(length(value)) OVER (ORDER BY appended_at DESC, record_offset DESC) AS size"
            " FROM rejection WHERE value IS NOT NULL) WHERE size > ?)",
            (self._max_bytes,),
        )
        if not self._told:
            _logger.warning("inbox.rejections_full", records=count, limit_bytes=self._max_bytes)
            self._told = True

    def listed(self) -> list[StoredRejection]:
        """Return the records that did not pass, in the order in which they were appended."""
        rows = self._database.rows(
            "SELECT record_digest, record_offset, appended_at, reason, detail, judged_by, value IS NOT NULL"
            " FROM rejection ORDER BY appended_at, record_offset"
        )
        return [
            StoredRejection(Digest(row[0]), row[1], moment_of(row[2]), row[3], row[4], row[5], bool(row[6]))
            for row in rows
        ]

    def value(self, record_digest: Digest) -> bytes | None:
        """Return the value of a record that did not pass; None where it is not kept."""
        rows = self._database.rows("SELECT value FROM rejection WHERE record_digest = ?", (record_digest,))
        return rows[0][0] if rows else None

    def remove(self, record_digest: Digest) -> None:
        """Forget that a record did not pass."""
        self._database.change("DELETE FROM rejection WHERE record_digest = ?", (record_digest,))
