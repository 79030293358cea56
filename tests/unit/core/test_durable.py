import errno
import os
from pathlib import Path
from typing import Any

import pytest

from lungfish.core import durable
from lungfish.core.durable import flush_folder, flush_tree
from lungfish.core.folders import make_folder

not_on_windows = pytest.mark.skipif(os.name == "nt", reason="Windows does not flush folders")


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what is flushed, in order."""
    names: list[str] = []

    def note(handle: int) -> None:
        status = os.fstat(handle)
        inodes = {path.stat().st_ino: path.name for path in Path.cwd().rglob("*")}
        names.append(inodes.get(status.st_ino, "."))

    monkeypatch.setattr(durable.os, "fsync", note)
    return names


@not_on_windows
def test_each_file_and_folder_of_a_tree(flushed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "one").touch()
    (tmp_path / "tree" / "sub" / "two").touch()
    flush_tree(tmp_path / "tree")
    assert flushed == ["two", "sub", "one", "tree"]


@not_on_windows
def test_new_folders_last(flushed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_folder(tmp_path / "a" / "b")
    assert sorted(flushed) == [".", "a"]
    make_folder(tmp_path / "a" / "b")
    assert len(flushed) == 2


def test_on_macos_the_drive_is_flushed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(durable, "FULL_FLUSH", 51)
    monkeypatch.setattr(durable.fcntl, "fcntl", lambda handle, command: calls.append(command))
    monkeypatch.setattr(durable.os, "fsync", lambda handle: calls.append("fsync"))
    (tmp_path / "file").touch()
    flush_tree(tmp_path)
    assert calls == [51, 51]

    def refuse(handle: int, command: int) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(durable.fcntl, "fcntl", refuse)  # a network's disk
    flush_tree(tmp_path)
    assert calls == [51, 51, "fsync", "fsync"]


@not_on_windows
def test_a_folder_that_may_not_be_read_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(durable.os, "open", forbidden)
    flush_folder(tmp_path)


@not_on_windows
@pytest.mark.parametrize(("number", "passes"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_folder_that_cannot_be_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, passes: bool
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(durable.os, "fsync", fail)
    if passes:
        flush_folder(tmp_path)
    else:
        with pytest.raises(OSError, match=os.strerror(number)):
            flush_folder(tmp_path)
