import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lungfish as lf
from lungfish.core.errors import BundleError, OutputError
from lungfish.runtime.bundle_files import check_files
from lungfish.workflows import slim as workflow

pytestmark = pytest.mark.usefixtures("here")
Run = Callable[..., Any]
SLIM = ["bundle.json", "model-int8.onnx", "labels.txt", "NOTICE"]


@contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """Nothing under a folder is changed or left behind by the block."""
    before = contents(folder)
    yield
    assert contents(folder) == before


def contents(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def test_the_copy_answers_as_the_bundle_does(lungfish: Run, trained: Any, here: Path) -> None:
    outcome = lungfish("slim", trained.bundle, "--out", "assets/digits", "--json")
    assert outcome.code == 0, outcome.err
    sizes = {path.name: path.stat().st_size for path in (here / "assets" / "digits").iterdir()}
    assert outcome.json == {
        "bundle": str(here / "assets" / "digits"),
        "files": SLIM,
        "bytes": sum(sizes.values()),
    }
    assert sorted(sizes) == sorted(SLIM)

    photos = sorted((trained.photos / "1").glob("*.png"))[:3]
    assert lungfish("predict", "assets/digits", *photos).out == lungfish("predict", trained.bundle, *photos).out
    figures = [
        lungfish("evaluate", bundle, trained.photos, "--json").json for bundle in (trained.bundle, "assets/digits")
    ]
    of_bundle = [row for row in figures[0]["artifacts"] if row["file"] == "model-int8.onnx"]
    assert figures[1]["artifacts"] == of_bundle
    assert figures[1]["per_class"] == figures[0]["per_class"]
    assert "does not list its training photos" in figures[1]["warnings"][-1]


def test_it_holds_nothing_of_the_photos(lungfish: Run, trained: Any, here: Path) -> None:
    names = [path.name.encode() for path in trained.photos.rglob("*") if path.is_file()]
    assert any(name in (trained.bundle / "photos.csv").read_bytes() for name in names)
    assert lungfish("slim", trained.bundle, "--out", "slim").code == 0
    for path in (here / "slim").iterdir():
        data = path.read_bytes()
        assert not any(name in data for name in [*names, b"photos.csv", str(trained.photos).encode()]), path.name


def test_the_manifest_lists_what_is_there(lungfish: Run, trained: Any, here: Path) -> None:
    lungfish("slim", trained.bundle, "--out", "slim")
    whole, slim = lf.load(trained.bundle).manifest, lf.load("slim").manifest
    check_files(here / "slim", slim)
    assert [*slim.files] == ["labels.txt", "NOTICE"]
    splits = {key: value for key, value in whole.data.splits.items() if key != "file"}
    expected = replace(
        whole,
        artifacts=(whole.artifact(),),
        files=slim.files,
        data=replace(whole.data, splits=splits),
    )
    assert slim == expected
    assert lungfish("slim", "slim", "--out", "again", "--json").json["files"] == SLIM


def test_another_artifact_becomes_the_default(lungfish: Run, trained: Any, here: Path) -> None:
    outcome = lungfish("slim", trained.bundle, "--artifact", "model.onnx")
    assert outcome.code == 0, outcome.err
    slim = here / f"{trained.bundle.name.removesuffix('-bundle')}-slim"
    assert outcome.err == f"written: {slim}\n"
    rows = [f"{name}\t{(slim / name).stat().st_size}" for name in ("bundle.json", "model.onnx", "labels.txt", "NOTICE")]
    assert outcome.out.splitlines() == rows
    photo = min((trained.photos / "2").glob("*.png"))
    whole = lungfish("predict", trained.bundle, photo, "--artifact", "model.onnx")
    assert lungfish("predict", slim, photo).out == whole.out
    manifest = lf.load(slim).manifest
    assert manifest.artifact().top1 is not None
    assert (manifest.test, manifest.val) == ({}, {})  # figures of the other artifact


def test_the_next_free_name(lungfish: Run, color_bundle: Path, here: Path) -> None:
    assert lungfish("slim", color_bundle).code == 0
    with untouched(here / "color-slim"):
        outcome = lungfish("slim", color_bundle)
    assert outcome.err.startswith("color-slim is kept; the new bundle will be color-slim-2\n")
    assert lf.slim(color_bundle).bundle == str(here / "color-slim-3")
    assert lungfish("predict", "color-slim-2", "gone.png", "--json").json[0]["error"] == "no such file"


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("bundle", "is the bundle itself"),
        ("bundle/slim", "is inside the bundle"),
        ("bundle/golden/../slim", "is inside the bundle"),
        (".", "contains the bundle"),
        ("taken", "taken exists\nChoose another output folder.\n"),
        ("dangling", "dangling exists\n"),
    ],
)
def test_places_that_are_refused(lungfish: Run, color_bundle: Path, here: Path, out: str, words: str) -> None:
    shutil.move(color_bundle, here / "bundle")
    (here / "taken").mkdir()
    (here / "dangling").symlink_to("nowhere")
    with untouched(here):
        outcome = lungfish("slim", "bundle", "--out", out)
        assert outcome.code == 2
        assert words in outcome.err


