"""Describe networks as data: rows, families, scaling and lowering. Pure Python."""

from lungfish.architecture.arch import Arch
from lungfish.architecture.families import NAMED
from lungfish.architecture.flavour import Flavour
from lungfish.architecture.lowering import INPUT, Op, lower
from lungfish.architecture.parse import parse_arch
from lungfish.architecture.scaling import COMPOUND, CompoundScaling
from lungfish.architecture.table import BlockRow, NetworkTable

__all__ = [
    "COMPOUND",
    "INPUT",
    "NAMED",
    "Arch",
    "BlockRow",
    "CompoundScaling",
    "Flavour",
    "NetworkTable",
    "Op",
    "lower",
    "parse_arch",
]
