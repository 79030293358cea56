"""Count the memory that the activations of one image need, and the elements that operations read and write."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from lungfish.architecture import INPUT, Op
from lungfish.costs.count import op_params

IN_PLACE = ("norm", "act", "dropout", "add", "mul")  # overwrite their input, unless a later operation reads it


@dataclass(frozen=True)
class Peak:
    """The peak of live activations.

    Args:
        elements: Number of elements that are live at once.
        at: Name of the operation at the peak.
    """

    elements: int
    at: str


def peak_activations(ops: Sequence[Op], streamed: Collection[str] = ()) -> Peak:
    """Return the peak of an executor that runs `ops` in order and frees each tensor after its last reader.

    Inputs and output of an operation are live at the same time. Norms and activations are folded into the preceding
    convolution; sums and gates overwrite their first input unless it is read later.

    Args:
        ops: Operations, inputs before outputs.
        streamed: Names of operations computed piece by piece as their reader needs them. They need no memory, but their
            inputs are live until the reader has finished.
    """
    tensors = _Tensors(ops, frozenset(streamed))
    live, peak = {INPUT}, Peak(0, "")
    for index, op in enumerate(ops):
        if op.name in tensors.elements:  # it needs memory of its own
            live.add(op.name)
            total = sum(tensors.elements[name] for name in live)
            peak = max(peak, Peak(total, op.name), key=lambda each: each.elements)
        live = {name for name in live if tensors.last_read.get(name, -1) > index}
    return peak


def expansions(ops: Sequence[Op]) -> frozenset[str]:
    """Return the names of operations that MobileNetV2 streams: those on the hidden channels of inverted residuals.

    Squeeze-and-excite needs the complete filtered map before compression can start. In blocks that have it, only the
    operations before the filter are therefore streamed.

    Source: arXiv:1801.04381, section 5.1.
    """
    squeezed = {op.inputs[0] for op in ops if op.kind == "pool"}
    blocks = {op.name.removesuffix(".project.conv") for op in ops if op.name.endswith(".project.conv")}
    hidden = set()
    for block in blocks:
        hidden.add(f"{block}.expand")
        if f"{block}.depthwise.act" not in squeezed:
            hidden.add(f"{block}.depthwise")
    return frozenset(op.name for op in ops if op.name.rpartition(".")[0] in hidden)


def moved_elements(ops: Sequence[Op]) -> Mapping[str, int]:
    """Return the number of elements that each operation reads and writes.

    Inputs, weights and output count once each. Folded operations count 0, except that a norm counts as a bias.
    """
    sizes = {INPUT: prod(ops[0].in_shape)} | {op.name: prod(op.out_shape) for op in ops}
    moved = {}
    for op in ops:
        if op.kind == "norm":
            moved[op.name] = op.out_shape[0]  # folded into the kernel; leaves a bias
        elif op.kind in ("act", "dropout"):
            moved[op.name] = 0
        else:
            moved[op.name] = sum(sizes[name] for name in op.inputs) + op_params(op) + sizes[op.name]
    return moved


@dataclass
class _Tensors:
    """The tensors that store the result of each operation (`of`), their sizes, and the index of their last reader."""

    ops: Sequence[Op]
    streamed: frozenset[str]
    of: dict[str, frozenset[str]] = field(init=False)
    elements: dict[str, int] = field(init=False)
    last_read: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        readers = {name: index for index, op in enumerate(self.ops) for name in op.inputs}
        self.of, self.last_read = {INPUT: frozenset({INPUT})}, {}
        self.elements = {INPUT: prod(self.ops[0].in_shape)}
        for index, op in enumerate(self.ops):
            read = self.of[op.inputs[0]].union(*(self.of[name] for name in op.inputs[1:]))
            self.last_read.update(dict.fromkeys(read, index))
            if op.name in self.streamed:
                self.of[op.name] = read
            elif op.kind in IN_PLACE and readers[op.inputs[0]] == index:
                self.of[op.name] = self.of[op.inputs[0]]
            else:
                self.of[op.name] = frozenset({op.name})
                self.elements[op.name] = prod(op.out_shape)