def test_in_the_bundle_itself(color_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(color_bundle)
    with untouched(color_bundle), pytest.raises(OutputError, match=r"inside the bundle .*\n.*beside it"):
        lf.slim(".")


def test_what_is_no_sound_bundle(lungfish: Run, color_bundle: Path, here: Path) -> None:
    with untouched(here):
        assert "does not exist" in lungfish("slim", "gone").err
        assert (
            "unknown artifact of this bundle: 'model.onxx'"
            in lungfish("slim", color_bundle, "--artifact", "model.onxx").err
        )
        (color_bundle / "labels.txt").write_bytes(b"red\ngreen\nblux")
        outcome = lungfish("slim", color_bundle)
    assert (outcome.code, outcome.err.splitlines()[0]) == (
        1,
        "error: labels.txt was altered: its SHA-256 is not the one in bundle.json",
    )


def test_a_file_that_is_altered_after_it_was_checked(
    color_bundle: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def altered_at_last(*arguments: Any) -> Any:
        target = choose(*arguments)
        (color_bundle / "model.onnx").write_bytes(b"x" * (color_bundle / "model.onnx").stat().st_size)
        return target

    choose = workflow.choose_slim_target
    monkeypatch.setattr(workflow, "choose_slim_target", altered_at_last)
    with untouched(here), pytest.raises(BundleError, match=r"model\.onnx was altered"):
        lf.slim(color_bundle)


def test_a_bundle_that_was_slimmed_by_hand(lungfish: Run, trained: Any, here: Path) -> None:
    """As before this command: whatever predicting does not need may be missing, but is still listed."""
    hand = here / "hand-bundle"
    hand.mkdir()
    for name in ("bundle.json", "model-int8.onnx"):
        shutil.copy(trained.bundle / name, hand / name)
    assert lungfish("slim", hand, "--json").json["files"] == ["bundle.json", "model-int8.onnx"]
    assert "model.onnx is missing" in lungfish("slim", hand, "--artifact", "model.onnx").err
    assert not (here / "hand-slim-2").exists()


def test_an_older_bundle_gets_its_description(color_bundle: Path, rewrite: Callable[..., None], here: Path) -> None:
    def age(values: dict[str, Any]) -> None:
        for key in ("input", "output", "temperature_inside"):
            del values[key]

    rewrite(color_bundle, age)
    lf.slim(color_bundle)
    said = json.loads((here / "color-slim" / "bundle.json").read_text(encoding="utf-8"))
    assert said["input"]["shape"] == ["batch", 8, 8, 3]
    assert said["temperature_inside"] == {"model.onnx": True}
