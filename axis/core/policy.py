"""The limits and time windows by which a submission is judged; one frozen value per policy version.

A receipt names the policy version that it was judged by, so that an auditor can judge it again years later.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

CLOCK_MARGIN: Final = timedelta(minutes=5)
"""How far two clocks of the axis may differ, of brokers or of a router and a broker: after a change of leader append
times can step back by as much."""


@dataclass(frozen=True, slots=True)
class AcceptancePolicy:
    """What the axis accepts.

    Attributes:
        version: the name that receipts carry; another one also where the axis learns to read a further header.
        max_record_bytes: size of a record's value as a router reads it. A compressed batch passes the broker's limit with
            far more than the topics behind the router take.
        max_statement_bytes: size of what a receipt of the axis attests.
        max_handover_bytes: size of what a recipient's receipt attests: one outcome.
        max_header_bytes: size of the Avro header.
        max_recipients: entries in the recipient list, and organisations after groups are resolved.
        max_parts: parts of one envelope.
        max_inline_bytes: size of a part inside the record; larger parts go by claim check.
        max_part_bytes: size of a part by claim check.
        max_total_bytes: size of all parts of one envelope together, as a recipient writes them out: each counts, even
            where several have the same content.
        max_name_bytes: UTF-8 length of a part's name.
        max_signing_age: how long a signed envelope may wait in a node's outbox. A commune may be cut off for weeks.
        max_clock_skew: how far a sender's clock may be ahead of the broker's.
    """

    version: str = "2026-11"
    max_record_bytes: int = 1024 * 1024
    max_statement_bytes: int = 256 * 1024
    max_handover_bytes: int = 4096
    max_header_bytes: int = 128 * 1024
    max_recipients: int = 1000
    max_parts: int = 100
    max_inline_bytes: int = 64 * 1024
    max_part_bytes: int = 1024**3
    max_total_bytes: int = 2 * 1024**3
    max_name_bytes: int = 255
    max_signing_age: timedelta = timedelta(days=30)
    max_clock_skew: timedelta = timedelta(minutes=5)
