"""Grad-CAM: show which parts of a photo support a class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungfish.core.extras import missing_extra
from lungfish.training.trunk import normalized
from lungfish.weights.entry import WeightsEntry

if TYPE_CHECKING:
    from lungfish.nn import Network

BATCH_SIZE = 8  # small, as the gradient needs the activations of every layer


def grad_cam(
    network: Network, entry: WeightsEntry, pixels: NDArray[np.uint8], classes: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return how much each position of the last feature map adds to the logit of a class; negative values become 0.

    Args:
        network: Network in eval mode.
        entry: Weights that the network started from; defines the normalization of the pixels.
        pixels: uint8 `[n, height, width, 3]`.
        classes: int `[n]`, the class to explain for each photo.

    Returns:
        float32 `[n, rows, columns]`: 7 x 7 positions for 224 x 224 pixels.

    Raises:
        MissingExtraError: captum is not installed.

    Source: arXiv:1610.02391.
    """
    import torch

    try:
        from captum.attr import LayerGradCam
    except ModuleNotFoundError as error:
        raise missing_extra(error, "Grad-CAM", "explain") from None

    explainer = LayerGradCam(network, network.head)
    device = network.classifier.weight.device
    maps = []
    for start in range(0, len(pixels), BATCH_SIZE):
        part = slice(start, start + BATCH_SIZE)
        x_nchw = normalized(torch.tensor(pixels[part], device=device), entry).requires_grad_()
        target = torch.tensor(classes[part], device=device)
        maps.append(explainer.attribute(x_nchw, target=target, relu_attributions=True)[:, 0].detach().cpu().numpy())
    return np.concatenate(maps)
