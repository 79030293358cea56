"""What a network is: rows, families, scaling, lowering. Pure Python."""

from lungfish.architecture.arch import Arch
from lungfish.architecture.families import NAMED
from lungfish.architecture.flavour import Flavour
from lungfish.architecture.lowering import INPUT, Op, lower
from lungfish.architecture.parse import parse_arch
from lungfish.architecture.scaling import COMPOUND, CompoundScaling
from lungfish.architecture.table import Row, Table

__all__ = [
    "COMPOUND",
    "INPUT",
    "NAMED",
    "Arch",
    "CompoundScaling",
    "Flavour",
    "Op",
    "Row",
    "Table",
    "lower",
    "parse_arch",
]
