"""Which keys each lane of a task has in hand: about to be decided, or decided and not remembered.

A lane claims what it is going to decide, and never what the other one has in hand, nor what asks about it: a signed answer
would rest on what may still be decided otherwise. What is claimed is looked up afterwards: whatever the other lane had in
hand before is remembered by then.
"""

import threading
from collections.abc import Sequence

from axis.consumers.examine import Candidate
from axis.consumers.idempotency import consignment_key_of, key_of


class Claims:
    """What the lanes of one incarnation have in hand; claimed by the threads that decide, released by the event loop."""

    def __init__(self) -> None:
        # Held for a few look-ups and never for work: a thread that gives way would hold up everybody else.
        self._lock = threading.Lock()
        self._held: dict[object, set[str]] = {}

    def claim(self, holder: object, candidates: Sequence[Candidate]) -> int:
        """Claim the first submissions for one holder, up to one that asks about what another holds; return how many."""
        wanted = [(key_of(each), consignment_key_of(each)) for each in candidates]
        with self._lock:
            own = self._held.setdefault(holder, set())
            others = [keys for other, keys in self._held.items() if other != holder]
            for number, (key, consignment) in enumerate(wanted):
                if any(key in keys or consignment in keys for keys in others):
                    return number
                if key is not None:
                    own.add(key)
            return len(candidates)

    def release(self, holder: object) -> None:
        """Let go of everything that a holder has claimed: it is remembered, or was not decided after all."""
        with self._lock:
            self._held.pop(holder, None)
