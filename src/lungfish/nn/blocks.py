"""The blocks that networks are built from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from lungfish.architecture import Flavour
from lungfish.architecture.table import Block
from lungfish.nn.layers import ConvNormAct, DropPath, SqueezeExcite

OpTree = Mapping[str, Any]  # operations nested by the parts of their names: ops["depthwise"]["conv"]


class InvertedResidual(nn.Module):
    """Expand, filter and compress, with a shortcut between the narrow ends if the stride is 1 and the widths are equal.

    Source: arXiv:1801.04381, section 3.3; with squeeze-and-excite it is the MBConv of arXiv:1905.11946.
    """

    def __init__(self, ops: OpTree, flavour: Flavour) -> None:
        super().__init__()
        self.expand = ConvNormAct(ops["expand"], flavour) if "expand" in ops else nn.Identity()
        self.depthwise = ConvNormAct(ops["depthwise"], flavour)
        squeezes = "squeeze_excite" in ops
        self.squeeze_excite = SqueezeExcite(ops["squeeze_excite"], flavour) if squeezes else nn.Identity()
        self.project = ConvNormAct(ops["project"], flavour)
        self.drop_path = DropPath(ops["shortcut"].rate) if "shortcut" in ops else None

    def forward(self, x_nchw: Tensor) -> Tensor:
        y_nchw: Tensor = self.project(self.squeeze_excite(self.depthwise(self.expand(x_nchw))))
        return y_nchw if self.drop_path is None else x_nchw + self.drop_path(y_nchw)


class DepthwiseSeparable(nn.Module):
    """Filter each channel, then mix the channels. Source: arXiv:1704.04861, section 3.1."""

    def __init__(self, ops: OpTree, flavour: Flavour) -> None:
        super().__init__()
        self.depthwise = ConvNormAct(ops["depthwise"], flavour)
        self.pointwise = ConvNormAct(ops["pointwise"], flavour)

    def forward(self, x_nchw: Tensor) -> Tensor:
        y_nchw: Tensor = self.pointwise(self.depthwise(x_nchw))
        return y_nchw


class FullConvolution(nn.Module):
    """Filter and mix in one full convolution, which depthwise separable blocks replace."""

    def __init__(self, ops: OpTree, flavour: Flavour) -> None:
        super().__init__()
        self.full = ConvNormAct(ops["full"], flavour)

    def forward(self, x_nchw: Tensor) -> Tensor:
        y_nchw: Tensor = self.full(x_nchw)
        return y_nchw


BLOCKS: dict[Block, type[InvertedResidual | DepthwiseSeparable | FullConvolution]] = {
    "inverted_residual": InvertedResidual,
    "depthwise_separable": DepthwiseSeparable,
    "full_convolution": FullConvolution,
}
