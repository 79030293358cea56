"""Keras's files of weights: published `.h5`, Keras 3 `.weights.h5`, and `.keras`."""

from __future__ import annotations

import io
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungfish.architecture import Arch
from lungfish.core.errors import LungfishError, WeightsError
from lungfish.core.extras import missing_extra
from lungfish.core.names import printable
from lungfish.weights.convert import find_layout, places
from lungfish.weights.limits import MAX_TENSORS, check_size, unreadable

INSIDE_KERAS = "model.weights.h5"
MAX_DEPTH = 16  # of groups in groups
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
        WeightsError: it is no such file, too large, or holds more than plain numbers of its own.
        MissingExtraError: h5py is not installed.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise missing_extra(error, f"reading {printable(path.name)}", "keras") from None
    check_size(path)
    try:
        with h5py.File(_opened(path)) as file:
            root = _member(file, "model_weights") or file
            if any(name.startswith("layer_names") for name in root.attrs):
                return {_name(key): array for key, array in _arrays(path, root).items()}
            if layers := _member(root, "layers"):
                return _named(_arrays(path, layers), _layer_names(layers, arch))
    except LungfishError:
        raise
    except Exception as error:  # noqa: BLE001  a broken or hostile file can make the reader raise anything
        raise unreadable(path, error) from None
    raise WeightsError(f"{printable(path.name)} holds no layers of Keras", "Save it with model.save_weights.")


def _opened(path: Path) -> Path | io.BytesIO:
    """The HDF5 file, out of the archive that a `.keras` file is. Nothing is unpacked to the disk."""
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(INSIDE_KERAS)
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("compressed in a way that Keras never does")  # others unpack more than they are asked for
        check_size(path, member.file_size)
        with archive.open(member) as file:
            return io.BytesIO(file.read(member.file_size))


def _member(group: Any, name: str) -> Any:
    """What `group` itself holds by that name, or None.

    Raises:
        ValueError: it is a link to somewhere else.
    """
    import h5py

    link = group.get(name, getlink=True)
    if link is not None and not isinstance(link, h5py.HardLink):
        raise ValueError(f"{group.name.rstrip('/')}/{name} is a link to somewhere else")
    return None if link is None else group[name]


def _datasets(group: Any, seen: set[Any], depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every array below a group, by path; links, cycles and depths that Keras never writes are refused."""
    import h5py

    for name in group:
        item = _member(group, name)
        if item in seen or depth == MAX_DEPTH or len(seen) == MAX_TENSORS:
            raise ValueError(f"{item.name} is in a cycle, too deep, or one of too many")
        seen.add(item)
        if isinstance(item, h5py.Group):
            yield from ((f"{name}/{key}", dataset) for key, dataset in _datasets(item, seen, depth + 1))
        else:
            yield name, item


def _arrays(path: Path, group: Any) -> dict[str, NDArray[Any]]:
    """Every array below a group, by path. No data outside the file is read, and no more than the file holds."""
    datasets = dict(_datasets(group, {group}))
    for key, item in datasets.items():
        plain = getattr(item, "shape", None) is not None and item.dtype.kind in "fiu"
        if not plain or item.external or item.is_virtual:
            raise ValueError(f"{key} is not plain numbers in this file")
    check_size(path, sum(prod(dataset.shape) * dataset.dtype.itemsize for dataset in datasets.values()))
    for key, item in datasets.items():
        if item.id.get_create_plist().get_nfilters():  # may unpack to more than the shape says
            raise ValueError(f"{key} is compressed, which Keras never does")
    return {key: np.asarray(dataset, dataset.dtype.newbyteorder("=")) for key, dataset in datasets.items()}


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
