"""Names of ImageNet's classes, against three other places that know their order."""

import re
from pathlib import Path

import pytest

from lungfish.weights.imagenet import imagenet_names, imagenet_wnids

SAMPLES = Path(__file__).parents[4] / "shared" / "data" / "imagenet-samples"
# that first lemmas do not tell apart, or by a capital letter only
OURS = {"crane (bird)", "crane (machine)", "maillot (tights)", "maillot (tank suit)", "Cardigan Welsh corgi"}


def test_a_thousand_different_names() -> None:
    names = imagenet_names()
    assert len(names) == len({name.casefold() for name in names}) == 1000
    assert all(name == name.strip() and name.isprintable() for name in names)
    assert (names[0], names[817], names[999]) == ("tench", "sports car", "toilet tissue")


def test_a_thousand_different_identifiers() -> None:
    assert len(set(imagenet_wnids())) == 1000
    assert all(re.fullmatch(r"n\d{8}", wnid) for wnid in imagenet_wnids())


def test_names_are_torchvisions() -> None:
    meta = pytest.importorskip("torchvision.models._meta")
    different = {
        (ours, theirs)
        for ours, theirs in zip(imagenet_names(), meta._IMAGENET_CATEGORIES, strict=True)
        if ours != theirs and ours not in OURS
    }
    assert not different


def test_names_and_order_are_timms() -> None:
    info = pytest.importorskip("timm.data").ImageNetInfo("imagenet-1k")
    assert imagenet_wnids() == tuple(info.label_names())
    for number, name in enumerate(imagenet_names()):
        lemmas = info.index_to_description(number).split(", ")
        assert name == lemmas[0] or (name in OURS and name.partition(" ")[0] == lemmas[0])


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs the photos of shared/data/imagenet-samples")
def test_order_is_that_of_the_samples() -> None:
    assert imagenet_wnids() == tuple(path.stem[5:] for path in sorted(SAMPLES.glob("*.jpg")))
