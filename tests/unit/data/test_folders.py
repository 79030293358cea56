from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from lungfish.core.errors import PhotosError, StorageError, UsageError
from lungfish.data.photos import SkippedFile
from lungfish.data.sources import open_photos
from lungfish.data.sources.assembly import ListedPhoto, Listing, assemble
from lungfish.data.split.photos_csv import read_split


def names(photos):
    return [photo.name for photo in photos.photos]


def test_class_folders_count_deeper_folders_for_their_class(tmp_path, write_classes):
    write_classes(tmp_path, {"cat": 2, "dog/small/brown": 1, "dog": 1})
    photos = open_photos(tmp_path)
    assert photos.labels == ("cat", "dog")
    assert names(photos) == ["cat/000.png", "cat/001.png", "dog/000.png", "dog/small/brown/000.png"]
    assert [photo.label for photo in photos.photos] == [0, 0, 1, 1]
    assert not photos.given_split
    assert photos.read(photos.photos[0]) == (tmp_path / "cat/000.png").read_bytes()


@pytest.mark.parametrize("val", ["val", "validation", "valid"])
def test_split_folders(tmp_path, write_classes, val):
    write_classes(tmp_path, {f"{split}/{name}": 1 for split in ("train", val, "test") for name in ("cat", "dog")})
    photos = open_photos(tmp_path)
    assert photos.given_split
    assert photos.labels == ("cat", "dog")
    assert {photo.name.split("/")[0]: photo.split for photo in photos.photos} == {
        "train": "train",
        val: "val",
        "test": "test",
    }


def test_train_can_be_a_class(tmp_path, write_classes):
    photos = open_photos(write_classes(tmp_path, {"train": 1, "bus": 1, "tram": 1}))
    assert photos.labels == ("bus", "train", "tram")
    assert not photos.given_split


def test_train_and_test_with_photos_and_no_folders_are_classes(tmp_path, write_classes):
    assert open_photos(write_classes(tmp_path, {"train": 1, "test": 1})).labels == ("test", "train")


def test_folders_beside_split_folders(tmp_path, write_classes):
    write_classes(tmp_path, {f"{split}/{name}": 1 for split in ("train", "test") for name in ("cat", "dog")})
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "boxes.json").write_text("{}")
    assert len(open_photos(tmp_path).photos) == 4
    write_classes(tmp_path, {"more": 1})
    with pytest.raises(PhotosError, match="with other folders of photos: more"):
        open_photos(tmp_path)


DEEPER_CLASSES = [
    {"summer/shoes": 1, "winter/pants": 1},
    {"summer/shoes": 1, "summer/pants": 1, "winter/shoes": 1, "winter/pants": 1},
    {"summer/shoes": 1, "summer/2023": 1, "winter/shoes": 1, "winter/t-shirts": 1},
    {f"{split}/{name}": 1 for split in ("train", "test") for name in ("summer/shoes", "winter/pants")},
]
PRIVATE_FOLDERS = [
    {"shoes": 1, "pants/winter": 1, "pants/summer": 1},  # photos in a class folder itself
    {"shoes/2023": 1, "shoes/2024": 1, "pants/2023": 1, "pants/2024": 1},
    {"shoes/2024-05 trip": 1, "pants/IMG_001": 1},
    {"shoes/May": 1, "shoes/june": 1, "pants/June": 1},
    {"shoes/images": 1, "pants/images": 1, "hats/All Photos": 1},
    {"shoes/nike": 1, "pants/100CANON": 1},  # not all have names, and none is in both classes
    {"shoes/nike/left": 1, "pants/levis": 1},
    {"summer/shoes": 1, "winter/shoes": 1},  # one class alone
]


@pytest.mark.parametrize("folders", DEEPER_CLASSES)
def test_folders_in_the_class_folders_that_look_like_the_classes(tmp_path, write_classes, folders):
    photos = open_photos(write_classes(tmp_path, folders))
    assert photos.labels == ("summer", "winter")
    (warning,) = photos.warnings
    assert re.match(
        r"the classes are the top-level folders: summer, winter\. If .*\(.*shoes.*\), move those up", warning
    )


