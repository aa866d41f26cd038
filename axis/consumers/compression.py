"""A bound on what one batch becomes: zstd makes a gigabyte of a hundred kilobytes, and anyone may try.

The broker limits the compressed size alone, and aiokafka decompresses a batch whole before a record of it can be looked
at. Producers limit what they put into a batch before they compress it, to about a megabyte by default, so whatever
exceeds the bound is no honest batch. Nor is one of many thousands of records: an envelope has a kilobyte at least, and
each record costs its readers the same whether it holds anything or not. Such a batch is handed on as one record without
a value, at the batch's first offset.
"""

import zlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Final

import cramjam
from aiokafka.consumer import fetcher
from aiokafka.record.memory_records import MemoryRecords

MAX_BATCH_BYTES: Final = 8 * 1024 * 1024
"""Size of a batch when decompressed."""
MAX_BATCH_RECORDS: Final = 10_000

# The record batch of KIP-98: base offset, length, leader epoch, magic, checksum, attributes, …, records.
_LENGTH_AT: Final = 8
_LOG_OVERHEAD: Final = 12
_COUNT_AT: Final = 57
_RECORDS_AT: Final = 61
_UNCOMPRESSED: Final = 0
_GZIP_FORMAT: Final = 31
_MAX_GZIP_MEMBERS: Final = 16
"""Encoders write one; what is behind each is copied to look at the next."""
_XERIAL_MAGIC: Final = b"\x82SNAPPY\x00"
_XERIAL_HEAD: Final = 16
_BLOCK_LENGTH: Final = 4


class BoundedRecords:
    """Takes the place of aiokafka's `MemoryRecords`: the batches of one partition in a fetch response."""

    def __init__(self, buffer: bytes) -> None:
        self._buffer = buffer
        self._position = 0
        self._records = MemoryRecords(buffer)

    def size_in_bytes(self) -> int:
        """Return the size of the response's part."""
        return int(self._records.size_in_bytes())

    def has_next(self) -> bool:
        """Tell whether another whole batch follows."""
        return bool(self._records.has_next())

    def next_batch(self) -> Any:  # noqa: ANN401 - aiokafka's batch, or one that stands for it
        """Return the next batch."""
        start = self._position
        length_at = start + _LENGTH_AT
        self._position += _LOG_OVERHEAD + int.from_bytes(self._buffer[length_at : length_at + 4], "big")
        batch = self._records.next_batch()
        if batch is None:
            return None
        if int.from_bytes(self._buffer[start + _COUNT_AT : start + _RECORDS_AT], "big") > MAX_BATCH_RECORDS:
            return _Omitted(batch)
        if not (codec := getattr(batch, "compression_type", _UNCOMPRESSED)):
            return batch
        compressed = memoryview(self._buffer)[start + _RECORDS_AT : self._position]
        return batch if is_bounded(codec, compressed, MAX_BATCH_BYTES) else _Omitted(batch)


class _Omitted:
    """A batch whose records are not looked at."""

    def __init__(self, batch: Any) -> None:  # noqa: ANN401 - aiokafka has no types
        self._batch = batch

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        batch = self._batch
        yield SimpleNamespace(
            offset=batch.base_offset,
            timestamp=batch.max_timestamp,
            timestamp_type=batch.timestamp_type,
            key=None,
            value=None,
            checksum=None,
            headers=(),
        )


def is_bounded(codec: int, compressed: memoryview, limit: int) -> bool:
    """Tell whether compressed records can be decompressed, into at most `limit` bytes.

    Args:
        codec: the number that Kafka gives it: 1 gzip, 2 Snappy, 3 LZ4, 4 Zstandard.
        compressed: the records of one batch.
        limit: in bytes; no more memory than this is taken for the answer.
    """
    try:
        match codec:
            case 1:
                return _gzip_size(compressed, limit) <= limit
            case 2:
                return _snappy_size(compressed) <= limit
            case 3:
                return int(cramjam.lz4.decompress_into(compressed, bytearray(limit))) <= limit
            case 4:
                return int(cramjam.zstd.decompress_into(compressed, bytearray(limit))) <= limit
            case _:
                return False
    except (cramjam.DecompressionError, zlib.error, EOFError, ValueError):
        return False


def _gzip_size(compressed: memoryview, limit: int) -> int:
    """Return the size, or something over the limit; a stream may have several members."""
    size, left = 0, bytes(compressed)
    for _ in range(_MAX_GZIP_MEMBERS):
        if not left or size > limit:
            return size
        member = zlib.decompressobj(_GZIP_FORMAT)
        size += len(member.decompress(left, limit + 1 - size))
        if not member.eof and size <= limit:
            raise EOFError
        left = member.unused_data
    return limit + 1 if left else size


def _snappy_size(compressed: memoryview) -> int:
    """Return the size that the blocks say they have; Snappy refuses to write more than that."""
    if bytes(compressed[: len(_XERIAL_MAGIC)]) != _XERIAL_MAGIC:
        return int(cramjam.snappy.decompress_raw_len(compressed))
    size, position = 0, _XERIAL_HEAD
    while position < len(compressed):
        block = position + _BLOCK_LENGTH
        length = int.from_bytes(compressed[position:block], "big", signed=True)
        if length <= 0:
            raise ValueError(length)
        position = block + length
        size += int(cramjam.snappy.decompress_raw_len(compressed[block:position]))
    return size


def bound_batches() -> None:
    """Make every consumer of this process read through `BoundedRecords`."""
    fetcher.MemoryRecords = BoundedRecords
