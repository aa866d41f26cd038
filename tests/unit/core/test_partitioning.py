"""The partition of a key is the one that Kafka's own clients compute."""

import pytest
from aiokafka.partitioner import murmur2 as oracle
from hypothesis import given
from hypothesis import strategies as st

from axis.core.partitioning import murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_vectors_of_kafka_hold(key: bytes, signed: int) -> None:
    """The vectors are those of Apache Kafka's UtilsTest.testMurmur2."""
    assert murmur2(key) == signed & 0xFFFFFFFF


@given(st.binary(max_size=80))
def test_murmur2_is_that_of_the_client_library(key: bytes) -> None:
    """Every key, of every length and with every byte, has the hash that aiokafka computes."""
    assert murmur2(key) == oracle(key) & 0xFFFFFFFF


@given(st.text(max_size=40), st.integers(1, 1000))
def test_a_partition_exists(key: str, partitions: int) -> None:
    """Every key has a partition among those that there are."""
    assert 0 <= partition_of(key, partitions) < partitions
