"""Receipts as values."""

from dataclasses import replace

from axis.core.digest import sha256
from axis.core.receipt import Event, SignedReceipt


def test_only_the_handover_is_the_recipients_to_attest() -> None:
    """Everything else is a statement of the axis."""
    assert [each for each in Event if not each.by_axis] == [Event.CONTENT_HANDOVER]


def test_the_identity_of_a_receipt_is_its_statement() -> None:
    """Another signature over the same statement makes no other receipt."""
    receipt = SignedReceipt(b"statement", b"signature")
    assert receipt.digest == sha256(b"statement") == replace(receipt, signature=b"other").digest
