"""Log events: one line each on stderr, constant name, facts as keywords, nothing secret.

    log = structlog.stdlib.get_logger(__name__)
    with structlog.contextvars.bound_contextvars(partition=partition):
        log.info("submission.refused", message_id=message_id, sender=sender, reason=reason)

What is bound stands in every event of the block and of the tasks started in it, those of libraries included.

The name of an event is a literal, `what.happened`; everything that varies is a fact. Which facts may be seen is decided in
`axis.telemetry.redaction`. Libraries that log through `logging` (aiokafka, asyncio) pass the same way; of their free
text only the first line is kept, because what follows it is usually the `repr` of an object.
"""

import contextlib
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from functools import partial
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from axis.telemetry.metrics import Metrics
from axis.telemetry.redaction import exception_facts, printable, redacted
from axis.telemetry.vocabulary import LogLevel


class LogFormat(StrEnum):
    """How a log event is written."""

    JSON = "json"
    CONSOLE = "console"


def configure_logs(
    *,
    log_format: LogFormat | None = None,
    level: LogLevel = LogLevel.INFO,
    stream: TextIO | None = None,
) -> None:
    """Send every log event of this process through one pipeline.

    Handlers set up before are removed, so that stderr carries nothing but these lines. May be called again.

    Args:
        log_format: JSON lines or text for people; by default text on a terminal, else JSON.
        level: the lowest level of the axis's own events; libraries are heard from `info` upwards at most.
        stream: where lines go; standard error by default.
    """
    target = sys.stderr if stream is None else stream
    shape = log_format or (LogFormat.CONSOLE if target.isatty() else LogFormat.JSON)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        # A cached logger would keep the processors of its first use and escape `structlog.testing.capture_logs`.
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[_add_level, _redact, _json if shape is LogFormat.JSON else _console(target)],
        foreign_pre_chain=[*shared, _keep_first_line],
        keep_exc_info=False,
    )
    handler = _LineHandler(target, log_format)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    own_level = logging.getLevelNamesMapping()[level.upper()]
    # A library's debug events show what it sends and receives.
    root.setLevel(max(own_level, logging.INFO))
    logging.getLogger("axis").setLevel(own_level)
    logging.captureWarnings(capture=True)


def logs_in_force() -> Callable[[], None]:
    """Return what sets up the logs of another process, on its standard error, as those of this one; it can be pickled."""
    handlers = logging.getLogger().handlers
    chosen = next((each.log_format for each in handlers if isinstance(each, _LineHandler)), None)
    return partial(
        _set_up, chosen, {name: logging.getLogger(name).level for name in ("", "axis", "aiokafka")}
    )


def _set_up(log_format: LogFormat | None, levels: Mapping[str, int]) -> None:
    configure_logs(log_format=log_format)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def counted_events(metrics: Metrics) -> Iterator[None]:
    """Count the events that are written during the block, by level, in `axis_log_events_total`."""
    handler = _Counter(metrics)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


class _Counter(logging.Handler):
    def __init__(self, metrics: Metrics) -> None:
        super().__init__()
        self._metrics = metrics

    def emit(self, record: logging.LogRecord) -> None:
        self._metrics.log_events[_level_of(record.levelno)].inc()


class _LineHandler(logging.StreamHandler[TextIO]):
    """Writes lines; an event that cannot be written is named without its arguments, which may be secret."""

    def __init__(self, stream: TextIO, log_format: LogFormat | None) -> None:
        super().__init__(stream)
        self.log_format = log_format

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name logging calls
        """Write a constant event in place of the one that failed."""
        fault = sys.exc_info()[0]
        line = {
            "level": "error",
            "event": "log.event_failed",
            "logger": printable(record.name),
            "fault_type": "" if fault is None else fault.__qualname__,
        }
        # When the stream itself is gone there is nobody left to tell; the work must go on.
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(json.dumps(line) + self.terminator)


def _keep_first_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    first, *more = str(event["event"]).splitlines() or [""]
    event["event"] = first
    if more:
        event["more_lines"] = len(more)
    return event


def _add_level(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    event["level"] = _level_of(record.levelno).value
    return event


def _level_of(number: int) -> LogLevel:
    """Return the standard level at or below a number of `logging`."""
    standard = logging.getLevelNamesMapping()
    return next((level for level in reversed(LogLevel) if standard[level.upper()] <= number), LogLevel.DEBUG)


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Return a fresh event: its frame in a fixed order, then its facts redacted, then its exception."""
    del event["_record"], event["_from_structlog"]
    event.pop("stack_info", None)
    error = _error_of(event.pop("exc_info", None))
    shown: EventDict = {
        "timestamp": event.pop("timestamp"),
        "level": event.pop("level"),
        "event": printable(str(event.pop("event"))),
        "logger": printable(str(event.pop("logger"))),
        **redacted(event),
    }
    if error is not None:
        shown["exception"] = exception_facts(error)
    return shown


def _error_of(exc_info: object) -> BaseException | None:
    """Return the exception that `exc_info` stands for, in any of the forms that `logging` allows."""
    match exc_info:
        case BaseException():
            return exc_info
        case (_, BaseException() as error, _):
            return error
        case None | False:
            return None
        case _:
            return sys.exc_info()[1]


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return json.dumps(event, ensure_ascii=False, allow_nan=False)


def _console(stream: TextIO) -> Callable[[WrappedLogger, str, EventDict], str]:
    renderer = structlog.dev.ConsoleRenderer(colors=stream.isatty(), sort_keys=False)

    def render(logger: WrappedLogger, method: str, event: EventDict) -> str:
        if "exception" in event:
            # JSON escapes what is left to escape, and indented lines cannot pass for the beginning of an event.
            text = json.dumps(event["exception"], ensure_ascii=False, indent=2)
            event["exception"] = "\n".join(f"    {line}" for line in text.splitlines())
        return renderer(logger, method, event)

    return render
