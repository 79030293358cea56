"""Augment photos afresh in every epoch, with policies from the literature.

Source: TrivialAugment, arXiv:2103.10158; RandAugment, arXiv:1909.13719; both as in torchvision.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from PIL import Image

from lungfish.core.errors import UsageError
from lungfish.core.extras import missing_extra
from lungfish.core.names import choose
from lungfish.data.augment.augmentation import Augmentation
from lungfish.data.augment.torch_chance import torch_seeded

POLICIES = ("none", "trivial", "rand")
MAX_MAGNITUDE = 30


@dataclass(frozen=True)
class FreshAugmentation(Augmentation):
    """A random crop, optionally mirrored, as in `Augmentation`; then changes of color and shape.

    Args:
        policy: `none`; `trivial`, one change of random strength; or `rand`, two changes of strength `magnitude`.
        magnitude: Strength of the changes of `rand`, 0 to 30.

    Raises:
        UsageError: A value is not allowed.
    """

    policy: Literal["none", "trivial", "rand"] = "none"
    magnitude: int = 9

    def __post_init__(self) -> None:
        super().__post_init__()
        choose(self.policy, POLICIES, "policy of an augmentation")
        if type(self.magnitude) is not int or not 0 <= self.magnitude <= MAX_MAGNITUDE:
            raise UsageError(f"augmentation: magnitude is {self.magnitude!r}; it must be 0 to {MAX_MAGNITUDE}")


def changed(part: Image.Image, augmentation: FreshAugmentation, seed: int) -> Image.Image:
    """Apply the policy to an RGB image of any size; the size stays the same.

    Torch's random state is used and restored: see `torch_seeded`.

    Args:
        part: Crop of a photo.
        augmentation: Augmentation with the policy.
        seed: Seed for every random choice, 0 to 2 ** 64 - 1.

    Raises:
        MissingExtraError: torchvision is not installed.
    """
    if augmentation.policy == "none":
        return part
    policy = _policy(augmentation.policy, augmentation.magnitude)
    with torch_seeded(seed):
        image: Image.Image = policy(part)
    return image


@cache
def _policy(name: str, magnitude: int) -> Any:
    """Return a transform of Pillow images, which takes half the time of the same one on tensors."""
    try:
        from torchvision.transforms import v2
    except ModuleNotFoundError as error:
        raise missing_extra(error, "augmentation") from error
    if name == "trivial":
        return v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR)
    return v2.RandAugment(magnitude=magnitude, interpolation=v2.InterpolationMode.BILINEAR)
