"""Replace a network's classifier with one for the classes of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lungfish.nn import Network
    from lungfish.training.probe import Head


def attach(network: Network, head: Head | None, classes: int) -> None:
    """Replace the classifier of a network, and move the network to the CPU in eval mode.

    Args:
        network: Network to change in place.
        head: Head whose weights the classifier gets; None for zeros.
        classes: Number of classes.
    """
    import torch
    from torch import nn

    network.classifier = nn.Linear(network.classifier.in_features, classes)
    with torch.no_grad():
        if head is None:
            network.classifier.weight.zero_()
            network.classifier.bias.zero_()
        else:
            network.classifier.weight.copy_(torch.from_numpy(head.weight))
            network.classifier.bias.copy_(torch.from_numpy(head.bias))
    network.arch = network.arch.with_classes(classes)
    network.labels = None  # they belong to the old classifier
    network.cpu().eval()
