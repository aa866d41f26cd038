"""The HTTP server of every role."""

import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from axis.errors import ConfigurationError
from axis.telemetry.exposition import TelemetryServer, process_registry, shown_address
from axis.telemetry.health import Health
from axis.telemetry.metrics import Metrics

HOST = "127.0.0.1"
Start = Callable[..., TelemetryServer]
Answer = tuple[int, dict[str, str], str]


@pytest.fixture
def registry() -> CollectorRegistry:
    """The registry of one process."""
    return process_registry()


@pytest.fixture
def health(registry: CollectorRegistry) -> Health:
    """A router with one check."""
    return Health("router", {"broker": "connected"}, Metrics(registry))


@pytest.fixture
def start(registry: CollectorRegistry, health: Health) -> Iterator[Start]:
    """Start servers that are stopped after the test."""
    servers: list[TelemetryServer] = []

    def started(host: str = HOST, port: int = 0) -> TelemetryServer:
        server = TelemetryServer(host, port, registry, health)
        server.start()
        servers.append(server)
        return server

    yield started
    for server in servers:
        server.stop()


def get(
    server: TelemetryServer, path: str, *, accept: str = "*/*", method: str = "GET", host: str = HOST
) -> Answer:
    """Return status, headers and body of one request."""
    connection = HTTPConnection(host, server.port, timeout=10)
    try:
        connection.request(method, path, headers={"Accept": accept})
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, response.read().decode()
    finally:
        connection.close()


def test_metrics_are_served_in_the_form_asked_for(start: Start) -> None:
    """Plain text by default, OpenMetrics when the Accept header names it; the process itself is measured too."""
    server = start()

    status, headers, body = get(server, "/metrics")
    assert (status, headers["content-type"].split(";")[0]) == (200, "text/plain")
    assert "axis_transactions_total" in body
    assert "process_resident_memory_bytes" in body
    _, headers, body = get(server, "/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert headers["content-type"].startswith("application/openmetrics-text")
    assert body.endswith("# EOF\n")


def test_liveness_follows_the_event_loop(start: Start, health: Health) -> None:
    """A loop that never turned is 503; after a turn it is 200."""
    server = start()

    status, _, body = get(server, "/healthz")
    assert (status, json.loads(body)["got"]) == (503, "no turn yet")
    health.beat()
    status, _, body = get(server, "/healthz")
    assert (status, json.loads(body)["passed"]) == (200, True)


def test_readiness_lists_what_fails(start: Start, health: Health) -> None:
    """503 names the failing checks with got and expected; 200 when nothing fails."""
    server = start()
    health.beat()
    health.report("broker", passed=False, got="no broker answers")

    status, headers, body = get(server, "/readyz")
    answer = json.loads(body)
    assert (status, headers["cache-control"]) == (503, "no-store")
    assert (answer["role"], answer["ready"], answer["failing"]) == ("router", False, ["broker"])
    assert {"name": "broker", "passed": False, "got": "no broker answers", "expected": "connected"} in answer[
        "checks"
    ]
    health.report("broker", passed=True, got="connected to 1 broker")
    status, _, body = get(server, "/readyz")
    assert (status, json.loads(body)["failing"]) == (200, [])


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 404), ("GET", "/metrics/x", 404), ("POST", "/metrics", 501)]
)
def test_nothing_else_is_served(start: Start, method: str, path: str, status: int) -> None:
    """Other paths and methods are refused, and the server does not tell its Python version."""
    got, headers, _ = get(start(), path, method=method)

    assert got == status
    assert headers["server"].strip() == "axis"


def test_a_taken_port_names_port_and_mend(start: Start) -> None:
    """The operator learns which port is taken and what to do."""
    taken = start().port

    with pytest.raises(ConfigurationError, match=rf"port {taken}.*in use.*choose another port"):
        start(port=taken)


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), ("no-such-host.invalid", 0), (HOST, 70000)])
def test_an_address_that_cannot_be_used_is_the_operators_matter(start: Start, host: str, port: int) -> None:
    """An address of another machine, an unknown name and an impossible port are configuration errors."""
    with pytest.raises(ConfigurationError, match="telemetry address"):
        start(host=host, port=port)


def test_a_stopped_server_frees_its_port(start: Start) -> None:
    """After stopping, the port can be taken again; stopping twice is harmless."""
    server = start()
    port = server.port
    server.stop()
    server.stop()

    again = start(port=port)

    assert get(again, "/healthz")[0] == 503


def test_ipv6_is_served(start: Start) -> None:
    """The loopback of IPv6 works like that of IPv4, and is shown as a URL has it; so it may be written, too."""
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError as error:
            pytest.skip(f"this machine has no IPv6 loopback ({error})")

    for written in ("::1", "[::1]"):
        assert get(start(host=written), "/healthz", host="::1")[0] == 503
        assert shown_address(written, 9464) == "[::1]:9464"


def test_a_client_that_hangs_up_is_an_event(start: Start) -> None:
    """A connection that is reset before its request is whole is reported without a traceback."""
    server = start()

    with capture_logs() as events:
        with socket.create_connection((HOST, server.port), timeout=10) as connection:
            connection.sendall(b"GET /metrics HTTP/1.1\r\n")
            # Closing then resets the connection.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        deadline = time.monotonic() + 10
        while not events:
            assert time.monotonic() < deadline, "waited 10 s for an event"
            time.sleep(0.01)

    assert [event["event"] for event in events] == ["telemetry.request_failed"]


def test_a_silent_client_does_not_keep_others_out(start: Start) -> None:
    """A connection that never sends a request holds up nobody else."""
    server = start()

    with socket.create_connection((HOST, server.port), timeout=10):
        assert get(server, "/healthz")[0] == 503
