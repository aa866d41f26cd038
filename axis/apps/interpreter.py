"""Settings of the Python interpreter for a process that computes while it answers a broker."""

import gc
import sys
from typing import Final

_SWITCH_SECONDS: Final = 0.001
_COLLECT_AFTER: Final = 20_000


def tune_interpreter() -> None:
    """Let threads change places sooner and the collector of cycles run less often; for the whole process."""
    # The event loop asks for the interpreter while a thread computes; by default it would wait 5 ms each time.
    sys.setswitchinterval(_SWITCH_SECONDS)
    # Examining makes many values and hardly a cycle: by default a sixth of the time goes into looking for some.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)
