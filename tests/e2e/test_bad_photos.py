"""Photos that cannot be used: a clear error where all depends on them, else the job goes on and names them."""

import io
import re
import shutil
import struct
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., Any]
Refusal = Callable[..., str]
Untouched = Callable[[Path], AbstractContextManager[None]]


def symlink(link: Path, target: Path) -> None:
    try:
        link.symlink_to(target, target_is_directory=True)
    except OSError:
        pytest.skip("this system does not let us make links")


# ---- photos that cannot be used


def test_no_such_folder(train_refused: Refusal, tmp_path: Path) -> None:
    words = train_refused(tmp_path / "\x1b[2Jgone")
    assert re.match(r"no such folder: .*\\x1b\[2Jgone\nGive a folder of class folders", words)


def test_a_name_that_no_file_can_have(train_refused: Refusal, tmp_path: Path) -> None:
    assert train_refused(tmp_path / ("x" * 300)).startswith("cannot open ")


def test_a_file_that_is_no_table(train_refused: Refusal, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    assert re.match(
        r"not a folder, a CSV, a Parquet or a tar file: .*photo\.jpg\nGive", train_refused(tmp_path / "photo.jpg")
    )


@pytest.mark.parametrize("files", [(), ("notes.txt",), ("a/notes.txt", "b/.DS_Store", "b/._x.jpg")])
def test_no_images(train_refused: Refusal, tmp_path: Path, files: tuple[str, ...]) -> None:
    for file in (tmp_path / "photos" / name for name in ("made", *files)):
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.name != "made":
            file.write_bytes(b"x")
    assert re.match(r"no photos in .*photos\nJPEG, PNG", train_refused(tmp_path / "photos"))


def test_photos_without_labels(train_refused: Refusal, digits: Path) -> None:
    words = train_refused(digits / "0")
    assert re.match(r"the photos in .* are not in class folders", words)
    assert "image,label\n0000.png,CLASS\n" in words


def test_one_class(train_refused: Refusal, digits: Path) -> None:
    for other in ("1", "2"):
        shutil.rmtree(digits / other)
    assert re.match(r"only one class, '0'; a classifier needs at least two\nAdd a second class", train_refused(digits))


def test_a_class_with_too_few_photos(train_refused: Refusal, digits: Path) -> None:
    for photo in sorted((digits / "1").iterdir())[2:]:
        photo.unlink()
    words = train_refused(digits)
    assert words.startswith("'1' has 2 photos; the minimum is 3\n")
    assert "merge the class with another one" in words


def test_copies_do_not_make_a_class_larger(train_refused: Refusal, digits: Path) -> None:
    first, *others = sorted((digits / "1").iterdir())
    for photo in others:
        shutil.copy(first, photo)
    assert "'1' has 8 photos, 1 of them distinct and unassigned" in train_refused(digits)


def test_a_class_whose_photos_are_all_bad(train_refused: Refusal, digits: Path) -> None:
    for photo in (digits / "2").iterdir():
        photo.write_bytes(photo.read_bytes()[:50])
    assert re.match(
        r"none of the 8 photos of class '2' can be read, for instance 2/0002\.png: .*truncated.*\nReplace them",
        train_refused(digits),
    )


def test_labels_that_differ_only_in_case(train_refused: Refusal, digits: Path) -> None:
    rows = [f"0/{photo.name},cat" for photo in (digits / "0").iterdir()]
    rows += [f"1/{photo.name},Cat" for photo in (digits / "1").iterdir()]
    (digits / "labels.csv").write_text("\n".join(["image,label", *rows]))
    words = train_refused(digits / "labels.csv")
    assert re.match(r"class names differ only in case, spaces or Unicode form: Cat, cat\nRename", words)


def test_a_path_out_of_the_tables_folder(train_refused: Refusal, digits: Path) -> None:
    (digits / "labels.csv").write_text("image,label\n../../etc/passwd,cat\n0/0000.png,dog\n")
    assert re.match(r"labels\.csv, row 2: \.\./\.\./etc/passwd is outside", train_refused(digits / "labels.csv"))


# ---- single photos that cannot be used: the run goes on and names them


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


def truncated_jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()[: buffer.tell() // 2]


def test_bad_files_are_skipped_and_named(lungfish: Run, digits: Path, tiny: Path, tmp_path: Path) -> None:
    bad = {
        "0/half.jpg": (truncated_jpeg(), "truncated"),
        "0/text.jpg": (b"hello", "not a picture"),
        "1/empty.png": (b"", "empty file"),
        "1/vast.png": (png_header(60_000, 60_000), "more than the 178,956,970 pixels allowed"),
        "2/film.mp4": (b"x", r"\.mp4 is not a supported picture format"),
    }
    for name, (data, _) in bad.items():
        (digits / name).write_bytes(data)
    ended = lungfish("train", digits, "--out", tmp_path / "bundle", "--weights", tiny, "--dry-run", "--json")
    assert ended.code == 0
    skipped = {row["file"]: row["reason"] for row in ended.json["skipped"]}
    assert set(skipped) == set(bad)
    for name, (_, words) in bad.items():
        assert re.search(words, skipped[name]), name
    assert sum(ended.json["counts"].values()) == 24
    assert re.match(r"5 of 29 files were skipped \(17%\)", ended.json["warnings"][0])


def test_a_dry_run_lists_all_that_is_wrong(lungfish: Run, digits: Path, tiny: Path, tmp_path: Path) -> None:
    (digits / "tow").mkdir()
    shutil.copy(digits / "2" / "0002.png", digits / "tow")
    for photo in (digits / "1").iterdir():
        photo.write_bytes(b"")
    command = ("train", digits, "--out", tmp_path / "bundle", "--weights", tiny, "--dry-run")
    ended = lungfish(*command, "--json")
    assert ended.code == 2
    plan = ended.json
    assert [(each["kind"], each["classes"]) for each in plan["problems"] if each["stops"]] == [
        ("unreadable", ["1"]),
        ("too_few", ["tow"]),
    ]
    assert any("copies in two classes" in each["message"] for each in plan["problems"])
    assert plan["estimate_seconds"] is None
    ended = lungfish(*command)
    assert ended.code == 2
    assert re.search(r"^  STOPS    none of the 8 photos of class '1' can be read", ended.out, re.MULTILINE)
    assert re.search(r"^  STOPS    'tow' has 1 photo", ended.out, re.MULTILINE)
    assert "error:" not in ended.err
    assert not (tmp_path / "bundle").exists()


def test_loops_of_links(lungfish: Run, train_refused: Refusal, digits: Path, tiny: Path, tmp_path: Path) -> None:
    symlink(digits / "0" / "round", digits)
    symlink(digits / "1" / "self", digits / "1" / "self")
    ended = lungfish("train", digits, "--out", tmp_path / "bundle", "--weights", tiny, "--dry-run", "--json")
    assert ended.code == 0
    assert sum(ended.json["counts"].values()) == 24
    assert {row["file"] for row in ended.json["skipped"]} == {"0/round", "1/self"}
    assert "a link to a folder that is already read" in [row["reason"] for row in ended.json["skipped"]]
    assert "self" in train_refused(digits / "1" / "self")


def test_a_folder_that_may_not_be_read(
    command: Run, obey_permissions: str, digits: Path, tmp_path: Path, untouched: Untouched, cache: Path
) -> None:
    with untouched(tmp_path):
        (digits / "1").chmod(0)
        ended = command("train", digits, "--out", tmp_path / "bundle", cache=cache, prelude=obey_permissions)
        (digits / "1").chmod(0o755)
    assert ended.code == 3
    assert re.fullmatch(
        r"Reading photos .*\nerror: cannot read .*digits/1: Permission denied\nChange its permissions.*\n", ended.err
    )
    assert ended.out == ""


def test_a_photo_that_may_not_be_read(
    command: Run, obey_permissions: str, digits: Path, tiny: Path, tmp_path: Path, cache: Path
) -> None:
    (digits / "1" / "0001.png").chmod(0)
    ended = command(
        *("train", digits, "--out", tmp_path / "bundle", "--dry-run", "--json", "--weights", tiny),
        cache=cache,
        prelude=obey_permissions,
    )
    assert ended.code == 0
    assert ended.json["skipped"] == [{"file": "1/0001.png", "reason": "cannot be read: Permission denied"}]
