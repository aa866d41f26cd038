"""The real router as a child of the bench: `python -m bench.router FOLDER`; the end of its input stops it, SIGUSR1 begins sampling."""

import argparse
import asyncio
import signal
from pathlib import Path

from axis import settings as settings_file
from axis.apps.router import Router
from axis.telemetry.logs import configure_logs
from bench.lifeline import when_input_ends
from bench.sampler import sampled


async def main() -> None:
    """Route until the standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the site's data folder")
    parser.add_argument("--instance", default="0", help="its name among the routers of the site")
    parser.add_argument("--samples", type=Path, help="file for where the time of each thread went")
    arguments = parser.parse_args()
    configure_logs()
    router = Router(settings_file.load(arguments.folder), arguments.instance)
    when_input_ends(router.stop)
    if arguments.samples is None:
        await router.run()
        return
    with sampled(arguments.samples) as begin:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, begin)
        await router.run()


if __name__ == "__main__":
    asyncio.run(main())
