"""The command line: assembles the commands, sets up logs, turns exceptions into messages and exit statuses.

Each command is a module, imported when it is called, so that `axis --version` and mistyped commands answer at once.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from io import TextIOWrapper
from typing import Annotated, Final, Literal

from cyclopts import (
    App,
    CoercionError,
    CycloptsError,
    Group,
    MissingArgumentError,
    Parameter,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
    ValidationError,
)

from axis import __version__
from axis.cli.exit_codes import ExitCode, exit_code_of, faults_of
from axis.cli.output import safe_text
from axis.errors import AxisError, Bilingual, ConfigurationError, Refused
from axis.telemetry.vocabulary import LogLevel

_LONG_RUNNING: Final = frozenset({"up", "router"})
_OF_A_NODE: Final = frozenset({"publish", "inbox", "receipts"})
_EXAMPLES: Final = """Ví dụ (examples):

  axis demo
  axis up --data axis-data
  axis publish cong-van.pdf --as H56 --to H56.14812 --subject "Kế hoạch"
  axis inbox list --as H56.14812

Hướng dẫn từng lệnh (help on a command): axis publish --help
Chủ đề khác (other topics): axis help"""

app = App(
    name="axis",
    version=__version__,
    help="""Trục liên thông văn bản: gửi, nhận, kiểm chứng văn bản đã ký số giữa các cơ quan.

    The provincial document-exchange axis: send, receive and prove signed documents between organisations.""",
    help_epilogue=_EXAMPLES,
    help_format="plaintext",
    exit_on_error=False,
    print_error=False,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
_GLOBAL: Final = Group("Tham số chung (global parameters)", sort_key=9)
app["--help"].help = "Hướng dẫn này. This text."
app["--version"].help = "Phiên bản. The version."

_COMMANDS: Final = {
    "demo": "Một ngày làm việc mẫu trên Kafka thật. A short working day on a real Kafka.",
    "up": "Chạy cả trục trên một máy. Run the whole axis on one machine.",
    "router": "Chạy riêng bộ định tuyến. Run the router role alone.",
    "pki": "Khóa và chứng thư để thử nghiệm. Keys and certificates for trials.",
    "topics": "Chủ đề Kafka của trục. The axis's Kafka topics.",
    "publish": "Ký và gửi một văn bản. Sign and send a document.",
    "inbox": "Hộp thư đến của một cơ quan. An organisation's inbox.",
    "receipts": "Biên nhận của văn bản đã gửi. Receipts of what was sent.",
    "replay": "Đọc lại lịch sử. Read the history again.",
    "reconcile": "Đối soát: không mất, không trùng. Reconcile: nothing lost, nothing doubled.",
    "help": "Mã thoát, dạng kết quả, thời gian… Exit codes, forms of results, times…",
}
"""What each command is for; `axis.cli.<name>:app` says the rest."""

for _order, (_name, _summary) in enumerate(_COMMANDS.items()):
    app.command(f"axis.cli.{_name}:app", name=_name, help=_summary, sort_key=_order)


_MISTAKES: Final[Mapping[type[CycloptsError], str]] = {
    UnknownCommandError: "không có lệnh này",
    UnknownOptionError: "không có tùy chọn này",
    UnusedCliTokensError: "thừa tham số",
    MissingArgumentError: "thiếu tham số hoặc giá trị bắt buộc",
    RepeatArgumentError: "tham số lặp lại",
    CoercionError: "giá trị sai dạng",
    ValidationError: "giá trị ngoài phạm vi cho phép",
}
"""What is wrong with a command line, in Vietnamese; the library says it in English."""


@app.meta.default
def launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    log_level: Annotated[
        LogLevel | None,
        Parameter(group=_GLOBAL, help="Mức nhật ký trên stderr. Lowest level of log events on stderr."),
    ] = None,
    log_format: Annotated[
        Literal["console", "json"] | None,
        Parameter(group=_GLOBAL, help="Dạng nhật ký. Form of log events; text on a terminal, else JSON."),
    ] = None,
) -> object:
    """Set up logs, then run the command that the tokens name."""
    if tokens and not tokens[0].startswith("-"):
        _check_command(tokens[0])
        _configure_logs(tokens[0], log_level, log_format)
    return app(tokens)


def _check_command(name: str) -> None:
    """Look the command up here, because the library imports every command before it says that there is no such one.

    Raises:
        ConfigurationError: there is no such command.
    """
    if name not in _COMMANDS:
        near = get_close_matches(name, _COMMANDS, n=1)
        known = ", ".join(_COMMANDS)
        advice, hint = (
            (f'có phải "{near[0]}" không?', f'did you mean "{near[0]}"?')
            if near
            else (f"các lệnh: {known}", f"expected one of {known}")
        )
        raise ConfigurationError(
            Bilingual(f"không có lệnh {name!a:.40}; {advice}", f"there is no command {name!a:.40}; {hint}")
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `axis` and end the process with the exit status that says how it went."""
    _replace_closed_streams()
    if isinstance(sys.stdout, TextIOWrapper):
        # Where the terminal's encoding lacks a letter it is shown as an escape, as standard error does.
        sys.stdout.reconfigure(errors="backslashreplace")
    code = run(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = _reader_left()
    sys.exit(code)


def _replace_closed_streams() -> None:
    """Open nowhere in place of standard streams that are closed.

    Who closed one wants to hear nothing, and not that the command ends for it, or that another file takes its number.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free: this one. Processes that are started from here have it as well.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115 - by number


def run(arguments: Sequence[str]) -> ExitCode:
    """Run one command; report a failure on standard error and return the exit status."""
    try:
        result = app.meta(list(arguments))
    except CycloptsError as error:
        vietnamese = _MISTAKES.get(type(error), "không hiểu dòng lệnh")
        _report(ExitCode.USAGE, [_in_both(Bilingual(vietnamese, str(error))), "axis --help"])
        return ExitCode.USAGE
    except BrokenPipeError:
        return _reader_left()
    except KeyboardInterrupt:
        _report(ExitCode.INTERRUPTED, [])
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the one place where a failure becomes a message and a status
        return _failed(error)
    return ExitCode(result) if isinstance(result, int) else ExitCode.OK


def _failed(error: Exception) -> ExitCode:
    """Report an exception: what has an exit status of its own in words, anything else as a defect with its log event."""
    code = exit_code_of(error)
    if isinstance(error, AxisError) or code is not ExitCode.FAILED:
        _report(code, [_text(fault) for fault in faults_of(error)])
        return code
    import structlog  # noqa: PLC0415 - slow

    structlog.stdlib.get_logger(__name__).critical("command.failed", exc_info=error)
    _report(code, [f"{type(error).__name__}; báo người vận hành kèm dòng nhật ký trên (tell the operator)"])
    return code


def _text(fault: str | Refused) -> str:
    """Return the lines of a fault, Vietnamese first."""
    if isinstance(fault, Bilingual):
        return _in_both(fault)
    if isinstance(fault, str):
        return fault
    from axis.cli.words import reason_words  # noqa: PLC0415 - slow

    return f"{reason_words(fault.reason)}: {fault.detail}"


def _in_both(message: Bilingual) -> str:
    return f"{message.vietnamese}\n{message}"


def _report(code: ExitCode, faults: Sequence[str]) -> None:
    vietnamese, english = code.meaning
    print(f"axis: {vietnamese} ({english})", file=sys.stderr)
    for fault in faults:
        for number, line in enumerate(fault.splitlines()):
            print(("    " if number else "  - ") + safe_text(line), file=sys.stderr)


def _configure_logs(command: str, level: LogLevel | None, form: str | None) -> None:
    """Log what operators of roles need to see, and people at a terminal only what went wrong."""
    import logging  # noqa: PLC0415 - slow, as is what it configures

    from axis.telemetry.logs import LogFormat, configure_logs  # noqa: PLC0415

    usual = LogLevel.INFO if command in _LONG_RUNNING else LogLevel.WARNING
    configure_logs(level=level or usual, log_format=LogFormat(form) if form else None)
    # Its info events are for its developers. Its warnings must stay on wherever a router runs, whose transactional
    # writer counts them; a node's commands only repeat what they warn of.
    quiet = command in _OF_A_NODE and level is None
    logging.getLogger("aiokafka").setLevel(logging.ERROR if quiet else logging.WARNING)


def _reader_left() -> ExitCode:
    """Whoever read the result has gone, as `head` does: nothing is wrong, and nothing more can be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.OK


if __name__ == "__main__":
    main()
