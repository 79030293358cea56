"""From a photo to the tensor that a network's weights expect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lungfish.core.errors import UsageError
from lungfish.core.names import plural
from lungfish.runtime.preprocessing import Picture, Preprocessing

if TYPE_CHECKING:
    from torch import Tensor

    from lungfish.nn import Backbone, Network

RGB = 3


@dataclass(frozen=True)
class Transform:
    """A callable from one photo to one tensor; a `transform` as datasets of torchvision take it.

    Args:
        preprocessing: What happens to the photo: resize, central square, `(pixel - mean) / std`.
    """

    preprocessing: Preprocessing

    def __call__(self, picture: Picture) -> Tensor:
        """Return normalized float32 `[3, resolution, resolution]`.

        Args:
            picture: A Pillow image, the path of a photo, the bytes of its file, or uint8 `[height, width, 3]` of RGB.

        Raises:
            UnreadablePhotoError: The photo cannot be read.
            UsageError: A value of another type.
        """
        import torch

        rule = self.preprocessing
        pixels = rule.pixels(rule.open(picture)).astype(np.float32)
        normalized = (pixels - np.asarray(rule.mean, np.float32)) / np.asarray(rule.std, np.float32)
        return torch.from_numpy(np.ascontiguousarray(normalized.transpose(2, 0, 1)))


def transforms(network: Network | Backbone) -> Transform:
    """Return the preprocessing of a network's weights as a callable: photo in, normalized tensor out.

    Use it instead of resizing and normalizing by hand. Sets of weights differ in resize rule, mean and std, a network
    that is fed by other numbers still answers, only worse, and nothing says so. The pixels are those that
    `lungfish predict` and a bundle compute for the same photo: the resize, the crop and EXIF's orientation included.

    A path is read as `lungfish predict` reads it. For a large JPEG that is quicker than opening it with Pillow, and
    differs from it slightly: the file is decoded at a half, a quarter or an eighth of its size while that is at least
    twice the size needed.

    Args:
        network: A network with pretrained weights, from `lungfish.build`. One with random weights expects nothing yet:
            set its `preprocessing` first.

    Returns:
        A `Transform`; its `preprocessing` holds the numbers.

    Raises:
        UsageError: The network has random weights, or takes another number of channels than a photo has.

    Example:
        >>> import lungfish as lf
        >>> from PIL import Image
        >>> net = lf.build("efficientnet_lite0", pretrained=True)
        >>> transform = lf.transforms(net)
        >>> transform(Image.new("RGB", (640, 480), "white")).shape
        torch.Size([3, 224, 224])
    """
    if not hasattr(network, "preprocessing"):
        raise UsageError(
            f"a value of type {type(network).__name__} is not a network of Lungfish",
            "Give what lungfish.build returns, for example lungfish.build('efficientnet_lite0', pretrained=True).",
        )
    if network.preprocessing is None:
        raise UsageError(
            f"nothing says how to prepare photos for this {network.arch.name}: its weights are random, or a bare file",
            "Build it with pretrained=True, or decide: network.preprocessing = "
            "lungfish.runtime.preprocessing.Preprocessing(resolution_px=224, mean=(...), std=(...)).",
        )
    if network.arch.in_channels != RGB:
        raise UsageError(
            f"this network takes {plural(network.arch.in_channels, 'channel')}; photos have {RGB}, gray ones too",
            "Prepare such input yourself: network.preprocessing has the size, mean and std that its weights expect.",
        )
    return Transform(network.preprocessing)
