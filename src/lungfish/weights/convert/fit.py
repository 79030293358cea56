"""Check that tensors fill a network: none missing, none left over, each of the right shape, all values finite."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungfish.architecture import Arch, lower
from lungfish.core.errors import WeightsError
from lungfish.core.names import printable
from lungfish.weights.formats.stored_tensors import NoPlainTensor
from lungfish.weights.layouts.layout import COUNTER, array_shapes

SHOWN = 4  # tensors listed for each kind of problem
FLOATS = ("float16", "bfloat16", "float32", "float64")
Shape = tuple[int, ...]


def same_layers(arch: Arch, other: Arch) -> bool:
    """Return whether weights of `other` fit `arch`, except for the classifier.

    Only resolution, classes and dropout rates may differ.
    """
    if arch.total_stride != other.total_stride:
        return False
    at_size = replace(
        arch,
        native_px=other.native_px,
        resolution=other.resolution,
        classes=other.classes,
        dropout=other.dropout,
        drop_path_rate=other.drop_path_rate,
    )
    return lower(at_size) == lower(other)


def check_network(name: str, actual: Arch, requested: Arch) -> None:
    """Check that the weights called `name`, which belong to `actual`, fit `requested`, except for the classifier.

    Raises:
        WeightsError: They do not fit.
    """
    if not same_layers(requested, actual):
        raise WeightsError(
            f"{printable(name)} belongs to {printable(actual.name)}, not to {printable(requested.name)}",
            "Omit --arch; it may only change the resolution and the number of classes.",
        )


def check_fit(arch: str, found: Mapping[str, object], expected: Mapping[str, Shape], optional: Collection[str]) -> None:
    """Check that arrays have the names and shapes that a network expects, and finite values.

    Args:
        arch: Name of the network, for the message.
        found: Arrays by name.
        expected: Expected shapes by name.
        optional: Names that may be missing: batch counters, which may be integers.

    Raises:
        WeightsError: Tensors are missing, unexpected or misshapen, or contain something other than finite floats; lists
            them.
    """
    misshapen = [
        f"{name} is {_shape(found[name])}, expected {list(shape)}"
        for name, shape in expected.items()
        if name in found and _shape(found[name]) != list(shape)
    ]
    problems = {
        "missing": [name for name in expected if name not in found and name not in optional],
        "unexpected": [printable(str(name)) for name in found if name not in expected],
        "misshapen": misshapen,
    }
    if any(problems.values()):
        raise WeightsError(
            f"the weights do not fit {arch}: {'; '.join(_listed(*each) for each in problems.items() if each[1])}",
            "Is this a checkpoint of another network, library or number of classes?",
        )
    defects = [f"{name} {defect}" for name in found if (defect := _defect(found[name], name in optional))]
    if defects:
        raise WeightsError(
            _listed("the weights cannot be used:", defects),
            "The file is damaged or quantized, or its training diverged. Use another file.",
        )


def complete_arrays(arch: Arch, found: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return every array of a network, in order: floats as float32, and missing batch counters as 0.

    Args:
        arch: The network.
        found: Arrays by our names, of the right shapes; only counters may be missing.
    """
    return {
        name: np.asarray(found.get(name, 0), np.int64 if name.endswith(COUNTER) else np.float32)
        for name in array_shapes(arch)
    }


def match_arrays(arch: Arch, found: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Check that arrays by our names fit a network, and return every array of the network.

    Raises:
        WeightsError: Arrays are missing, unexpected, misshapen or not finite; lists them.
    """
    expected = array_shapes(arch)
    counters = [name for name in expected if name.endswith(COUNTER)]
    # early bundles wrote the counters as arrays of one element
    state = {
        name: array.reshape(()) if name in counters and getattr(array, "size", 0) == 1 else array
        for name, array in found.items()
    }
    check_fit(arch.name, state, expected, counters)
    return complete_arrays(arch, state)


def _shape(tensor: object) -> list[int] | str:
    shape = getattr(tensor, "shape", None)
    return f"a {type(tensor).__name__}" if shape is None else list(shape)


def _defect(tensor: object, is_count: bool) -> str:
    """Return what is wrong with the values of an array, or an empty string."""
    kind = str(getattr(tensor, "dtype", ""))
    if not (kind in FLOATS or (is_count and kind.lstrip("u").startswith("int"))):
        return f"is of type {kind or type(tensor).__name__}"
    if isinstance(tensor, NoPlainTensor):
        return "is not a plain tensor"
    return "" if np.isfinite(np.asarray(tensor)).all() else "contains NaN or infinity"


def _listed(kind: str, problems: list[str]) -> str:
    more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return f"{kind} {', '.join(problems[:SHOWN])}{more}"