@pytest.mark.parametrize("folders", PRIVATE_FOLDERS)
def test_folders_in_the_class_folders_that_are_anybodys(tmp_path, write_classes, folders):
    assert open_photos(write_classes(tmp_path, folders)).warnings == ()


def test_split_folders_of_files_without_suffix(tmp_path, write_classes):
    """As some exports write them; what lies beside the split folders is named."""
    write_classes(tmp_path, {f"{split}/{name}": 1 for split in ("train", "val") for name in ("cat", "dog")})
    for path in tmp_path.glob("*/*/*.png"):
        path.rename(path.with_suffix(""))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "README").write_text("read me")
    assert open_photos(tmp_path).labels == ("cat", "dog")
    (tmp_path / "train" / "cat" / "000").rename(tmp_path / "train" / "cat" / "000.png")
    photos = open_photos(tmp_path)
    assert [(photo.name, photo.split) for photo in photos.photos] == [
        ("train/cat/000.png", "train"),
        ("train/dog/000", "train"),
        ("val/cat/000", "val"),
        ("val/dog/000", "val"),
    ]
    assert photos.skipped == (SkippedFile("docs/README", "not in a split folder"),)


def test_two_folders_for_one_split_and_no_train(tmp_path, write_classes):
    splits = write_classes(tmp_path / "a", {f"{split}/cat": 1 for split in ("train", "val", "valid")})
    with pytest.raises(PhotosError, match="two folders for one split: val, valid"):
        open_photos(splits)
    with pytest.raises(PhotosError, match="no train folder"):
        open_photos(write_classes(tmp_path / "b", {f"{split}/cat": 1 for split in ("val", "test")}))


def test_junk_is_ignored_and_strange_files_are_named(tmp_path, write_classes):
    write_classes(tmp_path, {"cat": 1, "dog": 1, "__MACOSX/cat": 1, ".hidden": 1})
    for junk in (".DS_Store", "._000.png", "Thumbs.db", "desktop.ini", "notes.txt"):
        (tmp_path / "cat" / junk).write_bytes(b"junk")
    (tmp_path / "cat" / "raw.cr2").write_bytes(b"raw")
    (tmp_path / "stray.png").write_bytes(b"x")
    (tmp_path / "LICENSE").write_text("free")
    (tmp_path / "empty").mkdir()
    photos = open_photos(tmp_path)
    assert names(photos) == ["cat/000.png", "dog/000.png"]
    assert photos.skipped == (
        SkippedFile("cat/raw.cr2", ".cr2 is not a supported picture format"),
        SkippedFile("stray.png", "not in a class folder"),
    )
    assert photos.warnings == ("1 folder holds no photos: empty",)


def test_a_file_without_suffix_may_be_a_photo(tmp_path, write_classes):
    write_classes(tmp_path, {"cat": 1, "dog": 1})
    (tmp_path / "cat" / "000.png").rename(tmp_path / "cat" / "IMG_1")
    assert names(open_photos(tmp_path)) == ["cat/IMG_1", "dog/000.png"]


def test_no_such_folder(tmp_path):
    with pytest.raises(PhotosError, match="no such folder") as error:
        open_photos(tmp_path / "nowhere")
    assert error.value.exit_code == 2
    with pytest.raises(PhotosError):
        open_photos(tmp_path / ("x" * 5000))


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(PhotosError, match="not a folder"):
        open_photos(tmp_path / "a.txt")


def test_no_images(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "readme.txt").write_text("x")
    with pytest.raises(PhotosError, match="no photos in"):
        open_photos(tmp_path)


def test_one_class(tmp_path, write_classes):
    with pytest.raises(PhotosError, match="only one class, 'cat'"):
        open_photos(write_classes(tmp_path, {"cat": 3}))


def test_one_class_that_holds_the_classes(tmp_path, write_classes):
    with pytest.raises(PhotosError) as error:
        open_photos(write_classes(tmp_path, {"photos/cat": 1, "photos/dog": 1}))
    assert f"Did you mean {tmp_path / 'photos'}?" in error.value.hint


