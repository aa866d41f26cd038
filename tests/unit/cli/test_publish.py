"""`axis publish`: whoever's sending is broken off learns what is kept, and how to go on."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from axis.cli import publish
from axis.cli.publish_rows import ResultFormat
from axis.core.consignment import State
from axis.core.digest import sha256
from axis.core.envelope import MessageId
from axis.core.topics import SUBMISSIONS_STANDARD
from axis.errors import OutcomeUnknown, Refused, Unavailable
from axis.storage.journal import Journal, StoredSubmission

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
MESSAGE_ID = MessageId("0191f5c6-7a3b-7c4d-8e9f-0123456789ab")
OPTIONS = publish._Options("H56", Path("axis-data"), State.ACCEPTED, 60.0, ResultFormat.TABLE)


@pytest.fixture
def journal() -> Iterator[Journal]:
    """A journal with one document that is signed and kept."""
    opened = Journal(":memory:")
    opened.store_submission(
        StoredSubmission(MESSAGE_ID, sha256(b""), SUBMISSIONS_STANDARD, b"", State.STORED, NOW)
    )
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        OutcomeUnknown("no answer"),
        Unavailable("the journal cannot be written"),
        Refused("broker-refused", SUBMISSIONS_STANDARD),
    ],
)
@pytest.mark.parametrize("state", [State.STORED, State.SUBMITTED])
def test_what_is_kept_is_named_whatever_broke_the_sending_off(
    journal: Journal, capsys: pytest.CaptureFixture[str], error: BaseException, state: State
) -> None:
    """With how to send it on or give it up, or, where it is sent already, with how to look after it."""
    journal.set_state(MESSAGE_ID, state)
    node = SimpleNamespace(journal=journal)
    with pytest.raises(type(error)), publish._told_where_it_stands(node, MESSAGE_ID, OPTIONS):  # type: ignore[arg-type] # all of a node that it looks at
        raise error
    told = capsys.readouterr().err
    assert MESSAGE_ID in told
    kept = state is State.STORED
    assert ("axis publish --resume --as H56" in told) is kept
    assert ("axis publish --drop" in told) is kept
    assert (f"axis receipts show {MESSAGE_ID}" in told) is not kept
