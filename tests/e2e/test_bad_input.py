"""What can be wrong with what people give: each case ends with a clear error and the right exit code, or goes on."""

import hashlib
import html
import io
import json
import os
import re
import shutil
import struct
import sys
import unicodedata
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lungfish as lf

Run = Callable[..., Any]
Refusal = Callable[..., str]
Untouched = Callable[[Path], AbstractContextManager[None]]
Rewrite = Callable[[Path, Callable[[dict[str, Any]], None]], None]

SMALL = "efficientnet_lite0:resolution=64"


@pytest.fixture
def refusal(lungfish: Run) -> Refusal:
    """Run a command that must fail; returns message and hint, which are the same in words and in JSON."""

    def call(*arguments: object, code: int) -> str:
        plain, as_json = lungfish(*arguments), lungfish(*arguments, "--json")
        assert (plain.code, as_json.code) == (code, code), plain.err
        assert plain.out == ""
        assert "Traceback" not in plain.err + as_json.err
        assert "unexpected" not in plain.err
        error = as_json.json["error"]
        assert set(error) == {"code", "message", "hint"}
        assert error["hint"], "an error must offer a next step"
        assert plain.err.endswith(f"error: {error['message']}\n{error['hint']}\n")
        assert "\x1b" not in plain.err
        return f"{error['message']}\n{error['hint']}"

    return call


@pytest.fixture
def digits(write_digits: Callable[..., Path], tmp_path: Path) -> Path:
    return write_digits(tmp_path / "digits", count=8)


@pytest.fixture
def train_refused(refusal: Refusal, untouched: Untouched, tmp_path: Path) -> Refusal:
    """Run `train`, which must fail and leave everything under `tmp_path` as it was."""

    def call(photos: Path, *options: object, code: int = 2) -> str:
        if "--out" not in options:
            options = (*options, "--out", tmp_path / "bundle")
        with untouched(tmp_path):
            return refusal("train", photos, "--arch", SMALL, *options, code=code)

    return call


def control_characters(text: str) -> set[str]:
    return {each for each in text if unicodedata.category(each) in ("Cc", "Cf", "Cs")} - {"\n", "\t"}


def symlink(link: Path, target: Path) -> None:
    try:
        link.symlink_to(target, target_is_directory=True)
    except OSError:
        pytest.skip("this system does not let us make links")


# ---- photos that cannot be used


def test_no_such_folder(train_refused: Refusal, tmp_path: Path) -> None:
    words = train_refused(tmp_path / "\x1b[2Jgone")
    assert re.match(r"no such folder: .*\\x1b\[2Jgone\nGive a folder of class folders", words)


