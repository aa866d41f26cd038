"""The small HTTP server of every role: `/metrics`, `/healthz`, `/readyz`.

| path | answers |
|---|---|
| `/metrics` | Prometheus text, or OpenMetrics when the Accept header asks for it |
| `/healthz` | 200 while the event loop turns, else 503: restart the process |
| `/readyz` | 200 when the role can serve, else 503 with the failing checks |

It runs in a daemon thread of its own, so that a standing event loop can still be seen from outside.
"""

import json
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from threading import Thread
from typing import ClassVar, Final, Protocol
from urllib.parse import urlsplit

import structlog
from prometheus_client import CollectorRegistry, MetricsHandler, ProcessCollector

from axis.errors import Bilingual, ConfigurationError
from axis.telemetry.health import Check, Readiness

REQUEST_SECONDS: Final = 10.0
"""Longest wait for a client's request: one that stays silent must not hold a thread."""

STOP_SECONDS: Final = 5.0

log = structlog.stdlib.get_logger(__name__)


def shown_address(host: str, port: int) -> str:
    """Return an address as it stands in a URL, such as `127.0.0.1:9464` or `[::1]:9464`."""
    return f"[{host}]:{port}" if ":" in host and not host.endswith("]") else f"{host}:{port}"


class HealthSource(Protocol):
    """What `/healthz` and `/readyz` show: of a role in this process, or gathered from its workers."""

    def liveness(self) -> Check:
        """Return whether the event loop turned lately."""

    def readiness(self) -> Readiness:
        """Return all checks."""


def process_registry() -> CollectorRegistry:
    """Return a registry of its own for one process, with the operating system's view of it (`process_*`)."""
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    return registry


class TelemetryServer:
    """Serves one process's metrics and health until stopped.

    Args:
        host: address to listen on, IPv4 or IPv6, which may stand in brackets as in a URL: whoever reaches it can read
            everything here.
        port: 0 chooses a free one.
        registry: what `/metrics` shows.
        health: what `/healthz` and `/readyz` show.
    """

    def __init__(self, host: str, port: int, registry: CollectorRegistry, health: HealthSource) -> None:
        bracketed = host.startswith("[") and host.endswith("]")
        self._address = (host[1:-1] if bracketed else host, port)
        self._handler = type("_BoundHandler", (_Handler,), {"registry": registry, "health": health})
        self._server: _Server | None = None
        self._thread: Thread | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; the one asked for until started."""
        return self._address[1] if self._server is None else int(self._server.server_address[1])

    def start(self) -> None:
        """Listen and answer in the background.

        Raises:
            ConfigurationError: the address cannot be used.
        """
        host, port = self._address
        try:
            server = _Server(self._address, self._handler)
        except (OSError, OverflowError, UnicodeError) as error:
            raise ConfigurationError(
                Bilingual(
                    f"địa chỉ số đo {host} cổng {port}: {error}; cần một địa chỉ của máy này và cổng còn trống; chọn cổng"
                    " khác (0: cổng trống bất kỳ) hoặc dừng chương trình đang dùng cổng đó",
                    f"telemetry address {host} port {port}: got {error}; expected an address of this machine and a free "
                    "port; choose another port (0 finds a free one) or stop the program that listens there",
                )
            ) from error
        self._server = server
        self._thread = Thread(target=server.serve_forever, name="telemetry", daemon=True)
        self._thread.start()
        log.info("telemetry.started", host=host, port=self.port)

    def stop(self) -> None:
        """Stop listening; requests under way are left to end by themselves. Does nothing when not started."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join(STOP_SECONDS)
        self._server.server_close()
        self._server = self._thread = None


class _Server(ThreadingHTTPServer):
    """An HTTP server for either address family that reports faults of a request as log events."""

    def __init__(self, address: tuple[str, int], handler: type["_Handler"]) -> None:
        self.address_family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        super().__init__(address, handler)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - fixed by the base class
        # A client that hangs up; the library would print a traceback.
        fault = sys.exc_info()[0]
        log.warning("telemetry.request_failed", fault_type="" if fault is None else fault.__qualname__)


class _Handler(MetricsHandler):
    health: HealthSource
    timeout: ClassVar[float | None] = REQUEST_SECONDS
    server_version = "axis"
    sys_version = ""

    def do_GET(self) -> None:  # noqa: N802 - the name the library calls
        match urlsplit(self.path).path:
            case "/metrics":
                super().do_GET()
            case "/healthz":
                liveness = self.health.liveness()
                self._answer(liveness.passed, asdict(liveness))
            case "/readyz":
                readiness = self.health.readiness()
                failing = readiness.failing
                self._answer(
                    not failing,
                    {
                        "role": readiness.role,
                        "ready": not failing,
                        "failing": [check.name for check in failing],
                        "checks": [asdict(check) for check in readiness.checks],
                    },
                )
            case _:
                self.send_error(HTTPStatus.NOT_FOUND, explain="expected /metrics, /healthz or /readyz")

    def _answer(self, good: bool, body: Mapping[str, object]) -> None:
        content = json.dumps(body, ensure_ascii=False, indent=1).encode() + b"\n"
        self.send_response(HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)
