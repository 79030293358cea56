import errno
import os
from pathlib import Path

import pytest

from lungfish.core import files
from lungfish.core.errors import StorageError
from lungfish.core.files import staged_folder, storage_errors, write_atomic

not_as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")


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

    monkeypatch.setattr(files.os, "fsync", full)
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


def test_a_staged_folder_appears_whole(tmp_path: Path) -> None:
    with staged_folder(tmp_path / "deep" / "out") as stage:
        (stage / "a").write_text("1")
        assert not (tmp_path / "deep" / "out").exists()
    assert names(tmp_path / "deep") == ["out"]
    assert names(tmp_path / "deep" / "out") == ["a"]


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt])
def test_a_staged_folder_vanishes_when_its_block_fails(tmp_path: Path, interruption: type[BaseException]) -> None:
    with pytest.raises(interruption), staged_folder(tmp_path / "out") as stage:  # noqa: PT012
        (stage / "a").write_text("1")
        raise interruption
    assert names(tmp_path) == []


def test_replacing_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("1")
    with pytest.raises(RuntimeError), staged_folder(tmp_path / "out", replace=True):
        raise RuntimeError
    assert names(tmp_path / "out") == ["old"]
    with staged_folder(tmp_path / "out", replace=True) as stage:
        (stage / "new").write_text("2")
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["new"]


def test_a_folder_that_stands_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("1")
    with pytest.raises(StorageError), staged_folder(tmp_path / "out") as stage:
        (stage / "new").write_text("2")
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["precious"]


@not_as_root
def test_a_place_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="Permission denied"), staged_folder(tmp_path / "out"):
        pass


def test_an_error_of_the_block_that_is_not_about_the_folder_passes(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), staged_folder(tmp_path / "made"):
        (tmp_path / "elsewhere").read_bytes()
    assert not list(tmp_path.iterdir())


def test_no_space_anywhere_names_what_could_not_be_written(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/scratch/part")
    with pytest.raises(StorageError, match=r"writing /scratch/part"), staged_folder(tmp_path / "made"):
        raise full
