"""Keras's files of weights: published `.h5`, Keras 3 `.weights.h5`, and `.keras`."""

from __future__ import annotations

import io
import re
import zipfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungfish.architecture import Arch
from lungfish.core.errors import WeightsError
from lungfish.core.extras import missing_extra
from lungfish.core.names import printable
from lungfish.weights.convert import find_layout, places

MAX_BYTES = 2 * 1024**3
INSIDE_KERAS = "model.weights.h5"
# Keras 3 numbers the variables of a layer; these are their names, by class of layer.
VARIABLES = {
    "conv2d": ("kernel", "bias"),
    "depthwise_conv2d": ("kernel",),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "dense": ("kernel", "bias"),
    "normalization": ("mean", "variance", "count"),
}


def read_keras(path: Path, arch: Arch) -> dict[str, NDArray[Any]]:
    """Arrays by `layer/variable`.

    Args:
        path: a file of weights, or of a whole model.
        arch: the network that it holds; early Keras 3 files do not name their layers, only number them.

    Raises:
        WeightsError: it is no such file, or too large.
        MissingExtraError: h5py is not installed.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise missing_extra(error, f"reading {printable(path.name)}", "keras") from None
    try:
        with h5py.File(_opened(path)) as file:
            root = file.get("model_weights", file)
            if any(name.startswith("layer_names") for name in root.attrs):
                return {_name(key): array for key, array in _arrays(root).items()}
            if "layers" in root:
                return _named(_arrays(root["layers"]), _layer_names(root["layers"], arch))
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise WeightsError(f"cannot read {printable(path.name)}: {printable(str(error))}", "Save it again.") from None
    raise WeightsError(f"{printable(path.name)} holds no layers of Keras", "Save it with model.save_weights.")


def _opened(path: Path) -> Path | io.BytesIO:
    """The HDF5 file, out of the archive that a `.keras` file is."""
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo(INSIDE_KERAS).file_size
        if size > MAX_BYTES:
            raise ValueError(f"its weights have {size:,} bytes; at most {MAX_BYTES:,} are allowed")
        with archive.open(INSIDE_KERAS) as member:
            return io.BytesIO(member.read(size))


def _arrays(group: Any) -> dict[str, NDArray[Any]]:
    """Every array below a group, by path. Links are not followed, nor is data outside the file read."""
    import h5py

    datasets: dict[str, Any] = {}
    group.visititems(lambda key, item: datasets.update({key: item}) if isinstance(item, h5py.Dataset) else None)
    if sum(dataset.nbytes for dataset in datasets.values()) > MAX_BYTES:
        raise ValueError(f"it unpacks to more than {MAX_BYTES:,} bytes")
    for key, dataset in datasets.items():
        if dataset.external or dataset.is_virtual or dataset.dtype.kind not in "fiu":
            raise ValueError(f"{key} is not plain numbers in this file")
    return {key: np.asarray(dataset) for key, dataset in datasets.items()}


def _name(key: str) -> str:
    """`conv1/conv1/kernel:0` and `conv_dw_1/conv_dw_1/depthwise_kernel:0` as `layer/variable`."""
    layer, _, variable = key.rpartition("/")
    return f"{layer.rpartition('/')[2]}/{variable.partition(':')[0].removeprefix('depthwise_')}"


def _named(arrays: Mapping[str, NDArray[Any]], layers: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """Arrays of `conv2d_3/vars/0` by the layer's name and the variable's."""
    named = {}
    for key, array in arrays.items():
        layer, _, index = key.replace("/vars/", "/").partition("/")
        variables = VARIABLES.get(_class(layer), ())
        variable = variables[int(index)] if index.isdigit() and int(index) < len(variables) else index
        named[f"{layers.get(layer, layer)}/{variable}"] = array
    return named


def _layer_names(layers: Any, arch: Arch) -> dict[str, str]:
    """The name of each numbered layer: the file's own, or by its place in the order in which layers run."""
    names = {}
    for layer, group in layers.items():
        own = group["vars"].attrs.get("name") if "vars" in group else None
        if own is not None:
            names[layer] = str(own)
    return names or _names_by_order(arch)


def _names_by_order(arch: Arch) -> dict[str, str]:
    classes = {  # by a variable that each has, and its axes
        ("kernel", (3, 2, 0, 1)): "conv2d",
        ("kernel", (2, 3, 0, 1)): "depthwise_conv2d",
        ("kernel", (1, 0)): "dense",
        ("gamma", ()): "batch_normalization",
    }
    ordered = defaultdict(list)
    for place in places(arch, find_layout("keras", arch)).values():
        layer, _, variable = place.name.rpartition("/")
        if (variable, place.axes) in classes:
            ordered[classes[variable, place.axes]].append(layer)
    return {
        f"{kind}_{number}" if number else kind: layer
        for kind, layers in ordered.items()
        for number, layer in enumerate(layers)
    }


def _class(layer: str) -> str:
    """`conv2d` of `conv2d_3`."""
    return re.sub(r"_\d+$", "", layer)
