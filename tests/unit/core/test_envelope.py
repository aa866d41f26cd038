"""Message ids, urgencies and the identity of an envelope."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axis.core.digest import sha256
from axis.core.envelope import Envelope, Lane, Urgency, is_message_id
from axis.producers.identity import new_message_id

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UUID7 = "0191f5c6-7a3b-7c4d-8e9f-0123456789ab"


@pytest.mark.parametrize(
    "text",
    [
        "",
        UUID7.upper(),
        UUID7 + "\n",
        " " + UUID7,
        UUID7.replace("-", ""),
        UUID7[:14] + "4" + UUID7[15:],
        UUID7[:19] + "c" + UUID7[20:],
        UUID7.replace("0", "٠"),
        "../../../etc/passwd",
    ],
)
def test_only_a_lower_case_uuid7_is_a_message_id(text: str) -> None:
    """Another version, variant, case or form is none, so that one id has one spelling."""
    assert is_message_id(UUID7)
    assert not is_message_id(text)


@given(st.integers(1, 7_000_000).map(lambda hours: EPOCH + timedelta(hours=hours)))
def test_message_ids_made_here_are_valid_and_in_order(at: datetime) -> None:
    """Whatever the clock says, the id has the form, begins with the time, and is not made twice."""
    made = {new_message_id(at) for _ in range(10)}
    assert len(made) == 10
    assert all(is_message_id(each) for each in made)
    assert max(made) < new_message_id(at + timedelta(seconds=1))


def test_marked_urgencies_go_express_and_numbers_are_those_of_edxml() -> None:
    """Only the normal urgency takes the standard lane."""
    assert {each: each.lane for each in Urgency} == {
        Urgency.NORMAL: Lane.STANDARD,
        Urgency.URGENT: Lane.EXPRESS,
        Urgency.VERY_URGENT: Lane.EXPRESS,
        Urgency.FLASH: Lane.EXPRESS,
        Urgency.FLASH_TIMED: Lane.EXPRESS,
    }
    assert [int(each) for each in Urgency] == [0, 1, 2, 3, 4]


def test_the_identity_follows_from_the_manifest_alone() -> None:
    """Signatures can be varied without the key, so they are no part of the identity."""
    envelope = Envelope(b"manifest", b"signature", b"header", ())
    assert envelope.digest == sha256(b"manifest") == replace(envelope, signature=b"other").digest
    assert envelope.digest != replace(envelope, manifest=b"Manifest").digest
