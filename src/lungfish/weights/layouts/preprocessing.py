"""Define the usual preprocessing of each library's models, for checkpoints that do not state theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lungfish.architecture import NAMED, Arch
from lungfish.runtime.preprocessing import Channels, Preprocessing
from lungfish.weights.layouts.layout import variant
from lungfish.weights.layouts.sources import find_source


@dataclass(frozen=True)
class Usual:
    """A library's usual preprocessing for one family.

    Args:
        normalization: Mean and std of the pixels.
        interpolation: Interpolation of the resize rule.
        crop_fraction: Crop fraction of the resize rule; None for the EfficientNet authors' rule, side / (side + 32).
        crops: Crop fractions of networks that deviate from it, by our name.
    """

    normalization: tuple[Channels, Channels]
    interpolation: str
    crop_fraction: float | None = 0.875
    crops: Mapping[str, float] = field(default_factory=dict)

    def of(self, arch: Arch) -> Preprocessing:
        """Return the preprocessing for `arch`."""
        side = NAMED.get(variant(arch), arch).resolution_px  # the crop fraction does not depend on the resolution used
        fraction = self.crop_fraction or side / (side + 32)
        crop = self.crops.get(variant(arch), fraction)
        return Preprocessing(arch.resolution_px, crop, self.interpolation, *self.normalization)


IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
HALF = (127.5, 127.5, 127.5), (127.5, 127.5, 127.5)
LITE = (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)

_V1, _V2 = NAMED["mobilenet_v1"].table, NAMED["mobilenet_v2"].table
_EFFICIENTNET, _LITE = NAMED["efficientnet_b0"].table, NAMED["efficientnet_lite0"].table
_SLIM = Usual(HALF, "bilinear")
USUAL = {
    "slim": {_V1: _SLIM, _V2: _SLIM},
    "keras": {_V1: _SLIM, _V2: _SLIM, _EFFICIENTNET: Usual(IMAGENET, "bicubic", None)},
    "tpu": {_EFFICIENTNET: Usual(IMAGENET, "bicubic", None), _LITE: Usual(LITE, "bicubic", None)},
    "packaged": {_LITE: Usual(LITE, "bicubic", None)},
    "torchvision": {
        _V2: Usual(IMAGENET, "bilinear"),
        _EFFICIENTNET: Usual(
            IMAGENET,
            "bicubic",
            crops={
                "efficientnet_b1": 240 / 256,
                "efficientnet_b2": 1.0,
                "efficientnet_b3": 300 / 320,
                "efficientnet_b4": 380 / 384,
                "efficientnet_b5": 1.0,
                "efficientnet_b6": 1.0,
                "efficientnet_b7": 1.0,
            },
        ),
    },
    "timm": {
        _V1: Usual(HALF, "bicubic"),
        _V2: Usual(IMAGENET, "bicubic"),
        _EFFICIENTNET: Usual(IMAGENET, "bicubic", None),
        _LITE: Usual(IMAGENET, "bicubic", None),
    },
    "timm_tf": {_EFFICIENTNET: Usual(IMAGENET, "bicubic", None), _LITE: Usual(HALF, "bicubic", None)},
}


def usual_preprocessing(source: str, arch: Arch) -> Preprocessing | None:
    """Return what most weights of `source` expect for `arch`, or None if there is no usual preprocessing.

    Raises:
        UnknownNameError: The source does not exist.
    """
    find_source(source)
    usual = USUAL[source].get(arch.table)
    return usual.of(arch) if usual else None
