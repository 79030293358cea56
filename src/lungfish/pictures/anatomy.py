"""Divide a network into blocks, and each block into its convolutions: expand, filter, compress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from lungfish.architecture import Arch
from lungfish.costs import Layer, cost

ROLES = {  # part of a block -> its role, which is also a style of the canvas
    "expand": "expand",
    "depthwise": "filter",
    "project": "compress",
    "pointwise": "mix",
    "full": "full",
}


@dataclass(frozen=True)
class Step:
    """One convolution or the classifier, with its norm and activation.

    Args:
        role: `expand`, `filter`, `compress`, `mix`, `full`, or `plain` outside the blocks.
        channels: Input and output channels.
        sides: Sides of the input and output feature maps; 1 after the last pooling.
        kernel: Side of the kernel.
        linear: Whether no activation follows.
        params: Trainable parameters.
        macs: Multiply-adds.
    """

    role: str
    channels: tuple[int, int]
    sides: tuple[int, int]
    kernel: int
    linear: bool
    params: int
    macs: int


@dataclass(frozen=True)
class Block:
    """A block of the network, or its stem, head or classifier.

    Args:
        name: `stem`, `blocks.0` ..., `head` or `classifier`.
        steps: Steps in order.
        shortcut: Whether the input is added to the output.
        squeeze: Middle channels of squeeze-and-excite; 0 if there is none.
        squeeze_params: Trainable parameters of squeeze-and-excite.
    """

    name: str
    steps: tuple[Step, ...]
    shortcut: bool
    squeeze: int
    squeeze_params: int


def anatomy(arch: Arch) -> tuple[Block, ...]:
    """Return the blocks of `arch`, including stem, head and classifier."""
    named = groupby((layer for layer in cost(arch).layers), key=lambda layer: _split(layer.name)[0])
    blocks = ((name, tuple(layers)) for name, layers in named)
    return tuple(_block(name, layers) for name, layers in blocks if name not in ("pool", "dropout"))


def _block(name: str, layers: Sequence[Layer]) -> Block:
    parts = {part: tuple(each) for part, each in groupby(layers, key=lambda layer: _split(layer.name)[1])}
    squeeze = parts.pop("squeeze_excite", ())
    shortcut = parts.pop("shortcut", ())
    return Block(
        name=name,
        steps=tuple(_step(part, each) for part, each in parts.items()),
        shortcut=bool(shortcut),
        squeeze=next((layer.out_shape[0] for layer in squeeze if layer.op == "conv"), 0),
        squeeze_params=sum(layer.params for layer in squeeze),
    )


def _step(part: str, layers: Sequence[Layer]) -> Step:
    first = layers[0]
    sides = (first.in_shape[1], first.out_shape[1]) if len(first.in_shape) == 3 else (1, 1)
    return Step(
        role=ROLES.get(part, "plain"),
        channels=(first.in_shape[0], first.out_shape[0]),
        sides=sides,
        kernel=first.kernel,
        linear=layers[-1].op != "act",
        params=sum(layer.params for layer in layers),
        macs=sum(layer.macs for layer in layers),
    )


def _split(name: str) -> tuple[str, str]:
    """Return the block of a layer and the part of the block: `blocks.3`, `expand` for `blocks.3.expand.conv`."""
    steps = name.split(".")
    return (".".join(steps[:2]), steps[2]) if steps[0] == "blocks" else (steps[0], "")
