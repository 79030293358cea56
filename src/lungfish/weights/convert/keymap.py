"""Renaming by table, strictly: a name that no row claims is an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from lungfish.core.errors import WeightsError

Tensor = TypeVar("Tensor")


def rename(state: Mapping[str, Tensor], key_map: Mapping[str, str]) -> dict[str, Tensor]:
    """Rename the modules of a state dict; the last part (`weight`, `running_mean` ...) stays.

    Args:
        state: tensors by their names in another library.
        key_map: module name there to module name here; `{i}` stands for a block's number in both.

    Raises:
        WeightsError: names that the map does not claim, listed.
    """
    renamed: dict[str, Tensor] = {}
    unclaimed = []
    for name, tensor in state.items():
        module, _, kind = name.rpartition(".")
        number = re.search(r"(?<=\.)\d+(?=\.|$)", module)
        pattern = re.sub(r"(?<=\.)\d+(?=\.|$)", "{i}", module, count=1)
        if pattern in key_map:
            renamed[f"{key_map[pattern].replace('{i}', number[0] if number else '')}.{kind}"] = tensor
        else:
            unclaimed.append(name)
    if unclaimed:
        raise WeightsError(
            f"{len(unclaimed)} tensors are of no known layer: {', '.join(unclaimed[:5])}",
            "Is this file of another network or another library?",
        )
    return renamed
