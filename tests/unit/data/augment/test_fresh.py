from __future__ import annotations

import numpy as np
import pytest

from lungfish.core.errors import UnknownNameError, UsageError
from lungfish.data.augment.fresh import FreshAugmentation, changed
from lungfish.data.augment.torch_chance import torch_seeded

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")


@pytest.mark.parametrize("policy", ["trivial", "rand"])
def test_changes_follow_from_the_seed(picture, policy):
    augmentation = FreshAugmentation(policy=policy)
    part = picture(0, (32, 32))
    images = [changed(part, augmentation, seed) for seed in range(20)]
    assert {(image.size, image.mode) for image in images} == {((32, 32), "RGB")}
    assert len({image.tobytes() for image in images}) > 10
    assert [changed(part, augmentation, seed).tobytes() for seed in range(20)] == [image.tobytes() for image in images]


def test_no_policy_changes_nothing(picture):
    part = picture(0, (32, 32))
    assert changed(part, FreshAugmentation(), 0) is part


def test_the_magnitude_is_that_of_rand(picture):
    part = picture(0, (32, 32))

    def distance(magnitude):
        augmentation = FreshAugmentation(policy="rand", magnitude=magnitude)
        images = [np.asarray(changed(part, augmentation, seed)).astype(int) for seed in range(40)]
        return np.mean([np.abs(image - np.asarray(part)).mean() for image in images])

    assert distance(30) > 1.5 * distance(5)


@pytest.mark.parametrize(
    "use",
    [
        lambda part: changed(part, FreshAugmentation(policy="trivial"), 1),
        lambda part: changed(part, FreshAugmentation(policy="rand"), 2**64 - 1),
    ],
)
def test_the_callers_random_numbers_go_on_untouched(picture, use):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    use(picture(0, (32, 32)))
    assert torch.equal(torch.rand(3), expected)


def test_an_error_gives_the_random_numbers_back():
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError), torch_seeded(3):
        torch.rand(1).reshape(2)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("magnitude", [-1, 31, 9.0, True])
def test_magnitudes_that_are_not_allowed_are_said(magnitude):
    with pytest.raises(UsageError, match=rf"magnitude is {magnitude}; it must be 0 to 30"):
        FreshAugmentation(magnitude=magnitude)


def test_other_values_are_checked_too():
    with pytest.raises(UnknownNameError, match="unknown policy of an augmentation: 'trivia'"):
        FreshAugmentation(policy="trivia")
    with pytest.raises(UsageError, match="min_area is 0; it must be"):
        FreshAugmentation(min_area=0)
