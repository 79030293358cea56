from __future__ import annotations

import csv
import os

import pytest

from lungfish.core.errors import StorageError, UsageError
from lungfish.data.split.photos_csv import SplitRow, read_split, saved_split, write_split

NAMES = [
    "plain.jpg",
    "=HYPERLINK(1)",
    "+1",
    "-1",
    "@sum",
    "\ttab",
    "\rreturn",
    "'quoted",
    "''twice",
    "'=both",
    'a,"b"',
    "two\nlines",
    "cr\rinside",
    "\u2603 \u202e",
    "",
    os.fsdecode(b"bad\xff"),
]


def test_every_name_comes_back_exactly(tmp_path):
    rows = [SplitRow(f"{i:064x}", name, name, "train", name) for i, name in enumerate(NAMES)]
    write_split(tmp_path / "photos.csv", rows)
    assert read_split(tmp_path / "photos.csv") == sorted(rows, key=lambda row: row.file)


def test_no_cell_begins_like_a_formula(tmp_path):
    write_split(tmp_path / "photos.csv", [SplitRow("", name, name, "", name) for name in NAMES[1:7]])
    with (tmp_path / "photos.csv").open(newline="") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert len(cells) == 5 * 7
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_a_saved_split_knows_photos_by_name_then_by_content(tmp_path):
    rows = [
        SplitRow("a" * 64, "train/1", "cat", "train", "given"),
        SplitRow("a" * 64, "test/1", "cat", "test", "given"),
        SplitRow("", "broken", "cat", "", "empty file"),
    ]
    write_split(tmp_path / "photos.csv", rows)
    saved = saved_split(read_split(tmp_path / "photos.csv"))
    assert saved.split("a" * 64, "train/1") == "train"
    assert saved.split("a" * 64, "test/1") == "test"
    assert saved.split("a" * 64, "elsewhere") == "test"  # the first by name
    assert saved.split("b" * 64, "train/1") is None
    assert saved.split("", "broken") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a saved split"),
        ("image,label\n", "not a saved split"),
        ("sha256,file,label,split,reason\na,b\n", "line 2 is not a row"),
        ("sha256,file,label,split,reason\na,b,c,left,e\n", "line 2 is not a row"),
        ('sha256,file,label,split,reason\n"a"x,b\n', "not a CSV"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    (tmp_path / "photos.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_split(tmp_path / "photos.csv")


def test_no_file(tmp_path):
    with pytest.raises(UsageError, match="cannot read the split"):
        read_split(tmp_path / "photos.csv")


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        write_split(tmp_path / "file" / "photos.csv", [])
