"""The keys under which it is remembered what was decided: no time limit, and never by a claimed sender."""

from axis.consumers.examine import Candidate
from axis.consumers.verify import VerifiedEnvelope, VerifiedReceipt
from axis.core.envelope import MessageId, is_message_id


def message_id_of(each: Candidate) -> MessageId | None:
    """Return the message id if the signed bytes have a usable one."""
    match each.verified:
        case VerifiedEnvelope(header=header) if header is not None:
            message_id: MessageId | None = header.message_id
        case VerifiedReceipt(receipt=receipt):
            message_id = receipt.message_id
        case _:
            return None
    return message_id if message_id is not None and is_message_id(message_id) else None


def key_of(each: Candidate) -> str | None:
    """Return the idempotency key: the *established* signer and its message id, never a claimed sender."""
    message_id = message_id_of(each)
    match each.verified:
        case VerifiedEnvelope(signer=signer) if message_id is not None:
            return f"{signer}/{message_id}"
        case VerifiedReceipt(issuer=issuer, receipt=receipt) if message_id is not None:
            # Two senders may have chosen the same message id, one of them on purpose.
            return f"{issuer}/{receipt.event}/{receipt.sender}/{message_id}/{receipt.status}"
        case _:
            return None


def consignment_key_of(each: Candidate) -> str | None:
    """Return the key of the document that a recipient's receipt is about."""
    message_id = message_id_of(each)
    match each.verified:
        case VerifiedReceipt(receipt=receipt) if message_id is not None:
            return f"{receipt.sender}/{message_id}"
        case _:
            return None
