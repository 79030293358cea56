"""How much memory the activations of one image take, and how many bytes travel."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from lungfish.architecture import INPUT, Op
from lungfish.costs.count import op_params

IN_PLACE = ("norm", "act", "dropout", "add", "mul")  # written over what they read, if nothing else reads it later


@dataclass(frozen=True)
class Peak:
    """The largest sum of live activations.

    Args:
        elements: numbers that are held at once.
        at: name of the operation that runs at that moment.
    """

    elements: int
    at: str


def peak_activations(ops: Sequence[Op], streamed: Collection[str] = ()) -> Peak:
    """What an executor holds that runs `ops` in their order and frees a tensor after its last reader.

    Inputs and output of an operation are held together. Norms and activations are folded into the convolution before
    them; sums and gates are written over their first input where nothing else reads it.

    Args:
        ops: inputs before outputs.
        streamed: operations that are computed piece by piece within their reader, and so take no room; what they
            read is held until their reader is done.
    """
    tensors = _Tensors(ops, frozenset(streamed))
    live, peak = {INPUT}, Peak(0, "")
    for index, op in enumerate(ops):
        if op.name in tensors.elements:  # else it takes no room of its own
            live.add(op.name)
            total = sum(tensors.elements[name] for name in live)
            peak = max(peak, Peak(total, op.name), key=lambda each: each.elements)
        live = {name for name in live if tensors.last_read.get(name, -1) > index}
    return peak


def expansions(ops: Sequence[Op]) -> frozenset[str]:
    """What MobileNetV2 streams, so that only bottlenecks are held: the hidden channels of its inverted residuals.

    Squeeze-and-excite has to see a whole filtered map before the first pixel of it can be compressed: there only what
    comes before the filter is streamed.

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
    """Numbers that each operation reads and writes: inputs, weights and output once each; nothing where folded."""
    sizes = {INPUT: prod(ops[0].in_shape)} | {op.name: prod(op.out_shape) for op in ops}
    moved = {}
    for op in ops:
        if op.kind == "norm":
            moved[op.name] = op.out_shape[0]  # folded: a bias is left
        elif op.kind in ("act", "dropout"):
            moved[op.name] = 0
        else:
            moved[op.name] = sum(sizes[name] for name in op.inputs) + op_params(op) + sizes[op.name]
    return moved


@dataclass
class _Tensors:
    """Which tensors hold each operation's result, how large they are, and which operation reads each last."""

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
