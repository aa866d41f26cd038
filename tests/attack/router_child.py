"""The router of the stage as a process of its own; it ends with the process that started it.

python -m tests.attack.router_child FOLDER REVOKED EXPLOSIVE      (certificates by SHA-256)

Prints the port of its telemetry when every task is open; SIGTERM stops it in good order.
"""

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path

from axis.apps import wiring
from axis.apps.router import Router
from axis.consumers.verify import Verifier
from axis.core.policy import AcceptancePolicy
from axis.settings import Settings, load
from axis.telemetry.logs import LogFormat, configure_logs
from tests.attack.planted import PlantedChecker


async def _route(settings: Settings) -> None:
    router = Router(settings)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, router.stop)
    await router.run(lambda port: print(port, flush=True))  # noqa: T201 - the starter reads it


def _end_with_the_starter() -> None:
    sys.stdin.read()
    os._exit(1)


def main(folder: str, revoked: str, explosive: str) -> None:
    """Route until SIGTERM."""
    configure_logs(log_format=LogFormat.JSON)
    threading.Thread(target=_end_with_the_starter, daemon=True).start()
    genuine = wiring.verifier

    def planted(settings: Settings, policy: AcceptancePolicy) -> Verifier:
        return Verifier(PlantedChecker(genuine(settings, policy)._certificates, revoked, explosive), policy)

    wiring.verifier = planted
    asyncio.run(_route(load(Path(folder))))


if __name__ == "__main__":
    main(*sys.argv[1:])
