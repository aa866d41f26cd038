"""Which inboxes a document goes to."""

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axis.core.addressing import OrganisationCode
from axis.core.directory import Directory
from axis.core.disposition import Reason
from axis.core.envelope import Header
from axis.core.policy import AcceptancePolicy
from axis.core.receipt import Outcome
from axis.core.routing import consigned, route
from axis.errors import Refused

POLICY = AcceptancePolicy()
KNOWN = ["H56.1", "H56.2", "H56.3", "@ba", "@mot", "@communes", "@all"]


def routed(
    header: Header, directory: Directory, now: datetime, *recipients: str
) -> list[tuple[str, str | None]]:
    """Recipient and reason of each outcome."""
    outcomes = route(replace(header, recipients=recipients), directory, now, POLICY)
    return [(each.recipient, each.reason) for each in outcomes]


def test_each_organisation_is_served_once(header: Header, directory: Directory, now: datetime) -> None:
    """A code, and groups that contain it, make one consignment, sorted by code."""
    assert routed(header, directory, now, "@ba", "H56.3", "H56.1", "@mot") == [
        ("H56.1", None),
        ("H56.2", None),
        ("H56.3", None),
    ]


def test_a_faulty_recipient_does_not_keep_the_others_from_being_served(
    header: Header, directory: Directory, now: datetime
) -> None:
    """Its refusal stands beside the consignments."""
    assert routed(header, directory, now, "H56.77", "H56.2", "H56.8", "@khong") == [
        ("H56.2", None),
        ("@khong", Reason.RECIPIENT_UNKNOWN),
        ("H56.77", Reason.RECIPIENT_UNKNOWN),
        ("H56.8", Reason.RECIPIENT_NOT_ALLOWED),
    ]


@pytest.mark.parametrize(
    ("recipients", "reason"),
    [
        (("H56.77", "H56.8"), Reason.RECIPIENT_UNKNOWN),
        (("H56.8", "H56.77"), Reason.RECIPIENT_NOT_ALLOWED),
        (("h56.1",), Reason.RECIPIENT_UNKNOWN),
        (("H56.1 ",), Reason.RECIPIENT_UNKNOWN),
        (("",), Reason.RECIPIENT_UNKNOWN),
    ],
)
def test_where_nobody_can_be_served_the_whole_is_refused(
    header: Header, directory: Directory, now: datetime, recipients: tuple[str, ...], reason: Reason
) -> None:
    """The reason is the first recipient's."""
    with pytest.raises(Refused) as caught:
        routed(header, directory, now, *recipients)
    assert caught.value.reason == reason


def test_a_group_never_means_its_sender(header: Header, directory: Directory, now: datetime) -> None:
    """A group in which the sender is alone has nobody to deliver to; a suspended organisation still receives."""
    own = replace(header, sender=OrganisationCode("H56.1"))
    with pytest.raises(Refused) as caught:
        routed(own, directory, now, "@mot")
    assert caught.value.reason == Reason.RECIPIENT_NOT_ALLOWED
    assert [code for code, _ in routed(own, directory, now, "@communes")] == ["H56.2", "H56.3", "H56.9"]


def test_groups_are_counted_by_their_members(header: Header, directory: Directory, now: datetime) -> None:
    """A short list can mean more organisations than a document may go to."""
    few = AcceptancePolicy(max_recipients=2)
    with pytest.raises(Refused) as caught:
        route(replace(header, recipients=("@ba",)), directory, now, few)
    assert caught.value.reason == Reason.RECIPIENTS_TOO_MANY


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(recipients=st.lists(st.one_of(st.sampled_from([*KNOWN, "H56.8"]), st.text(max_size=80)), min_size=1))
def test_outcomes_account_for_every_recipient(
    header: Header, directory: Directory, now: datetime, recipients: list[str]
) -> None:
    """Nobody is served who was not named, nobody twice, and every text that means nobody is refused by name."""
    try:
        outcomes = route(replace(header, recipients=tuple(recipients)), directory, now, POLICY)
    except Refused:
        assert not set(recipients) & set(KNOWN)
        return
    served = consigned(outcomes)
    meant = {
        code for each in recipients if each in KNOWN for code in directory.resolve(each, header.sender, now)
    }
    assert set(served) == meant
    assert list(served) == sorted(set(served))
    refused = [each for each in outcomes if each.outcome is Outcome.REFUSED]
    assert {each.recipient for each in refused} == {each[:64] for each in recipients if each not in KNOWN}
    assert all(each.reason for each in refused)
