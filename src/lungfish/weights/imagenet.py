"""List the classes of ImageNet-1k in the order of every classifier's outputs.

Source: The synsets of ILSVRC 2012, each named by its first lemma in WordNet 3.0. Where two synsets share that lemma,
the names are crane (bird), crane (machine), maillot (tights), maillot (tank suit), cardigan and Cardigan Welsh corgi.
"""

from __future__ import annotations

from functools import cache
from importlib import resources


def imagenet_names() -> tuple[str, ...]:
    """Return the 1,000 distinct class names, such as `tench` or `sports car`."""
    return tuple(name for _, name in _classes())


def imagenet_wnids() -> tuple[str, ...]:
    """Return the WordNet identifiers of the same classes, such as `n01440764`."""
    return tuple(wnid for wnid, _ in _classes())


@cache
def _classes() -> tuple[tuple[str, str], ...]:
    text = resources.files("lungfish.weights").joinpath("imagenet_1k.tsv").read_text("utf-8")
    return tuple((wnid, name) for wnid, _, name in (line.partition("\t") for line in text.splitlines()))
