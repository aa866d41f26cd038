"""How large the statement of a receipt may be: each outcome costs its readers, and may be a byte or two."""

from dataclasses import replace

import pytest

from axis.core.digest import Digest
from axis.core.disposition import Reason
from axis.core.receipt import Outcome, RecipientOutcome
from axis.errors import Refused
from axis.producers.identity import new_message_id
from tests.unit.consumers.town import AXIS, NOW, OFFICE, WARD, Town


def statement(town: Town, issuer: str, outcomes: int) -> bytes:
    """A receipt with so many outcomes, properly signed."""
    forger = town.forgers[issuer]
    receipt = forger.handover(new_message_id(NOW), Digest(bytes(32)), OFFICE, NOW)
    return forger.signed(
        replace(receipt, outcomes=(RecipientOutcome(WARD, Outcome.CONSIGNED),) * outcomes), NOW
    )


@pytest.mark.parametrize(("issuer", "fits", "does_not"), [(WARD, 20, 1000), (AXIS, 1000, 60_000)])
def test_a_statement_is_as_large_as_its_issuer_needs(
    town: Town, issuer: str, fits: int, does_not: int
) -> None:
    """A recipient attests one outcome, the axis those of the longest list; more is not looked into."""
    town.verifier.verify(statement(town, issuer, fits), town.directory, NOW)
    with pytest.raises(Refused, match="expected at most") as refused:
        town.verifier.verify(statement(town, issuer, does_not), town.directory, NOW)
    assert refused.value.reason == Reason.OVERSIZED
