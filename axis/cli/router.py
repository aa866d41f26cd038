"""`axis router`: the router role alone, for a site whose broker runs elsewhere."""

import re
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Final

from cyclopts import App, Parameter
from cyclopts.validators import Number

from axis import settings
from axis.apps.up import run_router
from axis.cli.output import write_line
from axis.cli.parameters import DEFAULT_DATA, DataFolder, TelemetryPort
from axis.settings import WORKERS, Settings
from axis.telemetry.exposition import shown_address

_INSTANCE: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")

app = App(
    name="router",
    help_epilogue="""Ví dụ (examples):

  axis router --data /var/lib/axis
  axis router --data /var/lib/axis --workers 2
  axis router --data /var/lib/axis --instance 1 --telemetry-port 9465

Khi sẵn sàng, in một dòng ra stdout: ready telemetry=127.0.0.1:9464
When ready, one line on stdout; SIGTERM finishes the transactions in hand and ends with 0.
All workers answer at that one address; when one of them ends by itself, the others end in order, and the status is 7.""",
)


def _check_instance(_: type, name: str) -> None:
    """Refuse a name that cannot be that of a folder.

    Raises:
        ValueError: it has other characters, or is too long.
    """
    if not _INSTANCE.fullmatch(name):
        raise ValueError(f"got {name!a:.40}, expected 1 to 32 letters, digits, '_' or '-'")


@app.default
def run(
    *,
    data: DataFolder = DEFAULT_DATA,
    instance: Annotated[
        str,
        Parameter(
            validator=_check_instance,
            help="Tên giữa các bộ định tuyến. Name among the routers of the installation.",
        ),
    ] = "0",
    workers: Annotated[
        int | None,
        Parameter(
            validator=Number(gte=WORKERS[0], lte=WORKERS[-1]),
            help="Số tiến trình; 0: mỗi lõi một. Processes that share the work; 0 for one per core, at most four.",
        ),
    ] = None,
    telemetry_port: TelemetryPort = None,
) -> None:
    """Chạy riêng bộ định tuyến. Run the router role alone."""
    installation = settings.load(data.absolute())
    router = installation.router
    if workers is not None:
        router = replace(router, workers=workers)
    if telemetry_port is not None:
        router = replace(router, telemetry_port=telemetry_port)
    run_router(replace(installation, router=router), announce, instance=instance)


def announce(installation: Settings, telemetry_port: int) -> None:
    """Write the line that says that the router serves, for whoever started it; where nobody reads, it serves as well."""
    with suppress(BrokenPipeError):
        write_line(f"ready telemetry={shown_address(installation.router.telemetry_host, telemetry_port)}")