def test_a_flat_folder_offers_a_table(tmp_path, write_classes):
    write_classes(tmp_path, {".": 2})
    with pytest.raises(PhotosError, match="not in class folders") as error:
        open_photos(tmp_path)
    assert error.value.hint.endswith("image,label\n000.png,CLASS\n001.png,CLASS")
    (tmp_path / "labels.csv").write_text("image,label")
    with pytest.raises(PhotosError) as error:
        open_photos(tmp_path)
    assert error.value.hint == f"Did you mean {tmp_path / 'labels.csv'}?"


@pytest.mark.parametrize(
    "pair", [("Cat", "cat"), ("caf\u00e9", "cafe\u0301"), ("a b", "a  b"), ("stra\u00dfe", "STRASSE")]
)
def test_class_names_that_differ_only_in_form(tmp_path, write_classes, pair):
    write_classes(tmp_path, {pair[0]: 1, pair[1]: 1})
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system folds names")
    with pytest.raises(PhotosError, match="differ only in case"):
        open_photos(tmp_path)


def test_empty_class_name(tmp_path, write_classes):
    with pytest.raises(PhotosError, match="empty name"):
        open_photos(write_classes(tmp_path, {" ": 1, "cat": 1}))


def test_hostile_names_are_kept_and_shown_escaped(tmp_path, write_classes):
    evil = "\x1b[31m<b>red"
    photos = open_photos(write_classes(tmp_path / "a", {evil: 1, "snow \u2603 \u96ea": 1}))
    assert set(photos.labels) == {evil, "snow \u2603 \u96ea"}
    with pytest.raises(PhotosError) as error:
        open_photos(write_classes(tmp_path / "b", {evil: 1}))
    assert "\x1b" not in str(error.value)
    assert "\\x1b[31m<b>red" in str(error.value)


def test_a_loop_of_links_ends(tmp_path, write_classes):
    write_classes(tmp_path, {"cat": 1, "dog": 1})
    (tmp_path / "cat" / "again").symlink_to(tmp_path)
    (tmp_path / "cat" / "self").symlink_to("self")
    photos = open_photos(tmp_path)
    assert names(photos) == ["cat/000.png", "dog/000.png"]
    assert [skipped.file for skipped in photos.skipped] == ["cat/again", "cat/self"]


def test_links_out_of_the_tree_are_followed_once_if_wanted(tmp_path, write_classes):
    outside = write_classes(tmp_path / "outside", {"dogs": 2})
    inside = write_classes(tmp_path / "inside", {"cat": 1})
    (inside / "dog").symlink_to(outside / "dogs")
    (inside / "adog").symlink_to(inside / "cat")
    photos = open_photos(inside, follow_links=True)
    assert names(photos) == ["cat/000.png", "dog/000.png", "dog/001.png"]
    assert photos.skipped == (SkippedFile("adog", "a link to a folder that is already read"),)


def test_links_out_of_the_tree_are_skipped_counted_and_named(tmp_path, write_classes):
    inside = write_classes(tmp_path / "inside", {"cat": 1, "dog": 1})
    out = write_classes(tmp_path / "out", {"birds": 1})
    for link, target in {"root": "/", "bird": out / "birds", "cat/bird.png": out / "birds" / "000.png"}.items():
        (inside / link).symlink_to(target)
    (inside / "dog" / "more").symlink_to("../cat")  # stays inside
    photos = open_photos(inside)
    assert names(photos) == ["cat/000.png", "dog/000.png"]
    reason = "a link that leads outside the folder"
    read = SkippedFile("dog/more", "a link to a folder that is already read")
    assert set(photos.skipped) == {read, *(SkippedFile(name, reason) for name in ("root", "bird", "cat/bird.png"))}
    (warning,) = photos.warnings
    assert warning.startswith("skipped 3 links that lead outside the folder: bird, cat/bird.png, root (add --follow-")


def test_a_folder_of_links_alone_says_what_to_do(tmp_path, write_classes):
    """As people make them to choose some photos of many."""
    (tmp_path / "some" / "cat").mkdir(parents=True)
    all_photos = write_classes(tmp_path / "all", {"cat": 7})
    for photo in (all_photos / "cat").iterdir():
        (tmp_path / "some" / "cat" / photo.name).symlink_to(photo)
    with pytest.raises(PhotosError, match=r"no photos in .*some\n.*\nskipped 7 links .*000\.png, .*, \.\.\. \(add --"):
        open_photos(tmp_path / "some")


