"""The blocks that a table's rows repeat."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from lungfish.architecture import Flavour, Op
from lungfish.nn.layers import ConvNormAct, DropPath

BlockOps = Mapping[str, Mapping[str, Op]]  # part of the block, then layer: ops["depthwise"]["conv"]


class InvertedResidual(nn.Module):
    """Expand, filter, compress; a shortcut between the narrow ends where stride is 1 and widths agree.

    Source: arXiv:1801.04381, section 3.3.
    """

    def __init__(self, ops: BlockOps, flavour: Flavour) -> None:
        super().__init__()
        self.expand = ConvNormAct(ops["expand"], flavour) if "expand" in ops else nn.Identity()
        self.depthwise = ConvNormAct(ops["depthwise"], flavour)
        self.project = ConvNormAct(ops["project"], flavour)
        self.drop_path = DropPath(ops["shortcut"][""].rate) if "shortcut" in ops else None

    def forward(self, x_nchw: Tensor) -> Tensor:
        y_nchw: Tensor = self.project(self.depthwise(self.expand(x_nchw)))
        return y_nchw if self.drop_path is None else x_nchw + self.drop_path(y_nchw)
