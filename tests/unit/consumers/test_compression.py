"""A compressed batch is as large as it says, or it is not looked at."""

import gzip
from collections.abc import Callable
from typing import Final

import pytest
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from axis.consumers import compression
from axis.consumers.compression import BoundedRecords, is_bounded

LIMIT: Final = 10_000
GZIP, SNAPPY, LZ4, ZSTD = range(1, 5)
CODECS: Final[dict[int, Callable[[bytes], bytes]]] = {
    GZIP: gzip_encode,
    SNAPPY: snappy_encode,
    LZ4: lz4_encode,
    ZSTD: zstd_encode,
}


@pytest.mark.parametrize("codec", CODECS)
@given(size=st.integers(1, LIMIT))
def test_what_fits_is_bounded(codec: int, size: int) -> None:
    """Up to the limit itself, by every codec."""
    assert is_bounded(codec, memoryview(CODECS[codec](bytes(size))), size)


@pytest.mark.parametrize("codec", CODECS)
@given(size=st.integers(2, LIMIT))
def test_what_is_one_byte_over_is_not(codec: int, size: int) -> None:
    """One byte less room, by every codec."""
    assert not is_bounded(codec, memoryview(CODECS[codec](bytes(size))), size - 1)


@given(codec=st.integers(1, 9), junk=st.binary(max_size=200))
def test_junk_is_not_bounded_or_small(codec: int, junk: bytes) -> None:
    """Bytes that no codec wrote are never an exception, whatever codec they claim."""
    assert isinstance(is_bounded(codec, memoryview(junk), LIMIT), bool)


def test_every_member_of_a_gzip_stream_counts() -> None:
    """A bomb behind a harmless first member."""
    assert not is_bounded(GZIP, memoryview(gzip.compress(b"a") + gzip.compress(bytes(LIMIT))), LIMIT)


def test_a_gzip_stream_of_many_members_is_not_looked_through() -> None:
    """Each costs a copy of what is behind it, and may be empty."""
    assert is_bounded(GZIP, memoryview(gzip.compress(b"") * 16), LIMIT)
    assert not is_bounded(GZIP, memoryview(gzip.compress(b"") * 17), LIMIT)


def test_every_block_of_a_snappy_stream_counts() -> None:
    """Many blocks that fit, and together do not."""
    blocks = snappy_encode(bytes(LIMIT), xerial_blocksize=1000)
    assert is_bounded(SNAPPY, memoryview(blocks), LIMIT)
    assert not is_bounded(SNAPPY, memoryview(blocks), LIMIT - 1)


def _batch(first: int, *values: bytes, codec: int = ZSTD) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 24)
    for number, value in enumerate(values):
        builder.append(number, 1_700_000_000_000, b"key", value, [])
    encoded = bytes(builder.build())
    return first.to_bytes(8, "big") + encoded[8:]


@pytest.mark.parametrize("codec", CODECS)
def test_a_bomb_is_one_record_without_a_value_between_its_neighbours(
    codec: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records before and after it are read; it stands at the first offset of its batch and ends where the batch ends."""
    monkeypatch.setattr(compression, "MAX_BATCH_BYTES", LIMIT)
    records = BoundedRecords(
        _batch(0, b"one", b"two", codec=codec)
        + _batch(2, *[bytes(LIMIT)] * 3, codec=codec)
        + _batch(5, b"three", codec=0)
    )
    read, ends = [], []
    while records.has_next():
        batch = records.next_batch()
        assert batch.validate_crc()
        read += [(each.offset, each.value) for each in batch]
        ends.append(batch.next_offset)
    assert read == [(0, b"one"), (1, b"two"), (2, None), (5, b"three")]
    assert ends == [2, 5, 6]


@pytest.mark.parametrize("codec", [0, *CODECS])
def test_a_crowd_of_records_is_one_record_without_a_value(
    codec: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as the limit are read, one more makes the whole batch one that is not looked at."""
    monkeypatch.setattr(compression, "MAX_BATCH_RECORDS", 3)
    records = BoundedRecords(_batch(0, *[b""] * 3, codec=codec) + _batch(3, *[b""] * 4, codec=codec))
    read = []
    while records.has_next():
        read += [(each.offset, each.value) for each in records.next_batch()]
    assert read == [(0, b""), (1, b""), (2, b""), (3, None)]
