"""Describe how another library names and lays out the tensors of a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

from lungfish.architecture import NAMED, Arch, Op, lower
from lungfish.architecture.table import Block, NetworkTable
from lungfish.core.errors import UsageError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Variable:
    """One tensor of a module in another library.

    Args:
        name: Suffix after the module's name, including the separator: `.weight`, `/kernel`.
        axes: Indices of its axes in our order; empty if the order is the same.
    """

    name: str
    axes: tuple[int, ...] = ()


Variables = Mapping[str, Mapping[str, Variable]]  # by kind of module and our tensor: ["norm"]["running_mean"]

_KERNEL_AND_BIAS = {name: Variable(f".{name}") for name in ("weight", "bias")}
COUNTER = "num_batches_tracked"
_NORM = ("weight", "bias", "running_mean", "running_var", COUNTER)
TORCH: Variables = {
    "conv": _KERNEL_AND_BIAS,
    "depthwise": _KERNEL_AND_BIAS,
    "linear": _KERNEL_AND_BIAS,
    "norm": {name: Variable(f".{name}") for name in _NORM},
}


@dataclass(frozen=True)
class Layout:
    """The module names of one kind of network in another library, keyed by our names.

    Placeholders in its names: `{block}` counts blocks, `{stage}` rows of the table and `{repeat}` the blocks of a row,
    all from 0; `{block+1}` and `{stage+1}` from 1; `{letter}` is the repeat as a, b, c ...; `{blocks+1}` and
    `{stages+1}` are the numbers of blocks and rows, plus 1. `{variant}` is the network's name with hyphens:
    `efficientnet-b0`.

    Args:
        block: Kind of block.
        outside: Modules before and after the blocks.
        expanding: Modules of a block that expands.
        plain: Modules of a block that does not expand.
        squeezes: Whether the blocks contain squeeze-and-excite; None if they may or may not.
        largest_kernel: Side of the largest supported kernel.
        variables: Names and axes of each module's tensors.
    """

    block: Block
    outside: Mapping[str, str]
    plain: Mapping[str, str]
    expanding: Mapping[str, str] = field(default_factory=dict)
    squeezes: bool | None = None
    largest_kernel: int = 11
    variables: Variables = field(default_factory=lambda: TORCH)

    def holds(self, table: NetworkTable) -> bool:
        """Return whether networks of this table can use this layout."""
        return (
            table.block == self.block
            and self.squeezes in (None, table.squeeze > 0)
            and all(row.kernel <= self.largest_kernel for row in table.rows)
        )


@dataclass(frozen=True)
class TensorSlot:
    """The place of one of our tensors in another library.

    Args:
        name: Name in the other library.
        shape: Shape in the other library.
        axes: Indices of the other library's axes in our order; empty if the order is the same.
        our_shape: Shape in our network.
        optional: Whether a checkpoint may omit it: the batch counter of batch norm.
    """

    name: str
    shape: Shape
    axes: tuple[int, ...]
    our_shape: Shape
    optional: bool = False


def tensor_slots(arch: Arch, layout: Layout) -> dict[str, TensorSlot]:
    """Return the place of every tensor of `arch` in `layout`, by our names.

    Raises:
        UsageError: The layout has no place for a module.
    """
    modules = _module_names(arch, layout)
    found = {}
    for op in lower(arch):
        kind = "depthwise" if op.kind == "conv" and op.groups > 1 else op.kind
        for tensor, shape in op_tensors(op):
            if op.name not in modules:
                raise UsageError(f"{arch.name} has a module {op.name}, which the other library lacks")
            variable = layout.variables[kind].get(tensor)
            if variable is not None:
                name, before = modules[op.name] + variable.name, _stored_shape(shape, variable.axes)
                found[f"{op.name}.{tensor}"] = TensorSlot(name, before, variable.axes, shape, tensor == COUNTER)
    return found


def variant(arch: Arch) -> str:
    """Return the name in `NAMED` with the table, width and depth of `arch`; its own name if there is none."""
    scaled = (arch.table, arch.width, arch.depth)
    return next((name for name, it in NAMED.items() if (it.table, it.width, it.depth) == scaled), arch.name)


def _stored_shape(shape: Shape, axes: tuple[int, ...]) -> Shape:
    """Return the stored shape that `axes` reorders to `shape`, apart from trailing axes of size 1."""
    full = shape + (1,) * (len(axes) - len(shape))
    return tuple(full[axes.index(axis)] for axis in range(len(axes))) if axes else shape


def array_shapes(arch: Arch) -> dict[str, Shape]:
    """Return the shape of every array of a network by our name, in the order of the lowering, which is torch's."""
    return {f"{op.name}.{tensor}": shape for op in lower(arch) for tensor, shape in op_tensors(op)}


def op_tensors(op: Op) -> Iterator[tuple[str, Shape]]:
    """Yield the names and shapes of the tensors of one operation, as in torch."""
    out = op.out_shape[0]
    match op.kind:
        case "conv":
            yield "weight", (out, op.in_shape[0] // op.groups, op.kernel, op.kernel)
        case "linear":
            yield "weight", (out, prod(op.in_shape))
        case "norm":
            yield from ((name, (out,)) for name in ("weight", "bias", "running_mean", "running_var"))
            yield COUNTER, ()
    if op.bias or op.kind == "linear":
        yield "bias", (out,)


def _module_names(arch: Arch, layout: Layout) -> dict[str, str]:
    """Return the other library's name for each of our modules that the layout covers."""
    depths = arch.stage_depths
    whole = {
        "{blocks+1}": str(sum(depths) + 1),
        "{stages+1}": str(len(depths) + 1),
        "{variant}": variant(arch).replace("_", "-"),
    }
    names = {ours: _filled(theirs, whole) for ours, theirs in layout.outside.items()}
    block = 0
    for stage, (row, depth) in enumerate(zip(arch.table.rows, depths, strict=True)):
        parts = layout.expanding if row.expand != 1 else layout.plain
        for repeat in range(depth):
            numbers = whole | {
                "{block}": str(block),
                "{block+1}": str(block + 1),
                "{stage}": str(stage),
                "{stage+1}": str(stage + 1),
                "{repeat}": str(repeat),
                "{letter}": chr(ord("a") + repeat),
            }
            names |= {f"blocks.{block}.{ours}": _filled(theirs, numbers) for ours, theirs in parts.items()}
            block += 1
    return names


def _filled(pattern: str, numbers: Mapping[str, str]) -> str:
    for mark, number in numbers.items():
        pattern = pattern.replace(mark, number)
    return pattern
