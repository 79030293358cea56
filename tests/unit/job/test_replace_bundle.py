"""What may be replaced by a new bundle, and how: tests that lose nothing."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from lungfish.core import renames, staging
from lungfish.core.errors import OutputError
from lungfish.core.progress import Progress
from lungfish.core.staging import Identity, left_stages
from lungfish.job import replace_bundle as module
from lungfish.job.replace_bundle import check_replaceable, next_free, restore_bundle, staged_bundle
from lungfish.runtime.bundle_files import APPLE_DOUBLE, check_files, foreign_files, read_manifest

Write = Callable[..., Path]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=[True, False], ids=["in one step", "in two steps"])
def old(request: pytest.FixtureRequest, color_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle that is to be replaced, where folders can change places in one step and where they cannot."""
    if not request.param:
        monkeypatch.setattr(renames, "_renameat2", lambda *_: False)
    return color_bundle


@pytest.fixture
def new(write_color_bundle: Write, tmp_path: Path) -> Path:
    """Another bundle."""
    return write_color_bundle(tmp_path / "elsewhere" / "new", known=0.75)


def make(target: Path, new: Path, meanwhile: Callable[[], object], replaced: Identity | None = None) -> None:
    with staged_bundle(target, replaced, Progress()) as stage:
        shutil.copytree(new, stage, dirs_exist_ok=True)
        meanwhile()


def replace(old: Path, new: Path, meanwhile: Callable[[], object] = lambda: None) -> None:
    make(old, new, meanwhile, Identity.of(old))


