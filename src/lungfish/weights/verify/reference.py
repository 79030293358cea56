"""Run a network in the library that published its weights, as the reference for ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungfish.architecture import Arch, parse_arch
from lungfish.core.errors import WeightsError
from lungfish.core.names import in_short
from lungfish.weights.convert.fit import same_layers
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.formats.checkpoint import read_checkpoint
from lungfish.weights.resolve.published import KERAS

if TYPE_CHECKING:
    from torch import Tensor, nn

Logits = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # x_nchw [n, 3, height, width] to [n, classes]

# each library's names for our networks; {percent} is the width
_EFFICIENTNET = {f"efficientnet_b{number}": f"efficientnet_b{number}" for number in range(8)}
_TF = {f"efficientnet_{size}": f"tf_efficientnet_{size}" for size in [f"b{i}" for i in range(8)]}
_LITE = {f"efficientnet_lite{number}": f"tf_efficientnet_lite{number}" for number in range(5)}
_MOBILENET = {"mobilenet_v1": "mobilenetv1_{percent:03}", "mobilenet_v2": "mobilenetv2_{percent:03}"}
MODELS: Mapping[str, tuple[str, Mapping[str, str]]] = {  # our converter: library, its models
    "torchvision": ("torchvision", {"mobilenet_v2": "mobilenet_v2", **_EFFICIENTNET}),
    "timm": ("timm", {**_MOBILENET, **_EFFICIENTNET}),
    "timm_tf": ("timm", {**_TF, **_LITE}),
    "packaged": ("timm", _LITE),
    "keras": ("keras", KERAS),
}


@dataclass(frozen=True, eq=False)
class Reference:
    """An independent implementation with the same weights.

    Args:
        name: Library, version and model.
        logits: Computes logits from normalized float32 `[n, 3, height, width]`.
    """

    name: str
    logits: Logits


def open_reference(entry: WeightsEntry, file: Path) -> Reference | None:
    """Return the library's network with the same file, or None if the library is missing or has no such network.

    Raises:
        WeightsError: The file does not fit that network.
    """
    arch = parse_arch(entry.arch)
    library, models = MODELS.get(entry.converter, ("", {}))
    base = arch.name.partition(":")[0]
    if base not in models or not find_spec(library) or not _is_scaled_by_width_only(arch, base):
        return None
    model = models[base].format(percent=round(100 * arch.width))
    name = f"{library} {version(library)} {model}"
    if library == "keras":
        from lungfish.weights.verify.keras_reference import KerasReference

        return Reference(name, KerasReference(model, arch, file))
    return Reference(name, _torch_logits(_build(library, model, arch), entry, arch, file))


def _is_scaled_by_width_only(arch: Arch, base: str) -> bool:
    return same_layers(arch, parse_arch(f"{base}:width={arch.width}" if base.startswith("mobilenet") else base))


def _build(library: str, model: str, arch: Arch) -> nn.Module:
    module: nn.Module
    if library == "timm":
        import timm

        module = timm.create_model(model, num_classes=arch.classes)
    else:
        import torchvision

        scaled = {"width_mult": arch.width} if model == "mobilenet_v2" else {}  # timm's names include the width
        module = torchvision.models.get_model(model, num_classes=arch.classes, **scaled)
    return module


def _torch_logits(module: nn.Module, entry: WeightsEntry, arch: Arch, file: Path) -> Logits:
    import torch

    read = read_checkpoint(file, arch, entry.converter)
    state: Mapping[str, object] = {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for name, value in read.items()
    }
    if entry.converter == "packaged":
        state = _renamed_by_order(state, module)
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise WeightsError(f"{type(module).__name__} rejects the weights: {in_short(error)}") from None
    module.eval()

    def logits(x_nchw: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            result: NDArray[np.float32] = module(torch.from_numpy(x_nchw)).numpy()
        return result

    return logits


def _renamed_by_order(state: Mapping[str, object], module: nn.Module) -> dict[str, Tensor]:
    """Return a checkpoint under the names of `module`, matched by order.

    Both list their layers in execution order, so this does not depend on our name tables, which it helps to verify.
    """
    import torch

    names = [name for name in module.state_dict() if not name.endswith("num_batches_tracked")]
    tensors = [torch.as_tensor(value) for name, value in state.items() if not name.endswith("num_batches_tracked")]
    if len(names) != len(tensors):
        raise WeightsError(f"the file contains {len(tensors)} tensors, but {type(module).__name__} takes {len(names)}")
    return module.state_dict() | dict(zip(names, tensors, strict=True))
