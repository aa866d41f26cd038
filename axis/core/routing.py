"""Which inboxes a document goes to."""

from datetime import datetime

from axis.core.addressing import OrganisationCode
from axis.core.directory import Directory
from axis.core.disposition import Reason
from axis.core.envelope import Header
from axis.core.policy import AcceptancePolicy
from axis.core.receipt import Outcome, RecipientOutcome
from axis.errors import Refused


def route(
    header: Header, directory: Directory, at: datetime, policy: AcceptancePolicy
) -> tuple[RecipientOutcome, ...]:
    """Resolve a recipient list into one outcome per recipient, each organisation at most once, sorted by code.

    A recipient that cannot be served does not keep the others from being served: its refusal stands beside their
    consignments in the same receipt.

    Raises:
        Refused: nobody at all can be served; the reason is that of the first recipient.
    """
    consigned: set[OrganisationCode] = set()
    refused: dict[str, Refused] = {}
    for recipient in header.recipients:
        try:
            consigned.update(_codes(recipient, header.sender, directory, at))
        except Refused as refusal:
            refused.setdefault(recipient, refusal)
    if not consigned:
        first = next(iter(refused.values()))
        raise Refused(first.reason, first.detail)
    if len(consigned) > policy.max_recipients:
        raise Refused(
            Reason.RECIPIENTS_TOO_MANY,
            f"the groups resolve to {len(consigned)} organisations, expected at most {policy.max_recipients}",
        )
    return (
        *(RecipientOutcome(code, Outcome.CONSIGNED) for code in sorted(consigned)),
        *(
            RecipientOutcome(recipient[:64], Outcome.REFUSED, refusal.reason)
            for recipient, refusal in sorted(refused.items())
        ),
    )


def consigned(outcomes: tuple[RecipientOutcome, ...]) -> tuple[OrganisationCode, ...]:
    """Return the organisations whose inbox the document goes to."""
    return tuple(OrganisationCode(o.recipient) for o in outcomes if o.outcome is Outcome.CONSIGNED)


def _codes(
    recipient: str, sender: OrganisationCode, directory: Directory, at: datetime
) -> tuple[OrganisationCode, ...]:
    codes = directory.resolve(recipient, sender, at)
    if not codes:
        raise Refused(
            Reason.RECIPIENT_NOT_ALLOWED, f"group {recipient!a:.40} has no member besides the sender"
        )
    for code in codes:
        if not directory.may_receive(code, at):
            raise Refused(Reason.RECIPIENT_NOT_ALLOWED, f"{code} does not exist on that day")
    return codes
