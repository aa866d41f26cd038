"""Files that appear whole or not at all."""

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from axis.errors import IllegalTransition, Refused
from axis.storage.whole import Spool, sweep, write_new


@pytest.fixture
def largest_file() -> Iterator[int]:
    """The system refuses files larger than this many bytes, as it does when a quota is used up."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = 1_000_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield limit
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_appears_under_its_name_alone(tmp_path: Path) -> None:
    """Nothing is left beside it, and only its owner may read it."""
    write_new(b"content", tmp_path / "a.pdf")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pdf"]
    assert (tmp_path / "a.pdf").read_bytes() == b"content"
    assert (tmp_path / "a.pdf").stat().st_mode & 0o077 == 0


def test_a_full_disk_leaves_nothing(tmp_path: Path, largest_file: int) -> None:
    """Neither the file nor a part of it under another name stays in the user's folder."""
    with pytest.raises(OSError, match="File too large"):
        write_new(bytes(largest_file + 1), tmp_path / "a.pdf")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    """Whatever got the name while the content was written stays as it is, be it a link that leads nowhere."""
    for name in ("a.pdf", "b.pdf"):
        spool = Spool.named(tmp_path)
        spool.write(b"ours")
        if name == "a.pdf":
            (tmp_path / name).write_bytes(b"somebody else's")
        else:
            (tmp_path / name).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(Refused, match="file-exists"):
            spool.appear(tmp_path / name)
        spool.discard()
    assert (tmp_path / "a.pdf").read_bytes() == b"somebody else's"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pdf", "b.pdf"]


@pytest.fixture(params=[errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP])
def no_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system has no hard links, as that of a memory stick, and says so in one of the ways there are."""

    def refused(source: Path, target: Path) -> None:
        # Linux looks at the name before it asks the file system.
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "File exists", target)
        raise OSError(request.param, os.strerror(request.param), source)

    monkeypatch.setattr(os, "link", refused)


@pytest.mark.usefixtures("no_links")
def test_a_file_appears_where_there_are_no_hard_links(tmp_path: Path) -> None:
    """Whole, under its name alone, and for its owner alone."""
    write_new(b"content", tmp_path / "a.pdf")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pdf"]
    assert (tmp_path / "a.pdf").read_bytes() == b"content"
    assert (tmp_path / "a.pdf").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("dangling", [False, True])
def test_without_hard_links_nothing_is_overwritten_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, dangling: bool
) -> None:
    """Somebody who takes the name at the last moment keeps it, be it with a link that leads nowhere."""
    path = tmp_path / "a.pdf"

    def overtaken(source: Path, target: Path) -> None:
        del source
        if dangling:
            target.symlink_to(tmp_path / "elsewhere")
        else:
            target.write_bytes(b"somebody else's")
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", overtaken)
    with pytest.raises(Refused, match="file-exists"):
        write_new(b"ours", path)
    assert [each.name for each in tmp_path.iterdir()] == ["a.pdf"]
    assert path.is_symlink() if dangling else path.read_bytes() == b"somebody else's"


@pytest.mark.usefixtures("no_links")
def test_a_name_that_was_reserved_in_vain_is_free_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the content cannot be moved to its name, no empty file stays there."""

    def failing(source: Path, target: Path) -> Path:
        raise OSError(errno.EIO, "Input/output error", source, None, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError, match="Input/output error"):
        write_new(b"content", tmp_path / "a.pdf")
    assert list(tmp_path.iterdir()) == []


def test_another_fault_of_linking_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails is reported, and nothing appears."""

    def failing(source: Path, target: Path) -> None:
        raise OSError(errno.EIO, "Input/output error", source, None, target)

    monkeypatch.setattr(os, "link", failing)
    with pytest.raises(OSError, match="Input/output error"):
        write_new(b"content", tmp_path / "a.pdf")
    assert list(tmp_path.iterdir()) == []


def test_content_may_replace_what_has_its_name(tmp_path: Path) -> None:
    """Where that is wanted, the older file is gone in one step."""
    (tmp_path / "a").write_bytes(b"older")
    spool = Spool.named(tmp_path)
    spool.write(b"newer")
    spool.replace(tmp_path / "a")
    spool.discard()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"newer"]


def test_a_name_is_durable_before_the_call_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is synchronised before it has its name, and the folder after it."""
    synchronised: list[tuple[Path, bool]] = []
    genuine = os.fsync

    def watched(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synchronised.append((path, (tmp_path / "a").exists()))
        genuine(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    write_new(b"content", tmp_path / "a")
    assert [(path.suffix, named) for path, named in synchronised] == [(".partial", False), ("", True)]
    assert synchronised[1][0] == tmp_path


def test_a_spool_in_use_is_not_swept(tmp_path: Path) -> None:
    """What a living process writes is left alone; what nobody holds any more is removed."""
    spool = Spool.named(tmp_path)
    [path] = tmp_path.iterdir()
    sweep(path)
    assert path.exists()
    spool.file.close()
    sweep(path)
    assert not path.exists()


def test_a_spool_without_a_name_becomes_nothing(tmp_path: Path) -> None:
    """It is made for a store that takes content over the network."""
    spool = Spool.anonymous()
    with pytest.raises(IllegalTransition):
        spool.appear(tmp_path / "a")
    spool.discard()
