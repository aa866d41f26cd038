"""`axis up`: the whole axis on one machine, for a trial or a small site."""

import sys
from pathlib import Path
from shlex import quote
from typing import Annotated, Final

from cyclopts import App, Parameter

from axis.apps.up import run_site
from axis.cli import router
from axis.cli.output import say
from axis.cli.parameters import DEFAULT_DATA, DataFolder, TelemetryPort
from axis.settings import Settings, is_environment
from axis.telemetry.exposition import shown_address

app = App(
    name="up",
    help_epilogue="""Ví dụ (examples):

  axis up
  axis up --data /var/lib/axis --environment production --telemetry-port 9500

Dừng bằng Ctrl-C hoặc SIGTERM; chạy lại với cùng thư mục dữ liệu là tiếp tục như cũ.
Ctrl-C or SIGTERM stops it in order; started again with the same data folder, it continues where it was.""",
)


def _check_environment(_: object, name: str | None) -> None:
    """Refuse a name that the settings would refuse, before it is written there."""
    if name is not None and not is_environment(name):
        raise ValueError("Must be a name of 1 to 64 characters.")


@app.default
def up(
    *,
    data: DataFolder = DEFAULT_DATA,
    config: Annotated[
        Path | None,
        Parameter(
            env_var="AXIS_CONFIG",
            help="Thư mục có directory/ và topics.toml, cho lần đầu. Folder with both, for the first start.",
        ),
    ] = None,
    environment: Annotated[
        str | None,
        Parameter(
            validator=_check_environment,
            help="Tên môi trường, cho lần đầu. Name of the installation, for the first start.",
        ),
    ] = None,
    telemetry_port: TelemetryPort = None,
) -> None:
    """Chạy cả trục trên một máy. Run the whole axis on one machine."""
    run_site(data, config, _progress, _announce, environment=environment, telemetry_port=telemetry_port)


_STEPS: Final = {
    "keys and certificates": "khóa và chứng thư",
    "broker": "Kafka",
    "topics and inboxes": "chủ đề và hộp thư",
    "router": "bộ định tuyến",
    "stopping the broker": "đang dừng Kafka",
}


def _progress(step: str) -> None:
    say(f"· {_STEPS.get(step, step)} ({step})")


def _announce(settings: Settings, telemetry_port: int) -> None:
    say(
        f"""
Trục đang chạy (môi trường "{settings.environment}"):
  Kafka            {settings.broker.bootstrap_servers} (mTLS)
  Số đo            http://{shown_address(settings.router.telemetry_host, telemetry_port)}/metrics, /healthz, /readyz
  Dữ liệu          {settings.folder}""",
        f"""
The axis is running (installation "{settings.environment}"); Ctrl-C stops it.

Thử tiếp, ở cửa sổ khác (next, in another window):
{_activation()}  export AXIS_DATA={quote(str(settings.folder))}
  axis publish "$AXIS_DATA/topics.toml" --as H56 --to H56.14812 --subject "Thử nghiệm"
  axis inbox list --as H56.14812
  axis inbox take --all --as H56.14812 --to /tmp/van-ban
  axis inbox list --as H56
  axis reconcile""",
    )
    router.announce(settings, telemetry_port)


def _activation() -> str:
    """Return the line by which another shell finds `axis`; nothing where it is not in a virtual environment."""
    if sys.prefix == sys.base_prefix:
        return ""
    return f"  source {quote(str(Path(sys.prefix) / 'bin' / 'activate'))}\n"
