"""Exit statuses of `axis`: one table for people, scripts and the code that ends a command."""

import errno
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from axis.core.disposition import Reason
from axis.errors import AxisError, Bilingual, ConfigurationError, IntegrityError, Refused, Unavailable


class ExitCode(IntEnum):
    """How a command ended; never renumbered."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_VERIFIED = 3
    NOT_ALLOWED = 4
    NOT_FOUND = 5
    REFUSED = 6
    UNAVAILABLE = 7
    PARTLY_DONE = 8
    WOULD_CHANGE = 9
    INTERRUPTED = 130

    @property
    def meaning(self) -> tuple[str, str]:
        """What it means, in Vietnamese and in English."""
        return _MEANINGS[self]


_MEANINGS: Final = {
    ExitCode.OK: ("hoàn thành", "done"),
    ExitCode.FAILED: ("lỗi không lường trước", "unexpected failure"),
    ExitCode.USAGE: ("lệnh hoặc cấu hình chưa đúng", "wrong usage or configuration"),
    ExitCode.NOT_VERIFIED: (
        "bằng chứng hoặc chữ ký không đúng",
        "verification failed: evidence or a signature does not hold",
    ),
    ExitCode.NOT_ALLOWED: (
        "không được phép hoặc chưa xác thực",
        "not authenticated or not allowed",
    ),
    ExitCode.NOT_FOUND: ("không tìm thấy", "not found"),
    ExitCode.REFUSED: ("bị từ chối theo quy tắc", "refused by a rule"),
    ExitCode.UNAVAILABLE: ("chưa phục vụ được, hãy thử lại", "unavailable, try again"),
    ExitCode.PARTLY_DONE: ("mới xong một phần", "partly done"),
    ExitCode.WOULD_CHANGE: ("xem trước: sẽ có thay đổi", "preview: something would change"),
    ExitCode.INTERRUPTED: ("bị ngắt giữa chừng", "interrupted"),
}

_WRONG_PATH: Final = frozenset(
    {
        *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG),
        *(errno.EACCES, errno.EPERM, errno.EROFS),
    }
)
"""Faults of files and folders that only another path or other permissions mend; after others, trying again may do."""
_NOT_ALLOWED: Final = frozenset({Reason.SENDER_NOT_ALLOWED, Reason.RECIPIENT_NOT_ALLOWED})
FILE_MISSING: Final = "file-missing"
"""Reason of a draft's fault: a file named on the command line cannot be read."""


class NotFound(AxisError):  # noqa: N818 - named as the condition it stands for
    """What a command was asked about by name does not exist here."""


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the exit status that an exception leads to.

    One that the axis did not raise on purpose is a failure, unless it names a file or folder that cannot be used.
    """
    from axis.storage.blobs import BlobMissing  # noqa: PLC0415 - slow, and only a failing command gets here

    match error:
        case BaseExceptionGroup(exceptions=several):
            codes = {exit_code_of(each) for each in several}
            return codes.pop() if len(codes) == 1 else ExitCode.FAILED
        case KeyboardInterrupt():
            return ExitCode.INTERRUPTED
        case ConfigurationError():
            return ExitCode.USAGE
        case IntegrityError():
            return ExitCode.NOT_VERIFIED
        case NotFound() | BlobMissing():
            return ExitCode.NOT_FOUND
        case Refused(reason=reason) if reason in _NOT_ALLOWED:
            return ExitCode.NOT_ALLOWED
        case Refused(reason=reason) if reason == FILE_MISSING:
            return ExitCode.NOT_FOUND
        case Refused():
            return ExitCode.REFUSED
        case Unavailable():
            return ExitCode.UNAVAILABLE
        case _:
            return _exit_code_of_another(error)


def _exit_code_of_another(error: BaseException) -> ExitCode:
    if not isinstance(error, OSError) or error.filename is None:
        return ExitCode.FAILED
    return ExitCode.USAGE if error.errno in _WRONG_PATH else ExitCode.UNAVAILABLE


def faults_of(error: BaseException) -> Iterator[str | Refused]:
    """Yield every fault that an exception reports, each to stand on a line of its own."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from faults_of(each)
        return
    if faults := getattr(error, "faults", ()):
        yield from faults
    elif isinstance(error, OSError) and error.filename is not None:
        yield Bilingual(
            f"không dùng được {error.filename}: {error.strerror}; kiểm tra đường dẫn, quyền và đĩa",
            f"{error.filename} cannot be used: {error.strerror}; check the path, its permissions and the disk",
        )
    elif isinstance(error, Refused):
        yield error
    else:
        yield next((each for each in error.args if isinstance(each, Bilingual)), str(error))
