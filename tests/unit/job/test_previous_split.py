"""Which earlier split is kept. The bundles are made by hand; photos are names and contents only."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lungfish.core.hashing import sha256_file
from lungfish.core.progress import Progress
from lungfish.core.staging import Identity
from lungfish.data.sources import open_photos
from lungfish.data.split.photos_csv import SplitRow, write_split
from lungfish.job.dataset import Dataset, DatasetOptions, prepare_dataset
from lungfish.job.previous_split import Candidates, kept_in_words, previous_split, split_source
from lungfish.job.target import Target
from lungfish.runtime.preprocessing import Preprocessing

Write = Callable[..., Path]


def content(number: int) -> str:
    return f"{number:064x}"


@pytest.fixture
def bundle(tmp_path: Path, write_color_bundle: Write, rewrite: Callable[..., None]) -> Write:
    """A bundle that was made from photos of these numbers, the even ones tested; the later made, the newer."""
    created: list[Path] = []

    def write(name: str, numbers: range, rows: list[SplitRow] | None = None) -> Path:
        folder = write_color_bundle(tmp_path / name)
        split = ("test", "train")
        write_split(
            folder / "photos.csv",
            rows or [SplitRow(content(i), f"cup/{i}", "cup", split[i % 2], "content hash") for i in numbers],
        )
        row = {"sha256": sha256_file(folder / "photos.csv"), "bytes": (folder / "photos.csv").stat().st_size}
        rewrite(folder, lambda manifest: manifest["files"].update({"photos.csv": row}))
        created.append(folder)
        os.utime(folder / "bundle.json", (1000 * len(created), 1000 * len(created)))
        return folder

    return write


def chosen(target: Target, numbers: range) -> tuple[str | None, list[str]]:
    split_file, candidates = split_source(None, target)
    assert split_file is None
    previous, warnings = previous_split(candidates, [content(i) for i in numbers])
    return previous.bundle.name if previous else None, warnings


def test_the_bundle_of_most_photos_and_of_equals_the_newest(tmp_path: Path, bundle: Write) -> None:
    bundle("shoes-bundle", range(10))
    assert chosen(Target(tmp_path / "shoes-bundle-2", previous=tmp_path / "shoes-bundle"), range(20)) == (
        "shoes-bundle",
        [],
    )
    second = bundle("shoes-bundle-2", range(20))
    assert chosen(Target(tmp_path / "shoes-bundle-3", previous=second), range(30))[0] == "shoes-bundle-2"
    bundle("a-third", range(20))
    assert chosen(Target(tmp_path / "any"), range(30))[0] == "a-third", "also beside a name that was asked for"
    assert chosen(Target(tmp_path / "elsewhere" / "any"), range(30)) == (None, [])


def test_the_split_is_by_content_and_yields_to_a_given_one(tmp_path: Path, bundle: Write) -> None:
    bundle("first", range(10))
    previous, _ = previous_split(split_source(None, Target(tmp_path / "new"))[1], [content(i) for i in range(8)])
    assert previous is not None
    assert (previous.shared, previous.split.is_automatic) == (8, True)
    assert previous.split.split(content(4), "mug/renamed") == "test"
    assert kept_in_words(previous, 12) == (
        "Keeping the split of first, which lists 8 of 12 photos (--split none makes a new one)"
    )


def test_what_the_user_asks_for_stands_first(tmp_path: Path, bundle: Write) -> None:
    target = Target(tmp_path / "new", previous=bundle("first", range(10)))
    assert split_source(Path("photos.csv"), target) == (Path("photos.csv"), Candidates())
    assert split_source(Path("none"), target) == (None, Candidates())


def test_a_replaced_bundle_counts_and_one_of_other_photos_is_told_of(tmp_path: Path, bundle: Write) -> None:
    folder = bundle("shoes", range(10))
    replaced = Target(folder, replaced=Identity.of(folder))
    assert chosen(replaced, range(10)) == ("shoes", [])
    assert chosen(replaced, range(9, 40)) == ("shoes", []), (
        "one photo of the same name is enough: it may be a test photo"
    )
    assert chosen(replaced, range(50, 60)) == (
        None,
        ["the split of shoes is not kept: it was made from other photos"],
    )
    assert chosen(Target(tmp_path / "new"), range(9, 40)) == (None, []), "another name, and hardly a photo in common"


def damage(folder: Path) -> None:
    (folder / "photos.csv").write_text("sha256,file\n")


def newer(folder: Path) -> None:
    manifest = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps(manifest | {"schema": 99}))


def no_json(folder: Path) -> None:
    (folder / "bundle.json").write_text("{")


@pytest.mark.parametrize(("spoil", "logged"), [(damage, "photos.csv"), (newer, "schema"), (no_json, "JSON")])
def test_a_bundle_that_cannot_be_read_is_left_alone(
    tmp_path: Path, bundle: Write, spoil: Callable[[Path], None], logged: str
) -> None:
    bundle("first", range(6))
    spoil(bundle("second", range(10)))
    name, (warning,) = chosen(Target(tmp_path / "new", previous=tmp_path / "second"), range(10))
    assert name == "first", "an older one serves"
    assert warning.startswith("the split of second is not kept: ")
    assert logged in warning
    assert str(tmp_path) not in warning, "warnings travel with the report"
    assert "\n" not in warning


def test_a_split_without_training_photos_is_not_kept(tmp_path: Path, bundle: Write) -> None:
    """That of a network which was trained elsewhere."""
    rows = [SplitRow(content(i), f"cup/{i}", "cup", ("val", "test")[i % 2], "in halves") for i in range(10)]
    bundle("exported", range(10), rows)
    assert chosen(Target(tmp_path / "new"), range(10)) == (None, [])
    assert chosen(Target(tmp_path / "new", previous=tmp_path / "exported"), range(10)) == (
        None,
        ["the split of exported is not kept: none of its photos is for training"],
    )


def test_a_bundle_without_its_list(tmp_path: Path, bundle: Write) -> None:
    folder = bundle("first", range(6))
    (folder / "photos.csv").unlink()
    assert chosen(Target(tmp_path / "new"), range(6)) == (None, [])
    assert chosen(Target(tmp_path / "new", previous=folder), range(6)) == (
        None,
        ["the split of first is not kept: it has no photos.csv"],
    )


def test_hostile_names_are_escaped(tmp_path: Path, bundle: Write) -> None:
    no_json(bundle("a\x1b[2J", range(6)))
    _, (warning,) = chosen(Target(tmp_path / "new"), range(6))
    assert "\x1b" not in warning


def test_a_folder_grows_and_changes_while_its_tested_photos_stay(
    tmp_path: Path, bundle: Write, write_digits: Callable[..., Path]
) -> None:
    """A class is lost, one is new, one photo has another label: what was tested is still tested."""
    photos = write_digits(tmp_path / "digits", ("0", "1", "2"), count=12)

    def look(candidates: Candidates | None = None) -> Dataset:
        options = DatasetOptions(candidates=candidates or Candidates())
        return prepare_dataset(open_photos(photos), Preprocessing(32), None, options, Progress())

    before = look()
    assert before.previous is None
    bundle("digits-bundle", range(0), before.rows())
    old = {
        record.seen.sha256: split
        for record, split in zip(before.examined.records, before.assignment.splits, strict=True)
    }
    shutil.rmtree(photos)
    write_digits(photos, ("0", "1", "2", "3"), count=20)
    shutil.rmtree(photos / "2")
    moved = next(r for r, s in zip(before.examined.records, before.assignment.splits, strict=True) if s == "test")
    (photos / moved.photo.name).rename(photos / "3" / "relabelled.png")
    after = look(split_source(None, Target(tmp_path / "digits-bundle-2"))[1])
    assert after.previous is not None
    assert after.previous.name == "digits-bundle"
    now: dict[str, Any] = {
        r.seen.sha256: s for r, s in zip(after.examined.records, after.assignment.splits, strict=True)
    }
    shared = old.keys() & now.keys()
    assert len(shared) == 24
    assert {sha256: old[sha256] for sha256 in shared} == {sha256: now[sha256] for sha256 in shared}
    assert set(after.labels) == {"0", "1", "3"}
    assert all(counts["train"] for counts in after.counts_by_class().values())
    assert after.assignment.reasons.count("saved") == 24