def test_a_bundle_takes_the_place_of_another(old: Path, new: Path, tmp_path: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._model.onnx"):
        (old / name).write_bytes(APPLE_DOUBLE + b"made by a system that looked")
    replace(old, new)
    assert content(old) == content(new)
    assert names(tmp_path) == ["color-bundle", "elsewhere"]


def mine(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    return path


ADDED = {
    "a file": lambda bundle: mine(bundle / "notes.txt"),
    "one that looks like macOS's": lambda bundle: mine(bundle / "._notes"),
    "a hidden one": lambda bundle: mine(bundle / ".env"),
    "a folder": lambda bundle: (bundle / "thesis").mkdir(),
    "deep": lambda bundle: mine(bundle / "thesis" / "chapter" / "one.tex"),
    "in a folder of the bundle": lambda bundle: mine(bundle / "golden" / "mine.png"),
    "another content": lambda bundle: (bundle / "labels.txt").write_text("mine\n"),
    "a link": lambda bundle: (bundle / "link").symlink_to(bundle),
    "a link in the place of a file": lambda bundle: (
        (bundle / "labels.txt").rename(bundle.parent / "mine"),
        (bundle / "labels.txt").symlink_to(bundle.parent / "mine"),
    ),
}


@pytest.mark.parametrize("add", ADDED.values(), ids=ADDED)
def test_what_is_not_the_bundles_is_found(color_bundle: Path, add: Callable[[Path], object]) -> None:
    manifest = read_manifest(color_bundle)
    assert not foreign_files(color_bundle, manifest)
    add(color_bundle)
    assert foreign_files(color_bundle, manifest)
    with pytest.raises(OutputError, match=r"color-bundle contains files that its .* does not list, .*: .*\n.*move"):
        check_replaceable(color_bundle)


@pytest.mark.parametrize("add", ADDED.values(), ids=ADDED)
def test_a_bundle_that_gains_something_while_the_new_one_is_made_stays(
    old: Path, new: Path, add: Callable[[Path], object]
) -> None:
    before, created = content(old), content(new)
    with pytest.raises(OutputError, match=r"does not list, .*\nThe new bundle is .*color-bundle-2\. Look"):
        replace(old, new, meanwhile=lambda: add(old))
    assert foreign_files(old, read_manifest(old))
    assert set(before) <= set(content(old))
    assert content(old.with_name("color-bundle-2")) == created
    assert not list(left_stages(old))


def test_a_file_that_appears_at_the_last_moment_is_found_once_the_folders_have_changed_places(
    old: Path, new: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    swap, created = module.swap, content(new)

    def late(staged: Path, folder: Path) -> Path:
        mine(folder / "notes.txt")
        return swap(staged, folder)

    monkeypatch.setattr(module, "swap", late)
    with pytest.raises(OutputError, match=r"color-bundle contains .* does not list, .*: notes\.txt\n"):
        replace(old, new)
    assert (old / "notes.txt").read_text() == "mine"
    check_files(old, read_manifest(old))
    assert content(tmp_path / "color-bundle-2") == created
    assert names(tmp_path) == ["color-bundle", "color-bundle-2", "elsewhere"]


def test_even_then_only_what_is_listed_is_deleted(
    old: Path, new: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A program that stands in the old folder, or has it open, may write there after the last look."""
    delete = module.delete_bundle

    def later(folder: Path, manifest: module.Manifest) -> None:
        mine(folder / "notes.txt")
        delete(folder, manifest)

    monkeypatch.setattr(module, "delete_bundle", later)
    replace(old, new)
    assert content(old) == content(new)
    assert content(tmp_path / "color-bundle-2") == {"notes.txt": b"mine"}
    assert names(tmp_path) == ["color-bundle", "color-bundle-2", "elsewhere"]


@pytest.mark.parametrize("empty", [True, False])
def test_another_folder_in_the_place_of_the_bundle_stays(old: Path, new: Path, empty: bool, tmp_path: Path) -> None:
    """Be it a bundle with nothing but its own files."""

    def other() -> None:
        old.rename(tmp_path / "moved")
        old.mkdir() if empty else shutil.copytree(tmp_path / "moved", old)

    with pytest.raises(OutputError, match=r"color-bundle was replaced by another folder while the job ran"):
        replace(old, new, meanwhile=other)
    assert names(tmp_path) == ["color-bundle", "color-bundle-2", "elsewhere", "moved"]


def test_a_bundle_that_was_moved_away_leaves_its_place(old: Path, new: Path, tmp_path: Path) -> None:
    replace(old, new, meanwhile=lambda: old.rename(tmp_path / "moved"))
    assert content(old) == content(new)
    check_files(tmp_path / "moved", read_manifest(tmp_path / "moved"))


APPEARS = {
    "a file": mine,
    "a folder": lambda path: mine(path / "file"),
    "an empty folder": Path.mkdir,
    "a link": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("one_step", [True, False])
@pytest.mark.parametrize("appear", APPEARS.values(), ids=APPEARS)
def test_what_appears_while_a_bundle_is_made_stays(
    new: Path, tmp_path: Path, appear: Callable[[Path], object], one_step: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not one_step:
        monkeypatch.setattr(renames, "_renameat2", lambda *_: False)
    target = tmp_path / "out"
    with pytest.raises(OutputError, match=r"out was created by another process .*\nThe new bundle is .*out-2\. "):
        make(target, new, lambda: appear(target))
    assert content(tmp_path / "out-2") == content(new)
    assert names(tmp_path) == ["elsewhere", "out", "out-2"]


def killed(place: ModuleType, name: str, call: Callable[[], object]) -> None:
    """Make a call in a process that is gone at once where a function of that name would be called."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        setattr(place, name, lambda *_, **__: os._exit(1))
        call()
    finally:
        os._exit(1)


@needs_fork
def test_a_kill_between_the_two_renames_and_the_next_run_restores(
    color_bundle: Path, new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(color_bundle)
    monkeypatch.setattr(renames, "_renameat2", lambda *_: False)
    killed(staging, "rename_new", lambda: replace(color_bundle, new))
    assert not color_bundle.exists()
    for _ in range(2):
        restore_bundle(color_bundle)
        assert content(color_bundle) == before
    replace(color_bundle, new)  # and what the killed process has left goes
    assert names(tmp_path) == ["color-bundle", "elsewhere"]


@needs_fork
@pytest.mark.parametrize("moment", ["_place", "swap", "_check_same", "flush_folder", "delete_bundle", "_sweep"])
def test_whenever_a_process_is_killed_a_later_run_clears_up(old: Path, new: Path, tmp_path: Path, moment: str) -> None:
    before = content(old)
    killed(module, moment, lambda: replace(old, new))
    assert content(old) in (before, content(new))
    replace(old, new)
    assert content(old) == content(new)
    assert names(tmp_path) == ["color-bundle", "elsewhere"]


@needs_fork
@pytest.mark.parametrize("moment", ["_check_same", "flush_folder"])
def test_what_somebody_adds_to_a_bundle_that_a_killed_process_has_put_aside_is_shown(
    old: Path, new: Path, tmp_path: Path, moment: str
) -> None:
    """A file whose content has changed is not of the bundle either."""
    before = content(old)
    killed(module, moment, lambda: replace(old, new))
    aside = list(tmp_path.glob(".color-bundle.*.tmp/old"))
    for folder in aside:
        (folder / "labels.txt").write_text("mine")
        mine(folder / "notes.txt")
    assert bool(aside) == (moment == "flush_folder")
    replace(old, new)
    assert content(old) == content(new)
    if aside:
        changed = before | {"labels.txt": b"mine", "notes.txt": b"mine"}
        assert content(tmp_path / "color-bundle-2") == changed
    assert names(tmp_path) == ["color-bundle", *(["color-bundle-2"] if aside else []), "elsewhere"]


@needs_fork
def test_a_kill_within_the_exchange_is_known_from_a_bundle_that_was_never_put_in_its_place(
    color_bundle: Path, new: Path, tmp_path: Path
) -> None:
    before = content(color_bundle)
    killed(Path, "rename", lambda: replace(color_bundle, new))  # after the folders have changed places
    (aside,) = tmp_path.glob(".color-bundle.*.tmp/new")
    assert content(aside) == before
    mine(aside / "notes.txt")
    replace(color_bundle, new)
    assert content(tmp_path / "color-bundle-2") == before | {"notes.txt": b"mine"}


@needs_fork
def test_a_bundle_without_optional_files_is_restored_and_replaced(
    color_bundle: Path, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (color_bundle / "labels.txt").unlink()
    before = content(color_bundle)
    monkeypatch.setattr(renames, "_renameat2", lambda *_: False)
    killed(staging, "rename_new", lambda: replace(color_bundle, new))
    assert not color_bundle.exists()
    restore_bundle(color_bundle)
    assert content(color_bundle) == before
    replace(color_bundle, new)
    assert content(color_bundle) == content(new)


@pytest.mark.parametrize("undone", [True, False])
def test_an_error_tells_where_everything_is(
    color_bundle: Path, new: Path, undone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the system refuses to undo the swap."""
    swap, created, before = module.swap, content(new), content(color_bundle)

    def late(staged: Path, folder: Path) -> Path:
        mine(folder / "notes.txt")
        return swap(staged, folder)

    def refuse(*_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "swap", late)
    if not undone:
        monkeypatch.setattr(module, "swap_back", refuse)
    with pytest.raises(OutputError) as caught:
        replace(color_bundle, new)
    new_place, *old_place = re.findall(r"(?:bundle|one) is (.*?)\. ", caught.value.hint)
    assert content(Path(new_place)) == created
    assert content(Path(old_place[0]) if old_place else color_bundle) == before | {"notes.txt": b"mine"}
    assert bool(old_place) != undone


def test_what_is_left_of_others_is_no_business_of_ours(color_bundle: Path, new: Path, tmp_path: Path) -> None:
    theirs = [
        mine(tmp_path / f".color-bundle.{name}" / "new" / "file") for name in ("abcdefgh.tmp", "abcdefgh.old", "tmp")
    ]
    replace(color_bundle, new)
    assert all(file.read_text() == "mine" for file in theirs)


def test_free_names(tmp_path: Path) -> None:
    assert next_free(tmp_path / "out").name == "out-2"
    (tmp_path / "out-2").touch()
    (tmp_path / "out-3").symlink_to("nowhere")
    assert next_free(tmp_path / "out").name == "out-4"
