"""Which partition a key belongs to: murmur2, as the default partitioner of Kafka's Java client computes it.

The rule is part of the protocol. Everything of one sender must reach one router task, because that task alone knows
what the sender has submitted before: a copy in another partition would be a second delivery. A client whose library
partitions by another function (librdkafka's default is CRC-32) is refused with `wrong-partition`, never guessed at.
"""

from functools import lru_cache
from struct import unpack_from

_M = 0x5BD1E995
_MASK = 0xFFFFFFFF
_SEED = 0x9747B28C


def murmur2(key: bytes) -> int:
    """Return the 32-bit murmur2 hash of a key, unsigned (`org.apache.kafka.common.utils.Utils.murmur2`)."""
    length = len(key)
    h = (_SEED ^ length) & _MASK
    words, whole = length >> 2, length & ~3
    for word in unpack_from(f"<{words}I", key):
        k = word * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    rest = key[whole:]
    if rest:
        h = ((h ^ int.from_bytes(rest, "little")) * _M) & _MASK
    h = ((h ^ h >> 13) * _M) & _MASK
    return h ^ h >> 15


@lru_cache(maxsize=4096)
def partition_of(key: str, partitions: int) -> int:
    """Return the partition of a key among `partitions` (>= 1)."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
