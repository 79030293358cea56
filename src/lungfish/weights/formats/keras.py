"""Read Keras's files of weights: published `.h5`, Keras 3 `.weights.h5`, and `.keras`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from lungfish.architecture import Arch
from lungfish.core.extras import missing_extra
from lungfish.core.names import printable
from lungfish.weights.formats.hdf5_process import Hdf5Process
from lungfish.weights.formats.limits import MAX_TENSORS
from lungfish.weights.layouts import find_layout, tensor_slots

PROCESS = Hdf5Process()
# Keras 3 numbers the variables of a layer; these are their names, by layer class.
VARIABLES = {
    "conv2d": ("kernel", "bias"),
    "depthwise_conv2d": ("kernel",),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "dense": ("kernel", "bias"),
    "normalization": ("mean", "variance", "count"),
}


def read_keras(path: Path, arch: Arch) -> dict[str, NDArray[Any]]:
    """Return the arrays by `layer/variable`.

    Args:
        path: A file of weights, or of a whole model.
        arch: Its network; early Keras 3 files number their layers and do not name them.

    Raises:
        WeightsError: It is not a Keras file, is too large, contains anything but plain numbers stored in the file
            itself, or crashes the reader.
        MissingExtraError: h5py is not installed.
        WorkerError: The reader process cannot be started.
    """
    if find_spec("h5py") is None:
        absent = ModuleNotFoundError("no module is called h5py", name="h5py")
        raise missing_extra(absent, f"reading {printable(path.name)}", "keras")
    content = PROCESS.read(path, MAX_TENSORS)
    if content.kind == "published":
        return {_name(key): array for key, array in content.arrays.items()}
    return _named(content.arrays, content.layers or _names_by_order(arch))


def _name(key: str) -> str:
    """Convert `conv1/conv1/kernel:0` or `conv_dw_1/conv_dw_1/depthwise_kernel:0` to `layer/variable`."""
    layer, _, variable = key.rpartition("/")
    return f"{layer.rpartition('/')[2]}/{variable.partition(':')[0].removeprefix('depthwise_')}"


def _named(arrays: Mapping[str, NDArray[Any]], layers: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """Rename arrays such as `conv2d_3/vars/0` by the names of their layer and variable."""
    named = {}
    for key, array in arrays.items():
        layer, _, index = key.replace("/vars/", "/").partition("/")
        variables = VARIABLES.get(_class(layer), ())
        variable = variables[int(index)] if index.isdigit() and int(index) < len(variables) else index
        named[f"{layers.get(layer, layer)}/{variable}"] = array
    return named


def _names_by_order(arch: Arch) -> dict[str, str]:
    classes = {  # by a variable that only this class has, and its axes
        ("kernel", (3, 2, 0, 1)): "conv2d",
        ("kernel", (2, 3, 0, 1)): "depthwise_conv2d",
        ("kernel", (1, 0)): "dense",
        ("gamma", ()): "batch_normalization",
    }
    ordered = defaultdict(list)
    for slot in tensor_slots(arch, find_layout("keras", arch)).values():
        layer, _, variable = slot.name.rpartition("/")
        if (variable, slot.axes) in classes:
            ordered[classes[variable, slot.axes]].append(layer)
    return {
        f"{kind}_{number}" if number else kind: layer
        for kind, layers in ordered.items()
        for number, layer in enumerate(layers)
    }


def _class(layer: str) -> str:
    """Return `conv2d` for `conv2d_3`."""
    return re.sub(r"_\d+$", "", layer)
