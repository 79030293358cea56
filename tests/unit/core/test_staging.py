import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lungfish.core import renames, staging
from lungfish.core.errors import StorageError
from lungfish.core.staging import Identity, end_stage, left_stages, put, staged_folder, swap, swap_back, was_staged

not_as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
KILLED = """
import os, sys
from pathlib import Path
from lungfish.core.staging import staged_folder
with staged_folder(Path(sys.argv[1])) as new:
    (new / "half").write_text("written")
    os._exit(1)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=[True, False], ids=["in one step", "in two steps"])
def one_step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether folders can change places in one step; where they can, it can be hidden."""
    if not request.param:
        monkeypatch.setattr(renames, "_renameat2", lambda *_: False)
    elif not sys.platform.startswith("linux"):
        pytest.skip("this system cannot")
    return bool(request.param)


def folder(path: Path, file: str) -> Path:
    path.mkdir(parents=True)
    (path / file).write_text(file)
    return path


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


def test_the_usual_permissions(tmp_path: Path) -> None:
    with staged_folder(tmp_path / "made") as new:
        (new / "sub").mkdir()
        (new / "sub" / "file").touch()
    usual = folder(tmp_path / "usual" / "sub", "file").parent
    for name in ("", "sub", "sub/file"):
        assert (tmp_path / "made" / name).stat().st_mode == (usual / name).stat().st_mode


def test_nothing_is_replaced_be_it_empty(tmp_path: Path, one_step: bool) -> None:
    (tmp_path / "out").mkdir()
    new = folder(tmp_path / "new", "mine")
    with pytest.raises(FileExistsError):
        put(new, tmp_path / "out")
    assert names(tmp_path / "new") == ["mine"]
    put(new, tmp_path / "other")
    assert names(tmp_path) == ["other", "out"]


def test_a_swap_and_back(tmp_path: Path, one_step: bool) -> None:
    stage, target = tmp_path / "stage", folder(tmp_path / "target", "old")
    new = folder(stage / "new", "new")
    old = swap(new, target)
    assert (names(stage), names(old), names(target)) == (["old"], ["old"], ["new"])
    swap_back(old, target)
    assert (names(stage), names(new), names(target)) == (["new"], ["new"], ["old"])
    assert renames.exchange(new, target) == one_step


def test_a_swap_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage, target = tmp_path / "stage", folder(tmp_path / "target", "old")
    new = folder(stage / "new", "new")

    rename = Path.rename

    def refuse(source: Path, target: Path) -> None:
        if source == new:
            raise PermissionError(errno.EACCES, "Permission denied")
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(renames, "_renameat2", lambda *_: False)
        patch.setattr(staging, "rename_new", refuse)
        with pytest.raises(PermissionError):
            swap(new, target)
    assert (names(stage), names(new), names(target)) == (["new"], ["new"], ["old"])
    monkeypatch.setattr(Path, "rename", refuse)
    if sys.platform.startswith("linux"):
        with pytest.raises(PermissionError):
            swap(new, target)
    assert (names(stage), names(new), names(target)) == (["new"], ["new"], ["old"])


def test_what_was_moved_into_the_stage_is_never_deleted(tmp_path: Path) -> None:
    """Ctrl-C between the swap and what follows: the old folder waits in the stage for a later run."""
    target = folder(tmp_path / "target", "old")

    def place(new: Path, target: Path) -> None:
        swap(new, target)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), staged_folder(target, place) as new:
        (new / "new").touch()
    assert names(target) == ["new"]
    (stage,) = left_stages(target)
    assert names(stage / "old") == ["old"]


def test_stages_of_killed_processes_are_found_and_no_others(tmp_path: Path) -> None:
    target = tmp_path / "a[b]"
    subprocess.run([sys.executable, "-c", KILLED, str(target)], check=False)
    (left,) = tmp_path.iterdir()
    for signed, name in ((True, ".a[b]c.abcdefgh.tmp"), (False, ".a[b].abcdefgh.tmp"), (True, ".a[b].abcdefghi.tmp")):
        shutil.copytree(left, tmp_path / name)
        if not signed:
            (tmp_path / name / "owner").write_text("somebody else")
    with staged_folder(target):  # alive
        assert list(left_stages(target)) == [left]
    for stage in left_stages(target):
        end_stage(stage)
        assert names(stage / "new") == ["half"]  # nothing that is left in it is lost
        assert was_staged(stage)
        (stage / "new").rename(tmp_path / "moved")
        (stage / "new").mkdir()
        assert not was_staged(stage)
        (stage / "new").rmdir()
        end_stage(stage)
    assert not left.exists()


def test_a_stage_of_another_machine_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a network's disk: the lock of a process there may not be seen here."""
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "out")], check=False)
    assert len(list(left_stages(tmp_path / "out"))) == 1
    monkeypatch.setattr(staging.platform, "node", lambda: "elsewhere")
    assert not list(left_stages(tmp_path / "out"))


def test_an_identity_outlives_a_rename(tmp_path: Path) -> None:
    one, other = folder(tmp_path / "one", "x"), folder(tmp_path / "other", "x")
    identity = Identity.of(one)
    assert Identity.of(one.rename(tmp_path / "renamed")) == identity != Identity.of(other)
