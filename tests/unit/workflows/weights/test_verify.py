"""Whether our network computes what the library computes: it does, and a wrong one is found out."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from lungfish.architecture import parse_arch
from lungfish.core.errors import MissingExtraError, UnreadablePhotoError, UsageError
from lungfish.core.progress import Progress
from lungfish.nn import Network
from lungfish.weights.catalogue import find_entry
from lungfish.weights.convert.to_file import Provenance, convert_file
from lungfish.weights.fetch.package import packaged_file
from lungfish.weights.imagenet import imagenet_wnids
from lungfish.weights.load import load_network
from lungfish.weights.store.store import Store
from lungfish.weights.verify import reference
from lungfish.weights.verify.recorded import RECORDED, recorded_logits
from lungfish.workflows.weights import verify as module
from lungfish.workflows.weights.verify import verify

LITE0 = "efficientnet_lite0.in1k"
Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three pictures, one in a folder of its class."""
    folder = tmp_path / "pictures"
    (folder / imagenet_wnids()[7]).mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.jpg", f"{imagenet_wnids()[7]}/c.png")):
        Image.linear_gradient("L").rotate(90 * number).convert("RGB").save(folder / name)
    return folder


def without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "find_spec", lambda _: None)


def break_ours(monkeypatch: pytest.MonkeyPatch, tensor: str) -> None:
    """One tensor of our network is a little wrong."""

    def wrong(*arguments: Any) -> Network:
        network = load_network(*arguments)
        with torch.no_grad():
            network.state_dict()[tensor].mul_(1.01)
        return network

    monkeypatch.setattr(module, "load_network", wrong)


def test_the_packaged_weights_are_equal_to_timms(lungfish: Run) -> None:
    ended = lungfish("weights", "verify", LITE0, "--json")
    assert ended.code == 0, ended.err
    row = ended.json
    assert row["reference"].startswith("timm ")
    assert (row["name"], row["images"], row["top1_agreement"], row["top1"]) == (LITE0, 4, 1.0, None)
    assert row["spread"] > 0.1
    assert row["max_abs_diff"] <= 1e-4
    record = Store().record(LITE0)
    assert record
    assert record.verified
    assert (record.verified.reference, record.verified.max_abs_diff) == (row["reference"], row["max_abs_diff"])
    assert {"lungfish", "torch", "timm"} <= set(record.verified.packages)
    assert "top-1 agreement 100.0% on 4 pictures, against timm" in lungfish("weights", "show", LITE0).out


@pytest.mark.parametrize("tensor", ["stem.conv.weight", "classifier.bias", "stem.norm.running_mean"])
def test_a_wrong_tensor_is_found(lungfish: Run, monkeypatch: pytest.MonkeyPatch, tensor: str) -> None:
    break_ours(monkeypatch, tensor)
    ended = lungfish("weights", "verify", LITE0)
    assert ended.code == 1
    assert f"{LITE0}: DIFFERENT from timm" in ended.out
    without_library(monkeypatch)
    ended = lungfish("weights", "verify", LITE0)
    assert ended.code == 1
    assert f"{LITE0}: DIFFERENT from {RECORDED}" in ended.out


def test_without_the_library_recorded_logits_stand_in(lungfish: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    without_library(monkeypatch)
    row = lungfish("weights", "verify", LITE0, "--json").json
    assert (row["reference"], row["images"], row["top1_agreement"], row["passed"]) == (RECORDED, 4, 1.0, True)
    assert row["max_abs_diff"] <= 1e-4


def test_a_first_class_that_was_not_recorded_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorded logits are right, and a class that is not among them is ahead."""
    without_library(monkeypatch)
    recorded = {int(number) for each in recorded_logits(find_entry(LITE0)) or () for number in each.classes}
    stray = next(number for number in range(1000) if number not in recorded)

    def wrong(*arguments: Any) -> Network:
        network = load_network(*arguments)
        with torch.no_grad():
            network.state_dict()["classifier.bias"][stray] += 100
        return network

    monkeypatch.setattr(module, "load_network", wrong)
    found = verify(LITE0, None, Progress())
    assert found.max_abs_diff <= 1e-4
    assert (found.top1_agreement, found.passed) == (0.0, False)


def test_nothing_to_hold_it_against(monkeypatch: pytest.MonkeyPatch) -> None:
    without_library(monkeypatch)
    monkeypatch.setattr(module, "recorded_logits", lambda _: None)
    with pytest.raises(MissingExtraError, match=f"nothing to compare {LITE0} with") as caught:
        verify(LITE0, None, Progress())
    assert "pip install timm" in caught.value.hint


def test_files_that_no_library_reads(tmp_path: Path) -> None:
    out = tmp_path / "ours.safetensors"
    file = packaged_file(find_entry(LITE0))
    convert_file(file, parse_arch("efficientnet_lite0"), "packaged", out, Provenance(license="Apache-2.0"))
    with pytest.raises(UsageError, match="no reference library loads files of lungfish"):
        verify(f"file:{out}", None, Progress())


def test_pictures_that_cannot_be_read_are_counted(lungfish: Run, pictures: Path) -> None:
    (pictures / "broken.jpg").write_bytes(b"no picture")
    ended = lungfish("weights", "verify", LITE0, "--images", pictures)
    assert ended.code == 0, ended.err
    assert "on 3 pictures" in ended.out
    assert "skipped 1 picture that could not be read" in ended.err


def test_names_tell_the_class(pictures: Path) -> None:
    """All of them, or there is no share of right answers."""
    assert verify(LITE0, pictures, Progress()).top1 is None
    for name in ("a.png", "b.jpg"):
        (pictures / name).rename(pictures / f"{imagenet_wnids()[7]}_{name}")
    assert verify(LITE0, pictures, Progress()).top1 == 0.0  # a gradient is no cock


def test_folders_without_pictures(tmp_path: Path, pictures: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        verify(LITE0, tmp_path / "nothing", Progress())
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "note.txt").write_text("no picture")
    with pytest.raises(UsageError, match="no pictures in"):
        verify(LITE0, tmp_path / "empty", Progress())
    for picture in list(pictures.rglob("*.*")):
        picture.write_bytes(b"no picture")
    with pytest.raises(UnreadablePhotoError, match="no picture can be read"):
        verify(LITE0, pictures, Progress())
    record = Store().record(LITE0)
    assert record
    assert record.verified is None


def test_several_sets_and_one_that_is_unknown(lungfish: Run, pictures: Path) -> None:
    value = lungfish("weights", "verify", LITE0, LITE0, "--images", pictures, "--json").json
    assert [row["name"] for row in value] == [LITE0, LITE0]
    assert lungfish("weights", "verify", "efficientnet_lite0.in1").code == 2
