"""Our network against timm's, both with the packaged file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision

from lungfish.core.errors import WeightsError
from lungfish.weights.catalogue import find_entry
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.fetch.package import packaged_file
from lungfish.weights.load import load_network
from lungfish.weights.verify.recorded import recorded_logits
from lungfish.weights.verify.reference import open_reference

LITE0 = find_entry("efficientnet_lite0.in1k")


def pixels() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 3, 96, 96)).astype(np.float32)


def test_timm_computes_what_we_compute() -> None:
    reference = open_reference(LITE0, packaged_file(LITE0))
    assert reference
    assert reference.name.startswith("timm ")
    assert reference.name.endswith(" tf_efficientnet_lite0")
    with torch.inference_mode():
        ours = load_network(LITE0)(torch.from_numpy(pixels())).numpy()
    theirs = reference.logits(pixels())
    assert theirs.std() > 0.1
    assert np.abs(ours - theirs).max() <= 1e-5


def test_another_network_refuses_the_file() -> None:
    with pytest.raises(WeightsError, match="the file contains"):
        open_reference(replace(LITE0, arch="efficientnet_lite1"), packaged_file(LITE0))


def test_what_it_says_of_the_file_is_short(tmp_path: Path) -> None:
    """timm itself lists every tensor that does not fit."""
    file = tmp_path / "w.pth"
    torch.save(timm.create_model("mobilenetv2_035").state_dict(), file)
    with pytest.raises(WeightsError, match=r"^EfficientNet rejects the weights: .* size mismatch for ") as caught:
        open_reference(replace(LITE0, arch="mobilenet_v2:width=0.5", converter="timm"), file)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    "entry",
    [
        replace(LITE0, arch="efficientnet_lite0:width=0.5"),
        replace(LITE0, converter="slim"),
        replace(LITE0, converter="timm", arch="efficientnet_b0:phi=0.5"),
    ],
    ids=["scaled", "no library", "no such model"],
)
def test_no_reference(entry: WeightsEntry) -> None:
    assert open_reference(entry, packaged_file(LITE0)) is None


def test_recorded_logits_are_of_one_file() -> None:
    recorded = recorded_logits(LITE0)
    assert recorded
    assert [len(picture.classes) for picture in recorded] == [5, 5, 5, 5]
    assert recorded_logits(replace(LITE0, sha256="0" * 64)) is None


def test_torchvision_of_another_width(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    torch.save(torchvision.models.mobilenet_v2(width_mult=0.5, num_classes=5).state_dict(), file)
    reference = open_reference(replace(LITE0, arch="mobilenet_v2:width=0.5,classes=5", converter="torchvision"), file)
    assert reference
    assert reference.logits(pixels()).shape == (2, 5)
