"""Whether tensors fill a network: none missing, none left over, each of the right shape and of finite numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from lungfish.architecture import Arch, lower
from lungfish.core.errors import WeightsError
from lungfish.core.names import printable
from lungfish.weights.formats.stored_tensors import NoPlainTensor

SHOWN = 4  # of each kind of problem
FLOATS = ("float16", "bfloat16", "float32", "float64")
Shape = tuple[int, ...]


def same_layers(arch: Arch, other: Arch) -> bool:
    """Whether weights of `other` fit `arch`, save the classifier.

    All but resolution, classes and rates of dropout must be the same.
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


def check_network(name: str, held: Arch, asked: Arch) -> None:
    """Raise `WeightsError` if the set called `name`, which is of `held`, does not fit `asked`, save its classifier."""
    if not same_layers(asked, held):
        raise WeightsError(
            f"{printable(name)} is of {printable(held.name)}, not of {printable(asked.name)}",
            "Leave --arch out; it may change the resolution and the number of classes only.",
        )


def check_fit(arch: str, found: Mapping[str, object], expected: Mapping[str, Shape], optional: Collection[str]) -> None:
    """Compare the names and shapes of `found` with those expected, and look at its numbers.

    Args:
        arch: name of the network, for the message.
        found: tensors or arrays by name.
        expected: the shape of each by name.
        optional: names that may be missing: counts of batches, which need not be floats.

    Raises:
        WeightsError: lists what is missing, unexpected and misshapen; or what holds no finite floats.
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
            "They are damaged, quantized, or of a training that diverged: take another file.",
        )


def _shape(tensor: object) -> list[int] | str:
    shape = getattr(tensor, "shape", None)
    return f"a {type(tensor).__name__}" if shape is None else list(shape)


def _defect(tensor: object, is_count: bool) -> str:
    """What is wrong with the numbers of a tensor or array; empty if nothing."""
    import torch

    kind = str(getattr(tensor, "dtype", "")).removeprefix("torch.")
    if not (kind in FLOATS or (is_count and kind.lstrip("u").startswith("int"))):
        return f"is of type {kind or type(tensor).__name__}"
    if isinstance(tensor, NoPlainTensor):
        return "is no plain tensor"
    numbers = torch.as_tensor(tensor)
    if numbers.layout != torch.strided or numbers.is_meta:
        return "is no plain tensor"
    return "" if torch.isfinite(numbers).all() else "holds NaN or infinity"


def _listed(kind: str, problems: list[str]) -> str:
    more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return f"{kind} {', '.join(problems[:SHOWN])}{more}"
