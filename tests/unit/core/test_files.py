import errno
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from lungfish.core import files
from lungfish.core.errors import StorageError
from lungfish.core.files import (
    NotRegularError,
    TooLargeError,
    open_regular,
    read_at_most,
    storage_errors,
    write_atomic,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_makes_folders_and_leaves_only_the_file(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a" / "b.txt", "größe")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "größe".encode()
    write_atomic(tmp_path / "a" / "b.txt", b"again")
    assert (tmp_path / "a" / "b.txt").read_bytes() == b"again"
    assert names(tmp_path / "a") == ["b.txt"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomic(tmp_path / "b.txt", "old")

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "flush", full)
    with pytest.raises(StorageError, match=r"no space left while writing .*b.txt"):
        write_atomic(tmp_path / "b.txt", "new")
    assert (tmp_path / "b.txt").read_text() == "old"
    assert names(tmp_path) == ["b.txt"]


def test_storage_errors_say_what_and_why(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write x: Read-only file system"), storage_errors(Path("x")):
        raise OSError(errno.EROFS, "whatever")
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot write"):
        write_atomic(tmp_path / "file" / "inside.txt", "x")


def test_a_file_that_ends(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    (tmp_path / "empty").touch()
    for name, data in (("file", b"content"), ("empty", b"")):
        with open_regular(tmp_path / name) as file:
            assert file.read() == data
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "gone")
    with pytest.raises(NotRegularError, match=r"^not a regular file$"):
        open_regular(tmp_path)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_a_file_that_the_system_makes_up_is_not_read() -> None:
    """Some, such as /proc/kmsg, never end."""
    assert Path("/proc/self/status").read_bytes()
    with open_regular(Path("/proc/self/status")) as file:
        assert file.read() == b""


def test_no_more_than_is_allowed_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_at_most(tmp_path / "a", 5) == read_at_most(tmp_path / "a", 10**12) == b"12345"
    with pytest.raises(TooLargeError, match="more than the 4 bytes allowed"):
        read_at_most(tmp_path / "a", 4)


def test_a_size_that_is_not_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = MagicMock()
    endless.__enter__.return_value.read = lambda size: b"x" * size
    (tmp_path / "a").write_bytes(b"1234")
    monkeypatch.setattr(files, "open_regular", lambda _: endless)
    assert read_at_most(tmp_path / "a", 10) == b"x" * 5  # it has grown since: no more than one byte of that
    with pytest.raises(TooLargeError):
        read_at_most(tmp_path / "a", 4)
