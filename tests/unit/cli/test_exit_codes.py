"""The exit statuses are a contract with scripts."""

import errno

import pytest

from axis.cli.exit_codes import ExitCode, NotFound, exit_code_of, faults_of
from axis.core.disposition import Reason
from axis.errors import (
    Bilingual,
    ConfigurationError,
    IllegalTransition,
    IntegrityError,
    OutcomeUnknown,
    Refused,
    Unavailable,
)
from axis.producers.publish import DraftRefused
from axis.storage.blobs import BlobMissing


def test_the_numbers_never_change() -> None:
    """Scripts depend on these numbers, so each name keeps its own."""
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "FAILED": 1,
        "USAGE": 2,
        "NOT_VERIFIED": 3,
        "NOT_ALLOWED": 4,
        "NOT_FOUND": 5,
        "REFUSED": 6,
        "UNAVAILABLE": 7,
        "PARTLY_DONE": 8,
        "WOULD_CHANGE": 9,
        "INTERRUPTED": 130,
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("a", "b"), ExitCode.USAGE),
        (IntegrityError("a"), ExitCode.NOT_VERIFIED),
        (Refused(Reason.SENDER_NOT_ALLOWED, "a"), ExitCode.NOT_ALLOWED),
        (NotFound("a"), ExitCode.NOT_FOUND),
        (BlobMissing("a"), ExitCode.NOT_FOUND),
        (Refused("file-missing", "a"), ExitCode.NOT_FOUND),
        (Refused(Reason.RECIPIENT_UNKNOWN, "a"), ExitCode.REFUSED),
        (Unavailable("a"), ExitCode.UNAVAILABLE),
        (OutcomeUnknown("a"), ExitCode.UNAVAILABLE),
        (NotADirectoryError(errno.ENOTDIR, "a", "path"), ExitCode.USAGE),
        (PermissionError(errno.EACCES, "a", "path"), ExitCode.USAGE),
        (OSError(errno.EROFS, "a", "path"), ExitCode.USAGE),
        (OSError(errno.ENOSPC, "a", "path"), ExitCode.UNAVAILABLE),
        (ConnectionResetError(errno.ECONNRESET, "a"), ExitCode.FAILED),
        (IllegalTransition("a"), ExitCode.FAILED),
        (ValueError("a"), ExitCode.FAILED),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (ExceptionGroup("a", [Unavailable("a"), Unavailable("b")]), ExitCode.UNAVAILABLE),
        (ExceptionGroup("a", [Unavailable("a"), ValueError("b")]), ExitCode.FAILED),
    ],
    ids=repr,
)
def test_each_exception_leads_to_its_status(error: BaseException, code: ExitCode) -> None:
    """Whose fault it is decides the exit status; several at once agree or count as a failure."""
    assert exit_code_of(error) is code


def test_every_status_is_explained_in_both_languages() -> None:
    """`axis help exit-codes` has words for every status."""
    assert all(vietnamese and english for vietnamese, english in (code.meaning for code in ExitCode))


def test_every_fault_is_listed_on_its_own() -> None:
    """The faults of a configuration, of a draft and of a group of exceptions all come out one by one."""
    draft = DraftRefused([Refused("expired", "past"), Refused("oversized", "big")])
    faults = list(faults_of(ExceptionGroup("several", [ConfigurationError("a", "b"), draft])))
    assert [str(fault) for fault in faults] == ["a", "b", "expired: past", "oversized: big"]


def test_a_path_that_cannot_be_used_is_named_in_both_languages() -> None:
    """Whoever named it learns which path it is and what is wrong with it."""
    (fault,) = faults_of(NotADirectoryError(errno.ENOTDIR, "Not a directory", "/a/b"))
    assert isinstance(fault, Bilingual)
    assert fault.startswith("/a/b cannot be used: Not a directory")
    assert fault.vietnamese.startswith("không dùng được /a/b")


@pytest.mark.parametrize("kind", [ConfigurationError, NotFound, Unavailable])
def test_what_was_said_in_both_languages_is_reported_in_both(kind: type[Exception]) -> None:
    """The Vietnamese words reach whoever reports the fault; as text an exception is English, as logs need it."""
    error = kind(Bilingual("không có", "there is none"))
    (fault,) = faults_of(error)
    assert isinstance(fault, Bilingual)
    assert (fault.vietnamese, str(fault), str(error)) == ("không có", "there is none", "there is none")