def test_the_folder_may_be_a_link_and_links_are_measured_by_where_it_leads(tmp_path, write_classes):
    real = write_classes(tmp_path / "real", {"cat": 1, "dog": 1})
    (real / "cat" / "copy.png").symlink_to(real / "dog" / "000.png")
    (tmp_path / "link").symlink_to(real)
    photos = open_photos(tmp_path / "link")
    assert names(photos) == ["cat/000.png", "cat/copy.png", "dog/000.png"]
    assert not photos.skipped


def test_a_file_address_is_a_path(tmp_path, write_classes):
    folder = write_classes(tmp_path / "a b", {"cat": 1, "dog": 1})
    (folder / "out").symlink_to("/")
    for address in (f"file://{folder}", folder.as_uri(), f"FILE://localhost{folder}", f"local://{folder}"):
        photos = open_photos(address)
        assert names(photos) == ["cat/000.png", "dog/000.png"]
        assert [skipped.file for skipped in photos.skipped] == ["out"]
    with pytest.raises(
        PhotosError, match=r"file://server/photos names a file on another machine, 'server'\nWrite file:///"
    ):
        open_photos("file://server/photos")


def test_shards_of_a_pattern_are_no_links_out_either(tmp_path):
    (tmp_path / "out.tar").touch()
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "train-0.tar").symlink_to(tmp_path / "out.tar")
    with pytest.raises(PhotosError, match=r"train-0.tar is a link that leads outside the folder\nAdd --follow-links"):
        open_photos(f"{tmp_path}/shards/train-{{0..0}}.tar")
    with pytest.raises(PhotosError, match="no photos"):
        open_photos(f"{tmp_path}/shards/train-{{0..0}}.tar", follow_links=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
def test_pipes_and_devices_are_never_opened(tmp_path, write_classes):
    folder = write_classes(tmp_path / "photos", {"cat": 1, "dog": 1})
    os.mkfifo(folder / "cat" / "pipe.png")
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "device.csv").symlink_to("/dev/zero")
    assert [(each.file, each.reason) for each in open_photos(folder).skipped] == [("cat/pipe.png", "not a file")]
    for name in ("pipe.csv", "device.csv"):
        with pytest.raises(PhotosError, match=rf"{name} is not a regular file\nSave its output"):
            open_photos(tmp_path / name)
        with pytest.raises(UsageError, match=rf"cannot read the split .*{name}: not a regular file"):
            read_split(tmp_path / name)


def test_a_folder_without_permission_is_named(tmp_path, write_classes, monkeypatch):
    write_classes(tmp_path, {"cat": 1, "dog": 1})
    closed = tmp_path / "dog"
    scandir = os.scandir

    def guarded(path):
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(StorageError, match=r"cannot read .*dog: Permission denied") as error:
        open_photos(tmp_path)
    assert error.value.exit_code == 3


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_closed_by_mode_is_named(tmp_path, write_classes):
    write_classes(tmp_path, {"cat": 1, "dog": 1})
    (tmp_path / "dog").chmod(0)
    try:
        with pytest.raises(StorageError, match="dog"):
            open_photos(tmp_path)
    finally:
        (tmp_path / "dog").chmod(0o755)


def test_clothing_small(shared_data):
    photos = open_photos(shared_data / "clothing-small")
    assert len(photos.photos) == 3781
    assert len(photos.labels) == 10
    assert photos.given_split
    assert not photos.skipped


@pytest.mark.parametrize(
    ("name", "fault"),
    [("two\nlines", "more than one line"), ("x" * 1001, "1,001 characters"), ("\udcff", "not valid Unicode")],
)
def test_class_name_that_cannot_travel(name: str, fault: str) -> None:
    rows = [ListedPhoto("a.jpg", "boots"), ListedPhoto("b.jpg", name)]
    with pytest.raises(PhotosError, match=fault):
        assemble(Listing(rows), lambda _photo: b"")
