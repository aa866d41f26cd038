"""The pipeline of log events."""

import asyncio
import io
import json
import logging
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.contextvars import bound_contextvars
from structlog.stdlib import BoundLogger

from axis.core.disposition import Reason
from axis.errors import Unavailable
from axis.telemetry.logs import LogFormat, configure_logs, counted_events, logs_in_force
from axis.telemetry.metrics import Metrics
from axis.telemetry.vocabulary import LogLevel

SECRET = "V/v thanh tra đột xuất"
NewLogger = Callable[[], BoundLogger]


class Lines(io.StringIO):
    """A stream that gives back what was written line by line."""

    def text(self) -> list[str]:
        """Return the lines."""
        return self.getvalue().splitlines()

    def events(self) -> list[dict[str, object]]:
        """Return every line read as JSON."""
        return [json.loads(line) for line in self.text()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """A stream for `configure_logs`; what it changed globally is restored."""
    root, own = logging.getLogger(), logging.getLogger("axis")
    handlers, levels = list(root.handlers), (root.level, own.level)
    yield Lines()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    own.setLevel(levels[1])
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def log() -> NewLogger:
    """The way the axis makes a logger."""
    return lambda: structlog.stdlib.get_logger("axis.consumers.route")


def test_an_event_is_one_line_of_json_with_its_frame_first(lines: Lines, log: NewLogger) -> None:
    """Time, level, event and logger lead; facts follow in the order they were given."""
    configure_logs(stream=lines)

    log().info("submission.refused", reason=Reason.EXPIRED, partition=3)

    (event,) = lines.events()
    assert list(event) == ["timestamp", "level", "event", "logger", "reason", "partition"]
    assert str(event["timestamp"]).endswith("Z")
    assert event["level"] == "info"
    assert event["event"] == "submission.refused"
    assert event["logger"] == "axis.consumers.route"
    assert event["reason"] == "expired"


def test_correlation_facts_stand_in_every_event_of_the_block(lines: Lines, log: NewLogger) -> None:
    """What is bound is added to own and foreign events, in inner tasks too, and ends with the block."""
    configure_logs(stream=lines)

    async def inner() -> None:
        log().info("receipt.signed")

    async def outer() -> None:
        with bound_contextvars(message_id="m-1", sender="H56.14812", partition=3, offset=7):
            await asyncio.create_task(inner())
            logging.getLogger("aiokafka").warning("Heartbeat failed")
        log().info("router.idle")

    asyncio.run(outer())

    own, foreign, after = lines.events()
    bound = {"message_id": "m-1", "sender": "H56.14812", "partition": 3, "offset": 7}
    assert own.items() >= bound.items()
    assert foreign.items() >= bound.items()
    assert not after.keys() & bound.keys()


@pytest.mark.parametrize("log_format", LogFormat)
def test_no_secret_passes_by_any_way(lines: Lines, log: NewLogger, log_format: LogFormat) -> None:
    """Facts, bound facts, exceptions, foreign arguments in error and asyncio's reports show no secret and no content."""
    configure_logs(stream=lines, log_format=log_format, level=LogLevel.DEBUG)

    def fail() -> None:
        password = SECRET
        raise ValueError(password)

    async def leave_a_failed_task() -> None:
        task = asyncio.create_task(asyncio.to_thread(fail))
        await asyncio.wait([task])

    log().info("key.loaded", passphrase=SECRET, subject=SECRET, unheard_of=SECRET, raw=SECRET.encode())
    log().bind(content=SECRET).warning("envelope.seen", topic={"body": SECRET})
    try:
        fail()
    except ValueError:
        log().exception("submission.failed")
        logging.getLogger("aiokafka").exception("Unexpected error in sender")
    logging.getLogger("aiokafka").error("Broken %d", SECRET)
    logging.getLogger("aiokafka").debug("Sent %s", SECRET)
    asyncio.run(leave_a_failed_task())

    assert "submission.failed" in lines.getvalue()
    assert "log.event_failed" in lines.getvalue()
    assert "Task exception was never retrieved" in lines.getvalue()
    assert SECRET not in lines.getvalue()
    assert "thanh tra" not in lines.getvalue()


FORGERIES = [
    'x"}\n{"level": "critical", "event": "forged"}',
    "x\r\x1b[2K2026-11-22T00:00:00Z [critical ] forged",
    "x\u2028forged",
    "x\u0085forged",
    "\u202eforged",
]


@pytest.mark.parametrize("log_format", LogFormat)
@pytest.mark.parametrize(
    "forgery", FORGERIES, ids=["newline", "carriage-return", "separator", "c1", "right-to-left"]
)
def test_no_value_can_forge_a_line(lines: Lines, log: NewLogger, log_format: LogFormat, forgery: str) -> None:
    """Whatever a value, a nested key, a foreign message or an exception says, one event stays one line of plain text."""
    configure_logs(stream=lines, log_format=log_format)

    log().info("submission.refused", recipient=forgery, got={forgery: 1})
    logging.getLogger("aiokafka").warning("%s", forgery)
    if log_format is LogFormat.JSON:
        log().error("broker.lost", exc_info=Unavailable(forgery))

    assert len(lines.text()) == (3 if log_format is LogFormat.JSON else 2)
    assert all(line.isprintable() for line in lines.text())
    if log_format is LogFormat.JSON:
        assert [event["level"] for event in lines.events()] == ["info", "warning", "error"]


def test_an_exception_on_the_console_is_indented(lines: Lines, log: NewLogger) -> None:
    """Each further line of an event on a terminal is indented, so it cannot pass for an event of its own."""
    configure_logs(stream=lines, log_format=LogFormat.CONSOLE)

    log().error("broker.lost", exc_info=Unavailable("broker 1\n2026-11-22T00:00:00Z [critical ] forged"))

    first, *others = lines.text()
    assert "broker.lost" in first
    assert others
    assert all(line.startswith("    ") and line.isprintable() for line in others)


def test_a_fact_cannot_replace_the_frame(lines: Lines, log: NewLogger) -> None:
    """Facts named like the frame do not change the level, logger or time of an event."""
    configure_logs(stream=lines)

    log().info("router.idle", level="critical", logger="root", timestamp="never")

    (event,) = lines.events()
    assert (event["level"], event["logger"]) == ("info", "axis.consumers.route")
    assert event["timestamp"] != "never"


def test_events_are_counted_by_level(lines: Lines, log: NewLogger) -> None:
    """Each event of the block that is written counts once under its level; one below the threshold does not."""
    registry = CollectorRegistry()
    configure_logs(stream=lines)

    with counted_events(Metrics(registry)):
        log().debug("router.idle")
        log().info("router.idle")
        log().error("broker.lost")
        logging.getLogger("aiokafka").warning("Heartbeat failed")
        logging.getLogger("aiokafka").log(35, "Between warning and error")
    log().info("router.stopped")

    counts = {
        level: registry.get_sample_value("axis_log_events_total", {"level": level}) for level in LogLevel
    }
    assert counts == {"debug": 0, "info": 1, "warning": 2, "error": 1, "critical": 0}
    assert len(lines.text()) == 4 + 1


def test_libraries_stay_silent_below_info_when_the_axis_speaks_of_details(
    lines: Lines, log: NewLogger
) -> None:
    """Level debug opens the axis's own events, not the bytes that libraries write at that level."""
    configure_logs(stream=lines, level=LogLevel.DEBUG)

    log().debug("batch.read")
    logging.getLogger("aiokafka.conn").debug("Request 1: secret bytes")

    assert [event["event"] for event in lines.events()] == ["batch.read"]


def test_a_foreign_event_keeps_its_first_line(lines: Lines) -> None:
    """What follows the first line of foreign text is counted, not shown; an empty text stays an event."""
    configure_logs(stream=lines)

    logging.getLogger("aiokafka").warning("Task failed\nfuture: %r\nmore", SECRET)
    logging.getLogger("aiokafka").warning("")

    first, second = lines.events()
    assert (first["event"], first["more_lines"]) == ("Task failed", 2)
    assert second["event"] == ""


def test_warnings_of_python_are_events(lines: Lines) -> None:
    """A warning of the interpreter appears as an event instead of free text on stderr."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logs(stream=lines)
        warnings.warn("old function", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)

    (event,) = lines.events()
    assert (event["logger"], event["level"]) == ("py.warnings", "warning")


def test_configuring_again_replaces_the_stream(lines: Lines, log: NewLogger) -> None:
    """A second configuration takes effect for loggers that exist already, and no event is written twice."""
    early = log()
    configure_logs(stream=Lines())
    configure_logs(stream=lines, log_format=LogFormat.JSON)

    early.info("router.idle")

    assert [event["event"] for event in lines.events()] == ["router.idle"]


def test_a_terminal_gets_text_and_anything_else_json(log: NewLogger, lines: Lines) -> None:
    """Without a format the stream decides."""

    class Terminal(Lines):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    configure_logs(stream=terminal)
    log().info("router.idle")
    configure_logs(stream=lines)
    log().info("router.idle")

    assert "router.idle" in terminal.getvalue()
    with pytest.raises(json.JSONDecodeError):
        terminal.events()
    assert lines.events()


def test_a_lost_stream_does_not_stop_the_work(lines: Lines, log: NewLogger) -> None:
    """When stderr is gone, logging raises nothing."""
    configure_logs(stream=lines)
    lines.close()

    log().info("router.idle")

    assert sys.exc_info() == (None, None, None)


def test_another_process_can_be_given_the_same_logs(
    lines: Lines, log: NewLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chosen form and levels travel, the stream does not: the other process writes to its own standard error."""
    configure_logs(stream=Lines(), log_format=LogFormat.CONSOLE, level=LogLevel.DEBUG)
    monkeypatch.setattr(logging.getLogger("aiokafka"), "level", logging.WARNING)
    sent = pickle.dumps(logs_in_force())
    configure_logs(stream=Lines(), level=LogLevel.ERROR)
    logging.getLogger("aiokafka").setLevel(logging.NOTSET)
    monkeypatch.setattr(sys, "stderr", lines)

    pickle.loads(sent)()  # noqa: S301 - our own bytes

    log().debug("router.idle")
    assert "router.idle" in lines.getvalue()
    with pytest.raises(json.JSONDecodeError):
        lines.events()
    assert logging.getLogger("aiokafka").level == logging.WARNING
    assert logging.getLogger().level == logging.INFO
