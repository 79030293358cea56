import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lungfish as lf

pytestmark = pytest.mark.usefixtures("here")
Run = Callable[..., Any]


@pytest.fixture
def photo(trained: Any, here: Path) -> Path:
    return Path(shutil.copy(min((trained.photos / "1").glob("*.png")), here / "one.png"))


def test_the_answer_is_that_of_predict(lungfish: Run, trained: Any, photo: Path, here: Path) -> None:
    outcome = lungfish("explain", trained.bundle, photo)
    assert outcome.code == 0, outcome.err
    assert outcome.out == lungfish("predict", trained.bundle, photo).out.replace("\tunknown", "")
    assert outcome.err == "written: one.explained.png\n"
    with Image.open(here / "one.explained.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (960, 590))


def test_another_class_is_marked_elsewhere(lungfish: Run, trained: Any, photo: Path, here: Path) -> None:
    answer = lungfish("explain", trained.bundle, photo, "--json", "--out", "answer.png").json
    assert answer == {
        "file": str(photo),
        "label": "1",
        "probability": answer["probability"],
        "explained": "1",
        "picture": "answer.png",
    }
    other = lungfish("explain", trained.bundle, photo, "--json", "--out", "other.png", "--label", "0").json
    assert other == answer | {"explained": "0", "picture": "other.png"}
    heat = [np.asarray(Image.open(here / name))[100:500, 500:900] for name in ("answer.png", "other.png")]
    assert (heat[0] != heat[1]).any()


def test_a_picture_is_drawn_again(lungfish: Run, trained: Any, photo: Path, here: Path) -> None:
    first = lungfish("explain", trained.bundle, photo)
    drawn = (here / "one.explained.png").read_bytes()
    assert lungfish("explain", trained.bundle, photo) == first
    assert (here / "one.explained.png").read_bytes() == drawn


def refused(lungfish: Run, here: Path, *arguments: object, code: int) -> str:
    before = sorted(here.iterdir())
    outcome = lungfish("explain", *arguments, "--json")
    assert outcome.code == code, outcome
    assert sorted(here.iterdir()) == before
    error = outcome.json["error"]
    assert error["hint"]
    return f"{error['message']} {error['hint']}"


def test_an_unknown_class(lungfish: Run, trained: Any, photo: Path, here: Path) -> None:
    said = refused(lungfish, here, trained.bundle, photo, "--label", "\x1b7", code=2)
    assert said == "unknown class of this bundle: '\\\\x1b7' Known: 0, 1, 2."


def test_what_is_no_photo(lungfish: Run, trained: Any, here: Path) -> None:
    (here / "a.jpg").write_text("hello")
    assert "a.jpg: not a picture" in refused(lungfish, here, trained.bundle, here / "a.jpg", code=1)
    assert "gone.jpg: no such file" in refused(lungfish, here, trained.bundle, "gone.jpg", code=1)
    assert "a folder, not a file" in refused(lungfish, here, trained.bundle, here, code=1)


def test_a_slim_bundle(lungfish: Run, trained: Any, photo: Path, here: Path) -> None:
    shutil.copytree(trained.bundle, here / "slim")
    (here / "slim" / "weights.safetensors").unlink()
    said = refused(lungfish, here, here / "slim", photo, code=3)
    assert "contains no weights.safetensors" in said
    assert "Use the full bundle." in said


def test_no_bundle(lungfish: Run, photo: Path, here: Path) -> None:
    assert "does not exist" in refused(lungfish, here, "gone", photo, code=2)
    assert "bundle.json" in refused(lungfish, here, here, photo, code=1)


@pytest.mark.parametrize(
    ("out", "words"), [("a.jpg", "does not end in .png"), ("one.png", "is the photo itself"), ("f.png", "is a folder")]
)
def test_a_picture_that_must_not_be_written(
    lungfish: Run, trained: Any, photo: Path, here: Path, out: str, words: str
) -> None:
    (here / "f.png").mkdir()
    assert words in refused(lungfish, here, trained.bundle, photo, "--out", out, code=2)


def test_without_matplotlib(
    lungfish: Run, trained: Any, photo: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = refused(lungfish, here, trained.bundle, photo, code=3)
    assert "explaining an answer needs matplotlib" in said
    assert re.search(r"pip install .*\[train,explain\]", said)


def test_in_python_a_bundle_stands_for_its_folder(trained: Any, photo: Path, here: Path) -> None:
    by_folder = lf.explain(trained.bundle, photo)
    assert by_folder.picture == "one.explained.png"
    assert lf.explain(lf.load(trained.bundle), str(photo), out="other.png", label="0").label == by_folder.label
    assert (here / "other.png").is_file()