def test_a_file_that_is_no_table(train_refused: Refusal, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    assert re.match(r"not a folder, a CSV or a Parquet file: .*photo\.jpg\nGive", train_refused(tmp_path / "photo.jpg"))


@pytest.mark.parametrize("files", [(), ("notes.txt",), ("a/notes.txt", "b/.DS_Store", "b/._x.jpg")])
def test_no_images(train_refused: Refusal, tmp_path: Path, files: tuple[str, ...]) -> None:
    for file in (tmp_path / "photos" / name for name in ("made", *files)):
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.name != "made":
            file.write_bytes(b"x")
    assert re.match(r"no photos in .*photos\nJPEG, PNG", train_refused(tmp_path / "photos"))


def test_photos_without_labels(train_refused: Refusal, digits: Path) -> None:
    words = train_refused(digits / "0")
    assert re.match(r"the photos in .* lie in no class folders", words)
    assert "image,label\n0000.png,CLASS\n" in words


def test_one_class(train_refused: Refusal, digits: Path) -> None:
    for other in ("1", "2"):
        shutil.rmtree(digits / other)
    assert re.match(r"only one class, '0'; a classifier needs at least two\nAdd a second class", train_refused(digits))


def test_a_class_with_too_few_photos(train_refused: Refusal, digits: Path) -> None:
    for photo in sorted((digits / "1").iterdir())[2:]:
        photo.unlink()
    words = train_refused(digits)
    assert "too few photos in a class: '1' has 2 photos" in words
    assert "merge it with another class" in words


def test_copies_do_not_make_a_class_larger(train_refused: Refusal, digits: Path) -> None:
    first, *others = sorted((digits / "1").iterdir())
    for photo in others:
        shutil.copy(first, photo)
    assert "'1' has 8 photos, 1 of them free and distinct" in train_refused(digits)


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


def test_bad_files_are_skipped_and_named(lungfish: Run, digits: Path, tmp_path: Path) -> None:
    bad = {
        "0/half.jpg": (truncated_jpeg(), "truncated"),
        "0/text.jpg": (b"hello", "not a picture"),
        "1/empty.png": (b"", "empty file"),
        "1/vast.png": (png_header(60_000, 60_000), "more than the 178,956,970 pixels allowed"),
        "2/film.mp4": (b"x", r"\.mp4 is not a kind of picture"),
    }
    for name, (data, _) in bad.items():
        (digits / name).write_bytes(data)
    ended = lungfish("train", digits, "--out", tmp_path / "bundle", "--arch", SMALL, "--dry-run", "--json")
    assert ended.code == 0
    skipped = {row["file"]: row["reason"] for row in ended.json["skipped"]}
    assert set(skipped) == set(bad)
    for name, (_, words) in bad.items():
        assert re.search(words, skipped[name]), name
    assert sum(ended.json["counts"].values()) == 24
    assert re.match(r"5 of 29 files were skipped \(17%\)", ended.json["warnings"][0])


def test_loops_of_links(lungfish: Run, train_refused: Refusal, digits: Path, tmp_path: Path) -> None:
    symlink(digits / "0" / "round", digits)
    symlink(digits / "1" / "self", digits / "1" / "self")
    ended = lungfish("train", digits, "--out", tmp_path / "bundle", "--arch", SMALL, "--dry-run", "--json")
    assert ended.code == 0
    assert sum(ended.json["counts"].values()) == 24
    assert {row["file"] for row in ended.json["skipped"]} == {"0/round", "1/self"}
    assert "a link to a folder that is read already" in [row["reason"] for row in ended.json["skipped"]]
    assert "self" in train_refused(digits / "1" / "self")


def test_a_folder_that_may_not_be_read(
    command: Run, obey_permissions: str, digits: Path, tmp_path: Path, untouched: Untouched
) -> None:
    with untouched(tmp_path):
        (digits / "1").chmod(0)
        ended = command(
            "train", digits, "--out", tmp_path / "bundle", cache=tmp_path / "cache", prelude=obey_permissions
        )
        (digits / "1").chmod(0o755)
    assert ended.code == 3
    assert re.fullmatch(r"error: cannot read .*digits/1: Permission denied\nGive yourself permission.*\n", ended.err)
    assert ended.out == ""


def test_a_photo_that_may_not_be_read(command: Run, obey_permissions: str, digits: Path, tmp_path: Path) -> None:
    (digits / "1" / "0001.png").chmod(0)
    ended = command(
        *("train", digits, "--out", tmp_path / "bundle", "--dry-run", "--json", "--arch", SMALL),
        cache=tmp_path / "cache",
        prelude=obey_permissions,
    )
    assert ended.code == 0
    assert ended.json["skipped"] == [{"file": "1/0001.png", "reason": "cannot be read: Permission denied"}]


def test_names_of_every_kind(
    trained: Any, lungfish: Run, write_digits: Callable[..., Path], cache: Path, tmp_path: Path
) -> None:
    """Unicode, spaces, HTML, formulas and terminal escapes in names: shown escaped, kept as they are."""
    shutil.copytree(trained.cache, cache)
    labels = ("naïve café\u202e", "=靴 <img src=x onerror=alert(1)>&\"'", "\x1b[31mred\x07")
    out = tmp_path / "bündel <b>"
    try:
        photos = write_digits(tmp_path / "ph\x1b[2Jotos", labels)
        odd = photos / labels[0] / "\x1b]0;title\x07 <script>alert(1)<!--.png"
        (photos / labels[0] / "0000.png").rename(odd)
        (photos / labels[1] / os.fsdecode(b"bad\xff.png")).write_bytes(b"no picture")
    except OSError:
        pytest.skip("this system has no such names")
    shutil.copytree(trained.bundle, out)
    (out / "old.txt").write_text("of the old bundle")

    ended = lungfish("train", photos, "--out", out, "--arch", SMALL, "--force")
    assert ended.code == 0
    assert not (out / "old.txt").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"cache", out.name, photos.name}

    bundle = lf.load(out)
    assert set(bundle.labels) == set(labels)
    (row,) = bundle.predict([odd], artifact="model.onnx")
    assert (row.file, row.label) == (str(odd), labels[0])
    predicted = lungfish("predict", out, odd, photos / labels[2], "--artifact", "model.onnx")
    evaluated = lungfish("evaluate", out, photos)
    assert predicted.code == evaluated.code == 0
    assert r"\x1b]0;title\x07" in predicted.out
    assert r"\x1b[31mred\x07" in evaluated.out
    assert evaluated.err.count(r"bad\udcff.png") == 1

    page = (out / "report.html").read_text(encoding="utf-8")
    for raw in ("<script", "<img src=x", "<b>"):
        assert raw not in page
    assert "=靴 <img src=x onerror=alert(1)>&\"'" in html.unescape(page)
    card = (out / "MODEL_CARD.md").read_text(encoding="utf-8")
    for text in (page, card, ended.out, ended.err, predicted.out, evaluated.out):
        assert not control_characters(text)
    written = (out / "photos.csv").read_bytes().decode(errors="surrogateescape")
    assert "'=靴" in written  # a spreadsheet must not take it for a formula


