"""Describe networks as data: rows, families, scaling and lowering. Pure Python."""

from lungfish.architecture.arch import Arch
from lungfish.architecture.families import NAMED
from lungfish.architecture.flavour import Flavour
from lungfish.architecture.lowering import INPUT, Op, lower
from lungfish.architecture.parse import ArchLike, HasArch, list_models, parse_arch, to_arch
from lungfish.architecture.scaling import COMPOUND, CompoundScaling
from lungfish.architecture.table import BlockRow, NetworkTable

__all__ = [
    "COMPOUND",
    "INPUT",
    "NAMED",
    "Arch",
    "ArchLike",
    "BlockRow",
    "CompoundScaling",
    "Flavour",
    "HasArch",
    "NetworkTable",
    "Op",
    "list_models",
    "lower",
    "parse_arch",
    "to_arch",
]
