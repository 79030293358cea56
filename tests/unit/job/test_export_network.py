"""What `lungfish.export` refuses, before it looks at a photo, and what it leaves as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import lungfish as lf
from lungfish.core.errors import OutputError, ParityError, PhotosError, UsageError, WeightsError
from lungfish.job import export_network as module
from lungfish.job.start import UNKNOWN
from lungfish.nn import Network
from lungfish.runtime.preprocessing import Preprocessing

from ...tiny import ARCH

LABELS = ("red", "green", "blue")  # not in the order of the folders
PIXELS = Preprocessing(48, 1.0, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0))


@pytest.fixture
def network() -> Network:
    return lf.build(lf.arch(f"{ARCH},classes=3"), seed=0)


@pytest.fixture
def export(network: Network, color_photos: Path, tmp_path: Path) -> Callable[..., Any]:
    def call(net: Any = network, labels: Any = LABELS, out: Path = tmp_path / "bundle", **options: Any) -> Any:
        return lf.export(net, labels, out, **{"photos": color_photos, "preprocessing": PIXELS} | options)

    return call


def test_arguments_that_do_not_fit(export: Callable[..., Any], network: Network) -> None:
    wrapped = torch.nn.Sequential(network)
    with pytest.raises(UsageError, match=r"a network of lungfish.build, got Sequential\n.*\.module"):
        export(wrapped)
    with pytest.raises(UsageError, match="labels is 'abc'"):
        export(labels="abc")
    with pytest.raises(UsageError, match="two or more different names"):
        export(labels=("red", "red", "blue"))
    with pytest.raises(UsageError, match=r"3 logits, labels has 2 names\n"):
        export(labels=("red", "blue"))
    with pytest.raises(UsageError, match=r"not known\nGive it: preprocessing=lungfish\.Preprocessing"):
        export(preprocessing=None)
    with pytest.raises(UsageError, match="unknown set of weights"):
        export(weights="efficientnet_lite0.in1")
    network.classifier = torch.nn.Sequential(network.classifier)  # type: ignore[assignment]
    with pytest.raises(UsageError, match="classifier is a Sequential"):
        export()


def test_classes_must_be_the_labels(export: Callable[..., Any], color_photos: Path) -> None:
    (color_photos / "red").rename(color_photos / "r\x1bd")
    with pytest.raises(PhotosError, match=r"not in labels: r\\x1bd; without photos: red\n"):
        export()


def test_a_network_that_is_not_what_its_architecture_says(export: Callable[..., Any], network: Network) -> None:
    network.stem.register_buffer("extra", torch.zeros(1))
    with pytest.raises(WeightsError, match=r"unexpected stem\.extra"):
        export()
    del network.stem.extra
    with torch.no_grad():
        network.classifier.bias[0] = torch.nan
    with pytest.raises(WeightsError, match=r"classifier\.bias contains NaN or infinity"):
        export()


def test_the_bundle_goes_beside_the_photos(export: Callable[..., Any], color_photos: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="inside the photos"):
        export(out=color_photos / "bundle")
    (tmp_path / "there").mkdir()
    with pytest.raises(OutputError, match="exists"):
        export(out=tmp_path / "there")
    with pytest.raises(OutputError, match="is not a bundle"):
        export(out=tmp_path / "there", force=True)


def test_a_layer_that_was_replaced_is_found(
    export: Callable[..., Any], network: Network, tmp_path: Path, write_digits: Callable[..., Path]
) -> None:
    """It has no weights of its own, so nothing but what it computes shows it."""
    network.classifier.weight.data *= 1e9  # a network at random answers all photos alike
    digits = write_digits(tmp_path / "digits", LABELS, count=4)
    activations = [name for name, each in network.stem.named_children() if not list(each.parameters())]
    setattr(network.stem, activations[-1], torch.nn.Sigmoid())
    with pytest.raises(ParityError, match=r"probabilities differ(.|\n)*[Ii]f you replaced any"):
        export(photos=digits)
    assert not (tmp_path / "bundle").exists()


def test_what_is_known_of_pixels_comes_from_the_argument_the_network_or_the_weights(network: Network) -> None:
    job = module.ExportJob(network, LABELS, Path("out"), "photos")
    named = replace(job, weights="efficientnet_lite0.in1k")
    card = module._record(named)
    assert card.entry.license == "Apache-2.0"
    assert module._preprocessing(named, card, network.arch).std == card.entry.std
    network.preprocessing = replace(PIXELS, crop_fraction=0.5)  # type: ignore[assignment]
    assert module._preprocessing(named, card, network.arch).crop_fraction == 0.5
    assert module._preprocessing(replace(named, preprocessing=PIXELS), card, network.arch) == PIXELS
    assert module._record(job).entry == UNKNOWN
    network.weights = "efficientnet_lite0.in1k"  # type: ignore[assignment]
    assert module._record(job).entry.name == "efficientnet_lite0.in1k"
    assert module._record(replace(job, weights="random")).entry.name == "random"
