from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest

from lungfish.core.errors import PhotosError
from lungfish.data.photos import SkippedFile
from lungfish.data.sources import open_photos
from lungfish.data.sources.tables import is_anchored


@pytest.fixture
def folder(tmp_path, write_classes):
    return write_classes(tmp_path / "set", {"images": 4})


def write(folder, text, encoding="utf-8"):
    path = folder / "labels.csv"
    path.write_text(text, encoding=encoding, newline="")
    return path


def test_a_csv_with_all_columns_and_a_byte_order_mark(folder):
    text = "label,image,split,group\r\n7,images/000.png,train,a\r\n8,images/001.png,valid,a\r\n7,./images/002.png,,\r\n"
    photos = open_photos(write(folder, text, "utf-8-sig"))
    assert photos.labels == ("7", "8")
    assert [(p.name, p.label, p.split, p.group) for p in photos.photos] == [
        ("images/000.png", 0, "train", "a"),
        ("images/001.png", 1, "val", "a"),
        ("images/002.png", 0, None, None),
    ]
    assert photos.read(photos.photos[2]) == (folder / "images/002.png").read_bytes()


def test_semicolons(folder):
    photos = open_photos(write(folder, "Image;Label\nimages/000.png;a, b\nimages/001.png;c\n"))
    assert photos.labels == ("a, b", "c")


@pytest.mark.parametrize("path", ["../secret.png", "/etc/passwd", "images/../../x.png", "link/000.png", "linked.png"])
def test_paths_stay_under_the_folder(folder, write_classes, path):
    outside = write_classes(folder.parent, {"elsewhere": 1}) / "elsewhere"
    (folder / "link").symlink_to(outside)
    (folder / "linked.png").symlink_to(outside / "000.png")
    with pytest.raises(PhotosError, match=r"row 2: .* is outside"):
        open_photos(write(folder, f"image,label\n{path},a\nimages/001.png,b\n"))


@pytest.mark.parametrize("address", ["{}", "file://{}"])
def test_links_that_lead_out_are_followed_if_wanted(folder, write_classes, address):
    outside = write_classes(folder.parent, {"elsewhere": 1}) / "elsewhere"
    (folder / "link.png").symlink_to(outside / "000.png")
    table = address.format(write(folder, "image,label\nlink.png,a\nimages/001.png,b\n"))
    with pytest.raises(PhotosError, match=r"row 2: link.png is outside .*: a link leads there\n.* or add --follow"):
        open_photos(table)
    assert len(open_photos(table, follow_links=True).photos) == 2
    table = address.format(write(folder, "image,label\n../elsewhere/000.png,a\nimages/001.png,b\n"))
    with pytest.raises(PhotosError, match=r"row 2: .* is outside [^,]*\n"):
        open_photos(table, follow_links=True)


@pytest.mark.parametrize("path", [r"D:x.jpg", r"D:\x.jpg", r"\x.jpg", r"\\server\share\x.jpg"])
def test_a_drive_of_windows_is_no_place_under_the_folder(path):
    assert is_anchored(path, PureWindowsPath)
    assert not is_anchored(r"images\x.jpg", PureWindowsPath)
    assert not is_anchored("D:x.jpg", PurePosixPath)  # a name like any other


def test_absolute_paths_of_photos_under_the_folder(folder):
    photos = open_photos(write(folder, f"image,label\n{folder}/images/000.png,a\n{folder}/images/001.png,b\n"))
    assert [photo.name for photo in photos.photos] == ["images/000.png", "images/001.png"]
    with pytest.raises(PhotosError, match=r"row 2: .* is outside"):
        open_photos(write(folder, f"image,label\n{folder}/../elsewhere/000.png,a\nimages/001.png,b\n"))


def test_missing_and_repeated_files_are_skipped(folder):
    text = "image,label\nimages/000.png,a\nimages/000.png,a\nimages/gone.png,a\nimages/001.png,b\n"
    photos = open_photos(write(folder, text))
    assert len(photos.photos) == 2
    assert photos.skipped == (
        SkippedFile("images/000.png", "listed more than once"),
        SkippedFile("images/gone.png", "no such file"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na,b\n", r"no column image \(it has: file, label\)"),
        ("", "no column image and no column label"),
        ("image,label\nimages/000.png,\n", "row 2: no label"),
        ("image,label\n,a\n", "row 2: no image path"),
        ("image,label\nimages/000.png,a\nimages/000.png,b\n", "row 3: images/000.png is labelled 'a' and 'b'"),
        ("image,label\nimages/000.png,a,b\n", "row 2: 3 values for 2 columns"),
        ("image,label,split\nimages/000.png,a,left\n", "row 2: split is 'left'"),
        ("image,label\nx.png,a\ny.png,b\n", "none of the 2 photos"),
        ("image,label\nimages/000.png,a\nimages/001.png,a\n", "only one class"),
        ("image,label\nimages/000.png,a\nimages/001.png,A\n", "differ only in case"),
        ("image,label\n", "no photos found"),
    ],
)
def test_errors_say_where(folder, text, message):
    with pytest.raises(PhotosError, match=message):
        open_photos(write(folder, text))


def test_other_encodings(folder):
    with pytest.raises(PhotosError, match="not UTF-8"):
        open_photos(write(folder, "image,label\nimages/000.png,caf\u00e9\n", "latin-1"))


def test_parquet_of_paths(folder):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pa.table({"Image": ["images/000.png", "images/001.png"], "label": [3, 10], "split": ["train", None]})
    parquet.write_table(table, folder / "labels.parquet")
    photos = open_photos(folder / "labels.parquet")
    assert photos.labels == ("10", "3")
    assert [photo.split for photo in photos.photos] == ["train", None]


def test_parquet_without_a_label(folder):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table({"image": ["images/000.png"], "label": [float("nan")]}), folder / "labels.parquet")
    with pytest.raises(PhotosError, match="row 1: no label"):
        open_photos(folder / "labels.parquet")


@pytest.mark.parametrize(("column", "missing"), [("image", "label"), ("label", "image")])
def test_parquet_without_a_column(folder, column, missing):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table({column: ["images/000.png"], "sex": ["f"]}), folder / "labels.parquet")
    with pytest.raises(PhotosError, match=rf"labels\.parquet has no column {missing} \(it has: {column}"):
        open_photos(folder / "labels.parquet")
