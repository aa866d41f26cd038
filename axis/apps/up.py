"""Runs a role, or a whole site, in this process until it is asked to stop."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from axis.apps import site
from axis.apps.signals import stopping_on_signals
from axis.apps.workers import new_router
from axis.errors import Bilingual, ConfigurationError, Unavailable
from axis.settings import DEFAULT_TELEMETRY_PORT, FILE_NAME, Settings, load
from axis.testing.broker import Broker
from axis.testing.broker.layout import is_free

_WATCH_SECONDS: Final = 1.0
_LEAVE_SECONDS: Final = 15.0
"""How long the router may take to let go of a broker that has ended."""

Announce = Callable[[Settings, int], None]
"""Is told, once everything serves, the settings in force and the telemetry port."""


def run_router(settings: Settings, announce: Announce, *, instance: str = "0") -> None:
    """Route until SIGINT or SIGTERM, in as many processes as the settings say; transactions in hand are finished first.

    Args:
        settings: the installation; its paths must be absolute.
        announce: called when the router is a member of its group and all its tasks are open.
        instance: name of this router among those of the installation.

    Raises:
        ConfigurationError: settings, keys or topics are not usable.
        Unavailable: no broker answers at the start, or one of several processes ended by itself.
    """
    asyncio.run(_route(settings, announce, instance))


def run_site(
    folder: Path,
    config: Path | None,
    progress: site.Progress,
    announce: Announce,
    *,
    environment: str | None = None,
    telemetry_port: int | None = None,
) -> None:
    """Run broker and router of a site until SIGINT or SIGTERM; what is there from before goes on.

    Args:
        folder: the data folder; made on the first start.
        config: where a new site's directory and topics are copied from; None looks in the usual places.
        progress: told, in a few words, what is being done.
        announce: called when everything serves.
        environment: name of a new installation; an existing one must have this name.
        telemetry_port: instead of the one in the settings.

    Raises:
        ConfigurationError: something on this machine has to be changed first; says what.
        Unavailable: the broker does not come up, or ended by itself while the site ran; names its log.
    """
    is_new = not (folder / FILE_NAME).is_file()
    if not is_new:
        _check(load(folder), environment)
    port = _telemetry_port(folder, telemetry_port, is_new=is_new)
    with (
        _terminated_as_interrupted(),
        site.start(
            folder,
            site.configuration_folder(config) if is_new else folder,
            progress,
            environment=environment or "trial",
            telemetry_port=port,
        ) as started,
    ):
        router = replace(started.settings.router, telemetry_port=port)
        progress("router")
        asyncio.run(_route_beside(started.broker, replace(started.settings, router=router), announce))
        progress("stopping the broker")


async def _route(settings: Settings, announce: Announce, instance: str) -> None:
    # As services do: the folder in which the command was run may be closed to it, or vanish, and workers start there.
    os.chdir(settings.folder)
    router = new_router(settings, instance)
    with stopping_on_signals(router.stop):
        await router.run(lambda port: announce(settings, port))


async def _route_beside(broker: Broker, settings: Settings, announce: Announce) -> None:
    """Route until asked to stop, or until the broker ends, because then there is nothing to wait for.

    Raises:
        Unavailable: the broker ended.
    """
    routing = asyncio.create_task(_route(settings, announce, "0"))
    watching = asyncio.create_task(_watch(broker))
    await asyncio.wait((routing, watching), return_when=asyncio.FIRST_COMPLETED)
    if routing.done():
        watching.cancel()
        await routing
        return
    routing.cancel()
    left, _ = await asyncio.wait((routing,), timeout=_LEAVE_SECONDS)
    await asyncio.gather(*left, return_exceptions=True)
    await watching


async def _watch(broker: Broker) -> None:
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        try:
            await asyncio.to_thread(broker.check)
        except Unavailable as error:
            raise Unavailable(
                Bilingual(
                    "Kafka đã tự dừng, trục dừng theo; nguyên nhân ở cuối nhật ký của Kafka (tệp nêu dưới đây);"
                    " chạy lại `axis up` là tiếp tục như cũ",
                    f"Kafka ended by itself, so the axis ends; started again, it continues where it was. {error}",
                )
            ) from error


def _check(settings: Settings, environment: str | None) -> None:
    if environment is not None and environment != settings.environment:
        raise ConfigurationError(
            Bilingual(
                f"{settings.folder} là hệ thống {settings.environment!a}, không phải --environment {environment!a}; bỏ tham"
                " số này, hoặc chọn thư mục dữ liệu khác",
                f"{settings.folder} is the installation {settings.environment!a}, got --environment {environment!a};"
                " leave it out, or give another data folder",
            )
        )


def _telemetry_port(folder: Path, given: int | None, *, is_new: bool) -> int:
    """Return the port to use, before anything slow is started.

    Raises:
        ConfigurationError: another program listens there.
    """
    port = given
    if port is None:
        port = DEFAULT_TELEMETRY_PORT if is_new else load(folder).router.telemetry_port
    if port and not is_free(port):
        raise ConfigurationError(
            Bilingual(
                f"cổng số đo {port} đang có chương trình khác dùng; dừng nó (tìm bằng: ss -ltnp 'sport = :{port}'), hoặc"
                " chọn cổng khác bằng --telemetry-port (0: cổng trống bất kỳ)",
                f"telemetry port {port} is taken by another program; stop it (find it with: ss -ltnp 'sport ="
                f" :{port}'), or choose another with --telemetry-port (0 finds a free one)",
            )
        )
    return port


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """While there is no event loop to hear it, let SIGTERM end the start in order, as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
