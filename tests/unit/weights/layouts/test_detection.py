"""Whose names tensors have, and how their models take pictures."""

from dataclasses import replace

import pytest

from lungfish.architecture import NAMED, parse_arch
from lungfish.core.errors import UnknownNameError, UsageError
from lungfish.weights.catalogue import catalogue
from lungfish.weights.layouts import SOURCES, detect_source, find_layout, tensor_slots, usual_preprocessing
from lungfish.weights.layouts.preprocessing import USUAL
from lungfish.weights.layouts.sources import find_source

NETWORKS = ("mobilenet_v1", "mobilenet_v2", "efficientnet_b2", "efficientnet_lite2")
HELD = [
    (source, name)
    for source in SOURCES
    for name in NETWORKS
    if any(layout.holds(NAMED[name].table) for layout in SOURCES[source].layouts)
]


def names_of(source: str, name: str) -> list[str]:
    return [place.name for place in tensor_slots(NAMED[name], find_layout(source, NAMED[name])).values()]


@pytest.mark.parametrize(("source", "name"), HELD)
def test_each_librarys_names_are_its_own(source: str, name: str) -> None:
    if source in ("timm", "timm_tf"):
        with pytest.raises(UsageError, match="names are ambiguous: timm and timm_tf use them") as caught:
            detect_source(names_of(source, name))
        assert "--source: timm (symmetric padding, batch-norm epsilon 1e-05), or timm_tf (same" in caught.value.hint
    else:
        assert detect_source(names_of(source, name)) == source


def test_moving_averages_without_the_weights() -> None:
    names = [name + find_source("tpu").averages for name in names_of("tpu", "efficientnet_b2")]
    assert detect_source([*names, "global_step"]) == "tpu"


def test_our_own_names() -> None:
    assert detect_source(["stem.conv.weight", "classifier.bias"]) == "lungfish"


@pytest.mark.parametrize(
    ("names", "shown"), [(["fc.weight\x1b[2J", "b"], r"b, fc\.weight\\x1b"), ([], "there are no tensors")]
)
def test_nobodys_names(names: list[str], shown: str) -> None:
    with pytest.raises(UsageError, match=f"no known library uses these tensor names: {shown}"):
        detect_source(names)


def test_usual_preprocessing() -> None:
    slim = usual_preprocessing("slim", NAMED["mobilenet_v1"])
    assert slim is not None
    assert (slim.mean[0], slim.crop_fraction, slim.interpolation) == (127.5, 0.875, "bilinear")
    lite = usual_preprocessing("tpu", NAMED["efficientnet_lite2"])
    assert lite is not None
    assert (lite.mean[0], lite.std[0]) == (127, 128)
    assert lite.crop_fraction == pytest.approx(0.890, abs=1e-3)
    small = parse_arch("efficientnet_lite2:resolution=64,classes=3")
    assert usual_preprocessing("tpu", small) == replace(lite, resolution_px=64)
    b3 = usual_preprocessing("torchvision", NAMED["efficientnet_b3"])
    assert b3 is not None
    assert b3.crop_fraction == 0.9375
    assert usual_preprocessing("keras", NAMED["efficientnet_lite0"]) is None
    with pytest.raises(UnknownNameError):
        usual_preprocessing("tensorflow", NAMED["mobilenet_v1"])


def test_the_catalogue_mostly_says_what_is_usual() -> None:
    """The two tables were written apart: for each library most entries must agree on the normalization."""
    assert set(USUAL) == set(SOURCES)
    for source in SOURCES:
        entries = [entry for entry in catalogue().values() if entry.converter == source and entry.arch in NAMED]
        usual = [(usual_preprocessing(source, NAMED[entry.arch]), entry) for entry in entries]
        agreeing = [entry for known, entry in usual if known and (known.mean, known.std) == (entry.mean, entry.std)]
        assert len(agreeing) * 2 > len(entries), source