# ---- places that must not be written to


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("digits/bundle", "is inside the photos"),
        ("digits/0/x/bundle", "is inside the photos"),
        ("digits", "is the photos themselves"),
        (".", "is around the photos"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--force",), ("--dry-run",)])
def test_out_in_or_around_the_photos(
    train_refused: Refusal, digits: Path, tmp_path: Path, out: str, words: str, options: tuple[str, ...]
) -> None:
    message = train_refused(digits, "--out", tmp_path / out, *options)
    assert re.match(rf"--out .* {words} \(.*digits\)\nChoose a folder beside them, for example --out", message)


def test_an_existing_bundle_stays_without_force(train_refused: Refusal, digits: Path, color_bundle: Path) -> None:
    words = train_refused(digits, "--out", color_bundle)
    assert re.match(r".*color-bundle exists\nChoose another --out, or add --force", words)


@pytest.mark.parametrize("content", [None, "", "{}", '{"schema": 1, "labels": ["a", "b"]}'])
def test_force_on_a_folder_that_is_no_bundle(
    train_refused: Refusal, digits: Path, tmp_path: Path, content: str | None
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    if content is not None:
        (tmp_path / "thesis" / "bundle.json").write_text(content)
    assert re.match(
        r".*thesis is no bundle: --force replaces only a folder that holds a valid bundle\.json\nChoose another --out",
        train_refused(digits, "--out", tmp_path / "thesis", "--force"),
    )


def test_a_file_in_the_way(train_refused: Refusal, digits: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    words = train_refused(digits, "--out", tmp_path / "file" / "bundle", code=3)
    assert re.match(r"cannot write .*file.bundle: Not a directory\nChoose a place", words)


def test_a_read_only_place(
    command: Run, obey_permissions: str, digits: Path, tmp_path: Path, untouched: Untouched
) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    with untouched(tmp_path):
        ended = command(
            "train", digits, "--out", tmp_path / "locked" / "bundle", cache=tmp_path / "cache", prelude=obey_permissions
        )
    assert ended.code == 3
    assert re.fullmatch(r"error: cannot write .*locked/bundle: Permission denied\nChoose a place.*\n", ended.err)
    assert not (tmp_path / "cache").exists()  # found out before any work was done


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on file size")
@pytest.mark.parametrize("largest", ["half of model.onnx", "model.onnx but not weights.safetensors"])
def test_a_disk_that_fills(trained: Any, command: Run, tmp_path: Path, untouched: Untouched, largest: str) -> None:
    model, weights = ((trained.bundle / name).stat().st_size for name in ("model.onnx", "weights.safetensors"))
    limit = model // 2 if largest.startswith("half") else (model + weights) // 2
    prelude = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    shutil.copytree(trained.cache, tmp_path / "cache")
    with untouched(tmp_path):
        ended = command(
            *("train", trained.photos, "--out", tmp_path / "bundle", "--arch", SMALL, "--json"),
            cache=tmp_path / "cache",
            prelude=prelude,
        )
    assert ended.code == 3
    assert ended.json["error"]["code"] == "storage"
    assert re.match(r"cannot write .*bundle.*: File too large", ended.json["error"]["message"])
    assert "Traceback" not in ended.err


def test_a_cache_that_cannot_be_written_is_a_warning(
    lungfish: Run, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("LUNGFISH_CACHE", str(tmp_path / "file" / "cache"))
    ended = lungfish("train", digits, "--out", tmp_path / "bundle", "--arch", SMALL, "--dry-run", "--json")
    assert ended.code == 0
    (warning,) = ended.json["warnings"]
    assert warning.startswith("the cache is not kept: cannot write")


# ---- bundles that cannot be trusted, as the commands say it; tests/unit/runtime has all the ways


def missing(bundle: Path, rewrite: Rewrite, model: Any) -> None:
    (bundle / "model.onnx").unlink()


def truncated(bundle: Path, rewrite: Rewrite, model: Any) -> None:
    data = (bundle / "labels.txt").read_bytes()
    (bundle / "labels.txt").write_bytes(data[:-1])


def edited(bundle: Path, rewrite: Rewrite, model: Any) -> None:
    data = (bundle / "model.onnx").read_bytes()
    (bundle / "model.onnx").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def outside(bundle: Path, rewrite: Rewrite, model: Any) -> None:
    shutil.copy(bundle / "model.onnx", bundle.parent)
    rewrite(bundle, lambda manifest: manifest["artifacts"][0].update(file="../model.onnx"))
    rewrite(bundle, lambda manifest: manifest.update(default="../model.onnx"))


def external(bundle: Path, rewrite: Rewrite, model: Any) -> None:
    proto = model()
    proto.graph.initializer[1].data_location = 1
    proto.graph.initializer[1].external_data.add(key="location", value="../../etc/passwd")
    data = proto.SerializeToString()
    (bundle / "model.onnx").write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    rewrite(bundle, lambda manifest: manifest["artifacts"][0].update(bytes=len(data), sha256=sha256))


def newer(bundle: Path, rewrite: Rewrite, model: Any) -> None:
    rewrite(bundle, lambda manifest: manifest.update(schema=2))


def unknown(bundle: Path, rewrite: Rewrite, model: Any) -> None:
    rewrite(bundle, lambda manifest: manifest.update(architecture={"name": "resnet_900"}))


@pytest.fixture
def damaged(
    request: pytest.FixtureRequest, color_bundle: Path, rewrite: Rewrite, color_model: Callable[..., Any]
) -> Path:
    request.param(color_bundle, rewrite, color_model)
    return color_bundle


@pytest.mark.parametrize(
    ("damaged", "words"),
    [
        (missing, r"model\.onnx is missing from .*color-bundle\nCopy the bundle again"),
        (truncated, r"labels\.txt has 13 bytes; bundle\.json says 14\nCopy"),
        (edited, r"model\.onnx was altered: its SHA-256 is not the one in bundle\.json\nCopy"),
        (outside, r"bundle\.json.*'\.\./model\.onnx'; it must be a plain file name inside the bundle\nCopy"),
        (external, r"the model keeps tensors in other files.*\n"),
        (newer, r"bundle\.json has schema 2; this lungfish reads up to 1\nUpgrade lungfish: pip install"),
        (unknown, r"unknown architecture resnet_900: .*\nIf a newer lungfish made the bundle, upgrade"),
    ],
    indirect=["damaged"],
)
def test_bundles_that_cannot_be_trusted(
    refusal: Refusal, damaged: Path, color_photos: Path, untouched: Untouched, words: str
) -> None:
    with untouched(damaged.parent):
        for command in ("predict", "evaluate"):
            assert re.match(words, refusal(command, damaged, color_photos, code=1))


def test_a_trained_bundle_that_was_edited(trained: Any, refusal: Refusal, tmp_path: Path) -> None:
    bundle = shutil.copytree(trained.bundle, tmp_path / "bundle")
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    for name in (*manifest["files"], "model.onnx", "model-int8.onnx"):
        whole = (bundle / name).read_bytes()
        (bundle / name).write_bytes(whole + b" ")
        assert name in refusal("predict", bundle, trained.photos / "0" / "0000.png", code=1)
        (bundle / name).write_bytes(whole)
