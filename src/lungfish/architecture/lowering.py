"""Lower an `Arch` to a flat list of operations with shapes, in execution order.

`costs`, `nn` and the exporters all work from this list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from lungfish.architecture.arch import Arch
from lungfish.architecture.table import NetworkTable

Kind = Literal["conv", "norm", "act", "add", "mul", "pool", "dropout", "linear"]
Shape = tuple[int, ...]  # (channels, height, width), or (features,) after the last pooling

INPUT = "image"


@dataclass(frozen=True, slots=True)
class Op:
    """One operation.

    Args:
        name: Dotted path; if the operation has parameters, also the path of its torch module.
        kind: Kind of operation.
        inputs: Names of the operations whose outputs it reads; `INPUT` is the image.
        in_shape: Shape of the first input, without the batch.
        out_shape: Shape of the output, without the batch.
        kernel: Side of the convolution kernel.
        stride: Stride of the convolution.
        groups: Groups of the convolution; equal to its channels if depthwise.
        bias: Whether the convolution has a bias; one that is followed by a norm has none.
        function: Name of the activation.
        rate: Rate of the dropout, or of stochastic depth on the branch of an `add`.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    in_shape: Shape
    out_shape: Shape
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    bias: bool = False
    function: str = ""
    rate: float = 0.0


@lru_cache(maxsize=256)  # planning a job lowers the same few networks thousands of times
def lower(arch: Arch) -> tuple[Op, ...]:
    """Return the operations of `arch` at its own resolution, inputs before outputs."""
    table, tape = arch.table, _Tape((arch.in_channels, arch.resolution_px, arch.resolution_px))
    tape.conv_norm_act("stem", arch.stem_width, kernel=3, stride=2, act=table.act)
    for block in _blocks(arch):
        match table.block:
            case "inverted_residual":
                _inverted_residual(tape, table, block)
            case "depthwise_separable":
                _depthwise_separable(tape, table, block)
            case "full_convolution":
                _full_convolution(tape, table, block)
    if table.head:
        tape.conv_norm_act("head", arch.head_width, act=table.act)
    tape.pool("pool")
    tape.dropout("dropout", arch.dropout)
    tape.linear("classifier", arch.classes)
    return tuple(tape.ops)


@dataclass(frozen=True, slots=True)
class _Block:
    """One block of the scaled network."""

    name: str
    expand: int
    kernel: int
    stride: int
    width: int
    drop_rate: float


def _blocks(arch: Arch) -> Iterator[_Block]:
    depths, index = arch.stage_depths, 0
    for row, width, depth in zip(arch.table.rows, arch.stage_widths, depths, strict=True):
        for repeat in range(depth):
            stride = row.stride if repeat == 0 else 1
            yield _Block(
                f"blocks.{index}", row.expand, row.kernel, stride, width, arch.drop_path_rate * index / sum(depths)
            )
            index += 1


def _inverted_residual(tape: _Tape, table: NetworkTable, block: _Block) -> None:
    """Expand, filter and compress; no activation follows the compression.

    Source: arXiv:1801.04381, section 3.3; squeeze-and-excite as in arXiv:1905.11946.
    """
    entry, narrow = tape.at, tape.shape[0]
    hidden = narrow * block.expand
    if block.expand != 1:
        tape.conv_norm_act(f"{block.name}.expand", hidden, act=table.act)
    _depthwise(tape, table, block)
    if table.squeeze:
        middle = max(1, int(narrow * table.squeeze))  # a share of the block's input, not of the hidden channels
        _squeeze_excite(tape, f"{block.name}.squeeze_excite", middle, table.act)
    tape.conv_norm_act(f"{block.name}.project", block.width)
    if block.stride == 1 and block.width == narrow:
        tape.add(f"{block.name}.shortcut", entry, block.drop_rate)


def _depthwise_separable(tape: _Tape, table: NetworkTable, block: _Block) -> None:
    """Filter each channel, then mix the channels. Source: arXiv:1704.04861, section 3.1."""
    _depthwise(tape, table, block)
    tape.conv_norm_act(f"{block.name}.pointwise", block.width, act=table.act)


def _full_convolution(tape: _Tape, table: NetworkTable, block: _Block) -> None:
    """Filter and mix in one full convolution, which depthwise separable blocks replace."""
    tape.conv_norm_act(f"{block.name}.full", block.width, kernel=block.kernel, stride=block.stride, act=table.act)


def _depthwise(tape: _Tape, table: NetworkTable, block: _Block) -> None:
    channels = tape.shape[0]
    tape.conv_norm_act(
        f"{block.name}.depthwise", channels, kernel=block.kernel, stride=block.stride, groups=channels, act=table.act
    )


def _squeeze_excite(tape: _Tape, name: str, middle: int, act: str) -> None:
    """Scale each channel by a gate computed from the means of all channels. Source: arXiv:1709.01507."""
    entry, shape = tape.at, tape.shape
    tape.pool(f"{name}.pool", keep_sides=True)
    tape.conv(f"{name}.reduce", middle, bias=True)
    tape.act(f"{name}.act", act)
    tape.conv(f"{name}.expand", shape[0], bias=True)
    tape.act(f"{name}.gate", "sigmoid")
    tape.mul(f"{name}.scale", entry, shape)


@dataclass
class _Tape:
    """Record operations in order, each reading the output of the previous one."""

    shape: Shape
    at: str = INPUT
    ops: list[Op] = field(default_factory=list)

    def conv_norm_act(
        self, name: str, out: int, *, kernel: int = 1, stride: int = 1, groups: int = 1, act: str = ""
    ) -> None:
        self.conv(f"{name}.conv", out, kernel=kernel, stride=stride, groups=groups)
        self._write(Op(f"{name}.norm", "norm", (self.at,), self.shape, self.shape))
        if act:
            self.act(f"{name}.act", act)

    def conv(
        self, name: str, out: int, *, kernel: int = 1, stride: int = 1, groups: int = 1, bias: bool = False
    ) -> None:
        _, height, width = self.shape
        after = (out, -(-height // stride), -(-width // stride))  # both paddings give ceil(size / stride)
        self._write(Op(name, "conv", (self.at,), self.shape, after, kernel, stride, groups, bias))

    def act(self, name: str, function: str) -> None:
        self._write(Op(name, "act", (self.at,), self.shape, self.shape, function=function))

    def add(self, name: str, other: str, rate: float) -> None:
        self._write(Op(name, "add", (self.at, other), self.shape, self.shape, rate=rate))

    def mul(self, name: str, other: str, shape: Shape) -> None:
        """Multiply `other`, of `shape`, by the current output, which has one number for each channel."""
        self._write(Op(name, "mul", (other, self.at), shape, shape))

    def pool(self, name: str, *, keep_sides: bool = False) -> None:
        """Average each channel, to shape `(channels, 1, 1)` or `(channels,)`."""
        channels = self.shape[0]
        self._write(Op(name, "pool", (self.at,), self.shape, (channels, 1, 1) if keep_sides else (channels,)))

    def dropout(self, name: str, rate: float) -> None:
        self._write(Op(name, "dropout", (self.at,), self.shape, self.shape, rate=rate))

    def linear(self, name: str, out: int) -> None:
        self._write(Op(name, "linear", (self.at,), self.shape, (out,)))

    def _write(self, op: Op) -> None:
        self.ops.append(op)
        self.shape, self.at = op.out_shape, op.name
