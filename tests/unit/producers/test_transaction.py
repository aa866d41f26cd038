"""The deadline of a router task's batch, and what the broker is told of it."""

import asyncio
import ssl

import pytest

from axis.connection import Connection
from axis.errors import OutcomeUnknown
from axis.producers import kafka
from axis.producers.kafka import KafkaTransaction


def transaction(request_timeout_seconds: float) -> KafkaTransaction:
    """Return a transaction object that is connected to nothing."""
    connection = Connection("127.0.0.1:1", ssl.create_default_context(), request_timeout_seconds, "test")
    return KafkaTransaction(connection, "t", "g", ["axis.receipts"])


@pytest.mark.parametrize(
    ("request_timeout_seconds", "expected_ms"),
    [(0.1, 30_000), (10.0, 30_000), (100.0, 300_000), (600.0, 900_000)],
)
async def test_the_broker_waits_as_long_as_a_batch_may_take(
    request_timeout_seconds: float, expected_ms: int
) -> None:
    """Operators of a slow network raise one setting; brokers refuse more than 15 minutes."""
    made = transaction(request_timeout_seconds)
    assert made._producer._txn_manager.transaction_timeout_ms == expected_ms
    await made.close()


async def test_a_batch_has_one_deadline_for_all_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the broker aborts by now is waited for no longer, however long a single call might take."""
    monkeypatch.setattr(kafka, "_MOST_BATCH_SECONDS", 0.01)
    made = transaction(600.0)

    async def begin() -> None:
        """Begins without a broker, as aiokafka does."""

    async def for_ever() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(made._producer, "begin_transaction", begin)
    monkeypatch.setattr(made._producer, "commit_transaction", for_ever)
    await made.begin()
    with pytest.raises(OutcomeUnknown):
        await made.commit()
    await made.close()
