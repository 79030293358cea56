"""The power goes at any moment while a bundle is written: the old or the new one is there, whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lungfish as lf
from lungfish.core import renames
from lungfish.core.errors import LungfishError
from lungfish.core.progress import Progress
from lungfish.core.staging import Identity
from lungfish.job.replace_bundle import restore_bundle, staged_bundle
from lungfish.runtime.bundle_files import check_files

from ..power_cut import Disk, Recording, recording

NAME = "bundle"


def write(tree: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, content in tree.items():
        write(content, folder / name) if isinstance(content, dict) else (folder / name).write_bytes(content)


def opens(folder: Path) -> bool:
    try:
        bundle = lf.load(folder)
        check_files(folder, bundle.manifest)
    except LungfishError:
        return False
    return True


def opens_in(disk: Disk, here: Path) -> bool:
    write(disk.tree(), here)
    return opens(here / NAME)


def check(record: Recording, tmp_path: Path, *, at_first: bool) -> str:
    """Every state of the disk holds a whole bundle, or can be brought to; says how many there were."""
    assert opens_in(record.flushed(), tmp_path / "last"), "what was done does not last"
    verdicts: dict[str, bool] = {}
    cuts = restored = 0
    for disk in record.cuts():
        cuts += 1
        key = fingerprint(disk)
        if key not in verdicts:
            here = tmp_path / str(len(verdicts))
            write(disk.tree(), here)
            if not (here / NAME).exists():
                restore_bundle(here / NAME)
                restored += (here / NAME).exists()
            verdicts[key] = opens(here / NAME) or (not at_first and not (here / NAME).exists())
            shutil.rmtree(here)
        assert verdicts[key], f"no whole bundle in {sorted(disk.tree())}"
    return f"{len(record.operations)} operations, {cuts:,} cuts, {len(verdicts)} different disks, {restored} restored"


def fingerprint(disk: Disk) -> str:
    """What decides whether a bundle is there: the files under its name, or else everything."""
    tree = disk.tree()
    shown = {name: value for name, value in tree.items() if name == NAME} or tree

    def plain(value: Any) -> Any:
        return {name: plain(child) for name, child in sorted(value.items())} if isinstance(value, dict) else hash(value)

    return json.dumps(plain(shown))


def test_a_job_with_force(
    trained: Any, cache: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    shutil.copytree(trained.cache, cache)
    here = tmp_path / "here"
    shutil.copytree(trained.bundle, here / NAME)
    before = (here / NAME / "bundle.json").read_bytes()
    with recording(here) as record:
        lf.train(trained.photos, here / NAME, weights=str(trained.weights), recipe="probe", seed=1, force=True)
    assert (here / NAME / "bundle.json").read_bytes() != before
    record_property("power cuts of a job", check(record, tmp_path / "cuts", at_first=True))


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("one_step", [True, False])
def test_a_bundle_put_in_its_place(
    write_color_bundle: Callable[..., Path],
    tmp_path: Path,
    old: bool,
    one_step: bool,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    if not one_step:
        monkeypatch.setattr(renames, "_renameat2", lambda *_: False)
    here, new = tmp_path / "here", write_color_bundle(tmp_path / "new", known=0.75)
    here.mkdir()
    target = write_color_bundle(here / NAME) if old else here / NAME
    replaced = Identity.of(target) if old else None
    with recording(here) as record, staged_bundle(target, replaced, Progress()) as stage:
        shutil.copytree(new, stage, dirs_exist_ok=True)
    how = f"{'replacing' if old else 'first'}, {'one step' if one_step else 'two steps'}"
    record_property(f"power cuts, {how}", check(record, tmp_path / "cuts", at_first=old))
