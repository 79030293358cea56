"""Typos among class names are found; the names of real sets are no typos of each other."""

import time

import pytest
from torchvision.models import ResNet18_Weights
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights
from torchvision.models.video import R3D_18_Weights

from lungfish.data.split.class_names import is_slip, likely_typos

TYPOS = """t-shrit/t-shirt sandels/sandals boot/boots snaeker/sneaker sneker/sneaker umberlla/umbrella tshirt/t-shirt
t_shirt/t-shirt acessories/accessories sunglases/sunglasses buss/bus dogs/dog trouesrs/trousers cardbord/cardboard
metall/metal galss/glass Shoess/shoes"""
CLASSES = """class1/class2 class10/class1 cat/car left/right A/B 0/1 grade_a/grade_b type-i/type-ii stageI/stageII
size_l/size_xl classA/classB shirt/skirt shorts/shirts shirt/t-shirt horse/house mouse/moose glass/grass chair/hair
bear/pear bar/bear plane/planet man/men healthy/unhealthy normal/abnormal with_mask/without_mask damage/damaged
ripe/unripe male/female open/opened red/rad v1/v2 n01440764/n01440765 2019/2020"""
REAL = {
    "ImageNet": ResNet18_Weights.DEFAULT.meta["categories"],
    "COCO": FasterRCNN_ResNet50_FPN_Weights.DEFAULT.meta["categories"],
    "Kinetics-400": R3D_18_Weights.DEFAULT.meta["categories"],
    "clothing": ["dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt"],
    "waste": ["cardboard", "glass", "metal", "paper", "plastic", "trash"],
    "CIFAR": ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
    "digits": list(map(str, range(100))),
    "letters": list("abcdefghijklmnopqrstuvwxyz"),
    "synsets": [f"n{number:08}" for number in range(1440764, 1445764)],
}


@pytest.mark.parametrize("pair", TYPOS.split())
def test_slips_of_the_pen(pair: str) -> None:
    typo, meant = pair.split("/")
    assert is_slip(typo, meant)
    assert is_slip(meant, typo)
    found = likely_typos(["other", meant, typo], [300, 300, 3])
    assert [(each.label, each.meant) for each in found] == [(2, 1)]


@pytest.mark.parametrize("pair", CLASSES.split())
def test_classes_that_differ_in_a_letter(pair: str) -> None:
    a, b = pair.split("/")
    assert not is_slip(a, b)
    assert likely_typos([a, b], [300, 3]) == likely_typos([a, b], [3, 300]) == ()


@pytest.mark.parametrize("name", REAL)
def test_no_false_alarm_in_real_sets(name: str) -> None:
    """Though each class is large beside one neighbor in the list and small beside the other."""
    labels = list(dict.fromkeys(label.casefold() for label in REAL[name]))
    for first in (0, 1):
        assert likely_typos(labels, [300 if i % 2 == first else 3 for i in range(len(labels))]) == ()


@pytest.mark.parametrize(("count", "warned"), [(3, True), (60, True), (61, False), (300, False)])
def test_a_typo_is_small_against_what_was_meant(count: int, warned: bool) -> None:
    labels = ("t-shirt", "t-shrit")
    assert bool(likely_typos(labels, (300, count))) is warned


def test_the_largest_match_is_named_and_text_is_escaped() -> None:
    labels = ("boot", "boots", "boo\x1bts")
    (small,) = likely_typos(labels, (40, 300, 3))[1:]
    assert (small.label, small.meant) == (2, 1)
    warning = small.warning(labels)
    assert warning == r"class 'boo\\x1bts' has 3 photos; is that a typo of 'boots', which has 300?"


def test_many_classes_take_seconds_at_most() -> None:
    labels = [f"{a}{b}-{number}" for a in ("sandal", "boot", "hat") for b in "abcdefghij" for number in range(200)]
    began = time.monotonic()
    assert likely_typos(labels, [3, 300] * 3000) == ()
    assert time.monotonic() - began < 5
