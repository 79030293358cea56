"""Training mode against torchvision, in float64: loss, every gradient and batch norm's updates, to 1e-8 relative.

Dropout and stochastic depth are off: their random numbers differ, their rates are tested in tests/unit/nn.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lungfish as lf
from lungfish.nn.layers import Dropout, DropPath
from lungfish.weights.layouts import find_layout, tensor_slots

BOUND = 1e-8
NAMES = ("mobilenet_v2", "efficientnet_b0")
PARITY_NAMES = tuple(f"efficientnet_b{number}" for number in range(1, 8))
SIDE_PX, CLASSES = 96, 10


def without_chance(network: nn.Module, momentum: float) -> nn.Module:
    """Training mode with nothing dropped and a given batch-norm momentum."""
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, Dropout | DropPath):
            module.rate = 0.0
        elif type(module).__name__ == "StochasticDepth":
            module.p = 0.0
        elif isinstance(module, nn.BatchNorm2d):
            module.momentum = momentum
    return network.train()


def step(network: nn.Module, x_nchw: Tensor, labels: Tensor) -> Tensor:
    """The loss; gradients and statistics are left in the network."""
    loss = nn.functional.cross_entropy(network(x_nchw), labels)
    loss.backward()
    return loss.detach()


def relative(found: Tensor, expected: Tensor) -> float:
    scale = expected.abs().max()
    assert scale > 0
    return ((found - expected).abs().max() / scale).item()


@pytest.mark.parametrize("name", [*NAMES, *(pytest.param(name, marks=pytest.mark.parity) for name in PARITY_NAMES)])
def test_a_training_step(name: str, pictures: Any, randomize: Any, report: Any, compared: Any) -> None:
    models = pytest.importorskip("torchvision").models
    x_nchw, arch = pictures(SIDE_PX, 4), lf.arch(f"{name}:classes={CLASSES}")
    reference = randomize(getattr(models, name)(num_classes=CLASSES), x_nchw)
    ours = lf.import_weights(reference.state_dict(), arch, source="torchvision").double()
    labels = torch.arange(len(x_nchw)) % CLASSES
    expected = step(without_chance(reference, 0.1), x_nchw, labels)
    loss = step(without_chance(ours, 0.1), x_nchw, labels)

    where = tensor_slots(arch, find_layout("torchvision", arch))
    their_gradients = {key: tensor.grad for key, tensor in reference.named_parameters()}
    gradients = {
        key: relative(tensor.grad, their_gradients[where[key].name]) for key, tensor in ours.named_parameters()
    }
    theirs = reference.state_dict()
    updates = {key: relative(buffer.double(), theirs[where[key].name].double()) for key, buffer in ours.named_buffers()}
    assert len(gradients) == len(their_gradients)
    report.judge(compared("torchvision", name, "training: loss", relative(loss, expected), BOUND))
    report.judge(compared("torchvision", name, "training: gradients", max(gradients.values()), BOUND))
    report.judge(compared("torchvision", name, "training: batch-norm updates", max(updates.values()), BOUND))


def test_a_wrong_gradient_is_seen(pictures: Any, randomize: Any) -> None:
    models = pytest.importorskip("torchvision").models
    reference = randomize(models.mobilenet_v2(num_classes=CLASSES), pictures(SIDE_PX, 4))
    arch = lf.arch(f"mobilenet_v2:classes={CLASSES}")
    ours = lf.import_weights(reference.state_dict(), arch, source="torchvision").double()
    for module in ours.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1.001e-5
    x_nchw = pictures(SIDE_PX, 4)
    labels = torch.arange(len(x_nchw)) % CLASSES
    step(without_chance(reference, 0.1), x_nchw, labels)
    step(without_chance(ours, 0.1), x_nchw, labels)
    theirs = dict(reference.named_parameters())["features.0.0.weight"].grad
    assert relative(ours.stem.conv.weight.grad, theirs) > BOUND
