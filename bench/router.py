"""The real router as a child of the bench: `python -m bench.router FOLDER`; the end of its input stops it.

It is what `axis router` runs, with as many workers as that would have here. One worker can be sampled: SIGUSR1 begins.
"""

import argparse
import asyncio
import signal
from dataclasses import replace
from pathlib import Path

from axis import settings as settings_file
from axis.apps.workers import new_router
from axis.telemetry.logs import configure_logs
from bench.lifeline import when_input_ends
from bench.sampler import sampled


async def main() -> None:
    """Route until the standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the site's data folder")
    parser.add_argument("--workers", type=int, default=1, help="processes that share the work")
    parser.add_argument("--samples", type=Path, help="file for where the time of each thread went")
    arguments = parser.parse_args()
    configure_logs()
    settings = settings_file.load(arguments.folder)
    router = new_router(replace(settings, router=replace(settings.router, workers=arguments.workers)))
    when_input_ends(router.stop)
    if arguments.samples is None:
        await router.run()
        return
    with sampled(arguments.samples) as begin:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, begin)
        await router.run()


if __name__ == "__main__":
    asyncio.run(main())
