"""Convert photos to the tensors that a network's weights expect."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lungfish.core.errors import UnreadablePhotoError, UsageError
from lungfish.core.names import plural, printable
from lungfish.runtime.preprocessing import Picture, Preprocessing

if TYPE_CHECKING:
    from torch import Tensor

    from lungfish.nn import Backbone, Network

RGB = 3


@dataclass(frozen=True)
class Transform:
    """A callable from one photo to one tensor, usable as `transform` of torchvision's datasets.

    Args:
        preprocessing: Preprocessing of the photo: resize, central square, `(pixel - mean) / std`.
    """

    preprocessing: Preprocessing

    def __call__(self, picture: Picture) -> Tensor:
        """Return normalized float32 `[3, resolution, resolution]`.

        Args:
            picture: A Pillow image, the path of a photo, the bytes of its file, or uint8 `[height, width, 3]` of RGB.

        Raises:
            UnreadablePhotoError: The photo cannot be read.
            UsageError: The value is of none of these types.
        """
        import torch

        rule = self.preprocessing
        try:
            pixels = rule.pixels(rule.open(picture)).astype(np.float32)
        except UnreadablePhotoError as error:
            if isinstance(picture, str | Path):
                raise UnreadablePhotoError(f"{printable(str(picture))}: {error.message}", error.hint) from None
            raise
        normalized = (pixels - np.asarray(rule.mean, np.float32)) / np.asarray(rule.std, np.float32)
        return torch.from_numpy(np.ascontiguousarray(normalized.transpose(2, 0, 1)))


def transforms(network: Network | Backbone) -> Transform:
    """Return the preprocessing of a network's weights as a callable from a photo to a normalized tensor.

    Use it instead of resizing and normalizing by hand. Weights differ in resize rule, mean and std, and wrong input
    raises no error; it only makes the answers worse. The pixels are those that `lungfish predict` and a bundle compute,
    including resize, crop and EXIF orientation.

    Paths are read as `lungfish predict` reads them. For a large JPEG this is faster than opening it with Pillow, and
    the pixels differ slightly: the file is decoded at 1/2, 1/4 or 1/8 of its size, as long as the result is at least
    twice the required size.

    Args:
        network: A network with pretrained weights, from `lungfish.build`. For random weights, set its `preprocessing`
            first.

    Returns:
        A `Transform`; its `preprocessing` contains the parameters.

    Raises:
        UsageError: The network has random weights, or its input does not have the three channels of a photo.

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
            "Use a network from lungfish.build, for example lungfish.build('efficientnet_lite0', pretrained=True).",
        )
    if network.preprocessing is None:
        raise UsageError(
            f"the preprocessing of this {network.arch.name} is unknown: its weights are random, or their file omits it",
            "Build it with pretrained=True, or set network.preprocessing = "
            "lungfish.Preprocessing(224, mean=(...), std=(...)).",
        )
    if network.arch.in_channels != RGB:
        raise UsageError(
            f"this network takes {plural(network.arch.in_channels, 'channel')}; photos have {RGB}, even gray ones",
            "Preprocess such input yourself: network.preprocessing has the size, mean and std that its weights expect.",
        )
    return Transform(network.preprocessing)
