"""For how long brokers have not answered about the partitions that they are being asked about.

Each partition counts for itself: other brokers answer on while one leader cannot be reached.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

from axis.ports import PartitionId

_LEAST_SECONDS: Final = 30.0


def silence_limit(request_timeout_seconds: float) -> float:
    """Return how long an answer may take before something is wrong, in seconds.

    Asked without a pause, brokers answer within a second, even that nothing came. Over a poor link, whose requests are
    given more time, the answer with a backlog in it may take nearly that long.
    """
    return max(_LEAST_SECONDS, 2 * request_timeout_seconds)


class Silence:
    """Measures silence between two looks at what is asked.

    Args:
        monotonic: seconds that never go back: a clock that is put right is no silence.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._since: dict[PartitionId, tuple[int | None, float]] = {}

    def look(self, asked: Mapping[PartitionId, int | None]) -> dict[PartitionId, float]:
        """Return for each partition since how many seconds no answer was seen although one was asked for.

        Args:
            asked: the partitions that are asked about, each with a mark that changes with every answer.
        """
        now = self._monotonic()
        self._since = {
            place: before if (before := self._since.get(place)) and before[0] == mark else (mark, now)
            for place, mark in asked.items()
        }
        return {place: now - since for place, (_, since) in self._since.items()}
