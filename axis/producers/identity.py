"""New message ids."""

import secrets
from datetime import datetime
from uuid import UUID

from axis.core.envelope import MessageId


def new_message_id(now: datetime) -> MessageId:
    """Return a UUIDv7 (RFC 9562, 5.7): milliseconds since 1970 in front, 74 random bits behind."""
    milliseconds = int(now.timestamp() * 1000) & (1 << 48) - 1
    number = milliseconds << 80 | 7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return MessageId(str(UUID(int=number)))
