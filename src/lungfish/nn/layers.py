"""The layers that blocks are built from."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lungfish.architecture import Flavour, Op

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "relu6": nn.ReLU6, "silu": nn.SiLU}
BN_MOMENTUM = 0.01  # in torch, the weight of the new value; TensorFlow's 0.99 is that of the old one


class Conv2d(nn.Conv2d):
    """A convolution of float `[n, channels, height, width]`, padded according to the flavour."""

    def __init__(self, op: Op, flavour: Flavour) -> None:
        super().__init__(op.in_shape[0], op.out_shape[0], op.kernel, op.stride, groups=op.groups, bias=op.bias)
        self.flavour = flavour
        if op.stride == 1 or flavour.padding == "symmetric":
            self.padding = (op.kernel // 2, op.kernel // 2)
            self.pads_by_size = False
        else:
            self.pads_by_size = True

    def forward(self, x_nchw: Tensor) -> Tensor:
        return self.convolve(x_nchw, self.weight, self.bias)

    def convolve(self, x_nchw: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve with the given kernel and bias instead of the layer's own."""
        if self.pads_by_size:
            height, width = x_nchw.shape[-2:]
            kernel, stride = self.kernel_size[0], self.stride[0]
            top, bottom = self.flavour.pads(height, kernel, stride)
            left, right = self.flavour.pads(width, kernel, stride)
            x_nchw = F.pad(x_nchw, (left, right, top, bottom))
        y_nchw: Tensor = self._conv_forward(x_nchw, weight, bias)
        return y_nchw


class ConvNormAct(nn.Module):
    """Convolution, batch normalization and, unless the layer is linear, an activation.

    If gradients are computed with frozen statistics (fine-tuning), the norm is folded into the kernel. The result is
    the same up to rounding, without extra passes over the feature map: docs/decisions/0015.
    """

    def __init__(self, ops: Mapping[str, Op], flavour: Flavour) -> None:
        super().__init__()
        self.conv = Conv2d(ops["conv"], flavour)
        self.norm = nn.BatchNorm2d(ops["norm"].out_shape[0], eps=flavour.bn_eps, momentum=BN_MOMENTUM)
        self.act = ACTIVATIONS[ops["act"].function](inplace=True) if "act" in ops else nn.Identity()

    def forward(self, x_nchw: Tensor) -> Tensor:
        folds = torch.is_grad_enabled() and not self.norm.training and not torch.compiler.is_compiling()
        y_nchw: Tensor = self.act(self._folded(x_nchw) if folds else self.norm(self.conv(x_nchw)))
        return y_nchw

    def _folded(self, x_nchw: Tensor) -> Tensor:
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        return self.conv.convolve(
            x_nchw, self.conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale
        )


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate between 0 and 1 that is computed from the means of all channels.

    Source: arXiv:1709.01507.
    """

    def __init__(self, ops: Mapping[str, Op], flavour: Flavour) -> None:
        super().__init__()
        self.reduce = Conv2d(ops["reduce"], flavour)
        self.act = ACTIVATIONS[ops["act"].function](inplace=True)
        self.expand = Conv2d(ops["expand"], flavour)
        self.gate = nn.Sigmoid()

    def forward(self, x_nchw: Tensor) -> Tensor:
        means = F.adaptive_avg_pool2d(x_nchw, 1)
        gates: Tensor = self.gate(self.expand(self.act(self.reduce(means))))
        return x_nchw * gates


class Dropout(nn.Module):
    """In training, drop each feature with probability `rate`, and scale up the rest. Source: arXiv:1207.0580.

    Attributes:
        share: Index of this process's first row in the batch, and size of the batch, if several processes share it.
            Each process then draws random numbers for the whole batch, so that together the processes drop what a
            single process would.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.share: tuple[int, int] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        if self.share is None:
            return F.dropout(x, self.rate)
        first, total = self.share
        kept = F.dropout(torch.ones((total, *x.shape[1:]), dtype=x.dtype, device=x.device), self.rate)
        return x * kept[first : first + len(x)]


class DropPath(nn.Module):
    """Stochastic depth: in training, drop the branch for each image with probability `rate`, and scale up the rest.

    Source: arXiv:1603.09382. For `share`, see `Dropout`.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.share: tuple[int, int] | None = None

    def forward(self, x_nchw: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x_nchw
        first, total = self.share or (0, len(x_nchw))
        keep = 1 - self.rate
        mask = torch.empty((total, 1, 1, 1), dtype=x_nchw.dtype, device=x_nchw.device).bernoulli_(keep)
        return x_nchw * mask.div_(keep)[first : first + len(x_nchw)]  # scaling the mask saves a pass over the map
