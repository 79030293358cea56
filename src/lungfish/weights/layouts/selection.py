"""Select the tensors of a checkpoint that belong to the network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lungfish.weights.layouts.sources import Source


@dataclass(frozen=True)
class Selection:
    """The tensor names of a checkpoint, classified.

    Args:
        names: Names of the selected tensors in the checkpoint, by the names under which a layout looks them up.
        averages: Number of selected tensors that are moving averages.
        ignored: Names of tensors that are not part of a network.
    """

    names: Mapping[str, str]
    averages: int
    ignored: tuple[str, ...]


def select(names: Iterable[str], source: Source) -> Selection:
    """Classify the names of a checkpoint of `source`. Moving averages take precedence over the weights themselves."""
    is_ignored = re.compile("|".join(f"(?:{pattern})" for pattern in source.ignored) or "(?!)").fullmatch
    ending = source.averages
    weights: dict[str, str] = {}
    averages, ignored = {}, []
    for name in names:
        if is_ignored(name):
            ignored.append(name)
        elif ending and name.endswith(ending):
            averages[name.removesuffix(ending)] = name
        else:
            weights[name] = name
    return Selection(weights | averages, len(averages), tuple(ignored))
