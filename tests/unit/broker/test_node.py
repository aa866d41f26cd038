"""What a node of the embedded broker says when it ends by itself."""

import os
from pathlib import Path
from time import monotonic

import pytest

from axis.errors import AxisError, ConfigurationError, Unavailable
from axis.testing.broker.node import Node

WAIT_SECONDS = 30.0


@pytest.mark.parametrize(
    ("last_words", "kind", "advice"),
    [
        (
            "org.apache.kafka.common.errors.UnsupportedVersionException: Can't read version 4 of BrokerEndpoint",
            ConfigurationError,
            "go on with the version of the axis that wrote it",
        ),
        ("java.lang.OutOfMemoryError: Java heap space", Unavailable, "Java heap space"),
    ],
)
def test_a_node_that_ends_says_why(
    tmp_path: Path, last_words: str, kind: type[AxisError], advice: str
) -> None:
    """Data of a later Kafka are named as that, with what to do; of anything else the last lines are shown."""
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    try:
        with pytest.raises(kind, match=advice):
            Node(
                1, ["/bin/sh", "-c", f'echo "{last_words}" >&2; exit 1'], tmp_path / "server.log", lock
            ).await_started(monotonic() + WAIT_SECONDS)
    finally:
        os.close(lock)
