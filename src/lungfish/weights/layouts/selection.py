"""Which tensors of a checkpoint make the network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lungfish.weights.layouts.sources import Source


@dataclass(frozen=True)
class Selection:
    """Names of a checkpoint, sorted out.

    Args:
        names: each name that the layouts may know, and the name in the checkpoint of the tensor that is taken for it.
        averages: for how many of these that is a moving average.
        ignored: names of tensors that are no part of a network.
    """

    names: Mapping[str, str]
    averages: int
    ignored: tuple[str, ...]


def select(names: Iterable[str], source: Source) -> Selection:
    """Sort out the names of a checkpoint of `source`: moving averages go before the weights that they are made of."""
    is_ignored = re.compile("|".join(f"(?:{pattern})" for pattern in source.ignored) or "(?!)").fullmatch
    ending = source.averages
    taken: dict[str, str] = {}
    averages, ignored = {}, []
    for name in names:
        if is_ignored(name):
            ignored.append(name)
        elif ending and name.endswith(ending):
            averages[name.removesuffix(ending)] = name
        else:
            taken[name] = name
    return Selection(taken | averages, len(averages), tuple(ignored))
