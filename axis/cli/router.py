"""`axis router`: the router role alone, for a site whose broker runs elsewhere."""

from dataclasses import replace
from typing import Annotated

from cyclopts import App, Parameter

from axis import settings
from axis.apps.up import run_router
from axis.cli.output import write_line
from axis.cli.parameters import DEFAULT_DATA, DataFolder, TelemetryPort
from axis.settings import Settings

app = App(
    name="router",
    help_epilogue="""Ví dụ (examples):

  axis router --data /var/lib/axis
  axis router --data /var/lib/axis --instance 1 --telemetry-port 9465

Khi sẵn sàng, in một dòng ra stdout: ready telemetry=127.0.0.1:9464
When ready, one line on stdout; SIGTERM finishes the transactions in hand and ends with 0.""",
)


@app.default
def router(
    *,
    data: DataFolder = DEFAULT_DATA,
    instance: Annotated[
        str,
        Parameter(help="Tên tiến trình giữa các bộ định tuyến. Name of this process among the routers."),
    ] = "0",
    telemetry_port: TelemetryPort = None,
) -> None:
    """Chạy riêng bộ định tuyến. Run the router role alone."""
    installation = settings.load(data)
    if telemetry_port is not None:
        changed = replace(installation.router, telemetry_port=telemetry_port)
        installation = replace(installation, router=changed)
    run_router(installation, announce, instance=instance)


def announce(installation: Settings, telemetry_port: int) -> None:
    """Write the line that says that the router serves, for whoever started it."""
    write_line(f"ready telemetry={installation.router.telemetry_host}:{telemetry_port}")
