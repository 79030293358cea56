"""The one lowering: an `Arch` to a flat list of operations with shapes, in the order in which they run.

Cost counts from this list, `nn` builds from it and the ONNX writer emits from it. There is no second account.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lungfish.architecture.arch import Arch
from lungfish.architecture.rounding import round_depth, round_width
from lungfish.architecture.table import Row

Kind = Literal["conv", "norm", "act", "add", "pool", "dropout", "linear"]
Shape = tuple[int, ...]  # (channels, height, width), or (features,) after pooling

INPUT = "image"


@dataclass(frozen=True, slots=True)
class Op:
    """One operation.

    Args:
        name: dotted path, also the name of the torch module; the part before the last dot is its block.
        kind: what it does.
        inputs: names of the operations it reads; `INPUT` is the image.
        in_shape: shape of its first input, without the batch.
        out_shape: shape of its output, without the batch.
        kernel: side of a convolution's kernel.
        stride: a convolution's stride.
        groups: a convolution's groups; equal to its channels if depthwise.
        function: name of an activation.
        rate: of a dropout, or of stochastic depth on the branch that an `add` adds.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    in_shape: Shape
    out_shape: Shape
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    function: str = ""
    rate: float = 0.0


def lower(arch: Arch) -> tuple[Op, ...]:
    """Every operation of `arch` at its own resolution, inputs before outputs."""
    table, tape = arch.table, _Tape((arch.in_channels, arch.resolution_px, arch.resolution_px))
    stem = round_width(table.stem * arch.width) if table.stem_scales else table.stem
    tape.conv_norm_act("stem", stem, kernel=3, stride=2, act=table.act)

    depths = stage_depths(arch)
    count, index = sum(depths), 0
    for row, depth in zip(table.rows, depths, strict=True):
        for repeat in range(depth):
            stride = row.stride if repeat == 0 else 1
            rate = arch.drop_connect * index / count
            _inverted_residual(tape, f"blocks.{index}", arch, row, stride=stride, rate=rate)
            index += 1

    tape.conv_norm_act("head", head_width(arch), act=table.act)
    tape.pool("pool")
    tape.dropout("dropout", arch.dropout)
    tape.linear("classifier", arch.classes)
    return tuple(tape.ops)


def stage_depths(arch: Arch) -> tuple[int, ...]:
    """Number of blocks of each row, after scaling."""
    rows = arch.table.rows
    ends = {0, len(rows) - 1} if arch.table.fixed_ends else set()
    return tuple(row.depth if i in ends else round_depth(row.depth * arch.depth) for i, row in enumerate(rows))


def head_width(arch: Arch) -> int:
    """Channels of the last convolution, after scaling: the length of the feature vector."""
    match arch.table.head_scales:
        case "always":
            return round_width(arch.table.head * arch.width)
        case "up_only":
            return round_width(arch.table.head * max(1.0, arch.width))
        case "never":
            return arch.table.head


def _inverted_residual(tape: _Tape, name: str, arch: Arch, row: Row, *, stride: int, rate: float) -> None:
    """Expand, filter, compress (arXiv:1801.04381, section 3.3); the narrow ends are linear."""
    entry, narrow = tape.at, tape.shape[0]
    hidden, out, act = narrow * row.expand, round_width(row.width * arch.width), arch.table.act
    if row.expand != 1:
        tape.conv_norm_act(f"{name}.expand", hidden, act=act)
    tape.conv_norm_act(f"{name}.depthwise", hidden, kernel=row.kernel, stride=stride, groups=hidden, act=act)
    tape.conv_norm_act(f"{name}.project", out)
    if stride == 1 and out == narrow:
        tape.add(f"{name}.shortcut", entry, rate)


@dataclass
class _Tape:
    """Writes operations one after another; knows where the last one ended."""

    shape: Shape
    at: str = INPUT
    ops: list[Op] = field(default_factory=list)

    def conv_norm_act(
        self, name: str, out: int, *, kernel: int = 1, stride: int = 1, groups: int = 1, act: str = ""
    ) -> None:
        _, height, width = self.shape
        after = (out, -(-height // stride), -(-width // stride))  # both paddings give ceil(size / stride)
        self._write(Op(f"{name}.conv", "conv", (self.at,), self.shape, after, kernel, stride, groups))
        self._write(Op(f"{name}.norm", "norm", (self.at,), after, after))
        if act:
            self._write(Op(f"{name}.act", "act", (self.at,), after, after, function=act))

    def add(self, name: str, other: str, rate: float) -> None:
        self._write(Op(name, "add", (self.at, other), self.shape, self.shape, rate=rate))

    def pool(self, name: str) -> None:
        self._write(Op(name, "pool", (self.at,), self.shape, self.shape[:1]))

    def dropout(self, name: str, rate: float) -> None:
        self._write(Op(name, "dropout", (self.at,), self.shape, self.shape, rate=rate))

    def linear(self, name: str, out: int) -> None:
        self._write(Op(name, "linear", (self.at,), self.shape, (out,)))

    def _write(self, op: Op) -> None:
        self.ops.append(op)
        self.shape, self.at = op.out_shape, op.name
