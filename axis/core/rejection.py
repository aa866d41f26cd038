"""Why a node does not pass on a record of its inbox, beyond the reasons of `axis.core.disposition`; and which reasons pass."""

from enum import StrEnum
from typing import Final

from axis.core.disposition import Reason


class NodeReason(StrEnum):
    """Stable reason codes of a recipient's node; they are in no receipt."""

    NOT_ADDRESSED = "not-addressed"
    RECEIPT_NOT_OURS = "receipt-not-ours"
    RECEIPT_OUT_OF_ORDER = "receipt-out-of-order"


FINAL: Final[frozenset[str]] = frozenset(
    {
        Reason.UNDECODABLE,
        Reason.OVERSIZED,
        Reason.SIGNATURE_MISSING,
        Reason.SIGNATURE_INVALID,
        Reason.PART_ALTERED,
        Reason.MESSAGE_ID_CONFLICT,
        NodeReason.RECEIPT_NOT_OURS,
    }
)
"""Reasons that no other directory, no other anchors and no later version of the axis can take away from the same bytes."""
