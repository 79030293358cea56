"""What a network is: rows, families, lowering. Pure Python."""

from lungfish.architecture.arch import Arch
from lungfish.architecture.families import NAMED
from lungfish.architecture.flavour import Flavour
from lungfish.architecture.lowering import INPUT, Op, head_width, lower, stage_depths
from lungfish.architecture.parse import parse_arch
from lungfish.architecture.table import Row, Table

__all__ = [
    "INPUT",
    "NAMED",
    "Arch",
    "Flavour",
    "Op",
    "Row",
    "Table",
    "head_width",
    "lower",
    "parse_arch",
    "stage_depths",
]
