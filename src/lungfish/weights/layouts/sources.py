"""The libraries that state dicts come from and go to: their layouts and the flavour of their weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lungfish.architecture import Arch, Flavour
from lungfish.core.errors import UsageError
from lungfish.core.names import choose
from lungfish.weights.layouts import keras, packaged, slim, tensorflow, timm, torchvision, tpu
from lungfish.weights.layouts.layout import Layout, variant


@dataclass(frozen=True)
class Source:
    """One library.

    Args:
        layouts: of the networks that it has.
        flavour: of its weights.
        exceptions: flavours of single networks, by our name.
        ignored: patterns of the names of tensors that are no part of a network.
        averages: how the names of moving averages of weights end; they stand in for the weights.
        has_background: whether 1,001 classes are ImageNet's after one for the background.
    """

    layouts: tuple[Layout, ...]
    flavour: Flavour
    exceptions: Mapping[str, Flavour] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    averages: str = ""
    has_background: bool = False

    def flavour_of(self, arch: Arch) -> Flavour:
        """The flavour that its weights of `arch` have, at whatever resolution and number of classes."""
        return self.exceptions.get(variant(arch), self.flavour)


SAME = Flavour("same", 1e-3)
SYMMETRIC = Flavour("symmetric", 1e-5)

SOURCES = {
    "torchvision": Source(
        torchvision.LAYOUTS,
        SYMMETRIC,
        exceptions={f"efficientnet_b{number}": Flavour("symmetric", 1e-3) for number in (5, 6, 7)},
    ),
    "timm": Source(timm.LAYOUTS, SYMMETRIC),
    "timm_tf": Source(timm.LAYOUTS, SAME),  # its models called tf_, or built with pad_type="same", bn_eps=1e-3
    "keras": Source(keras.LAYOUTS, SAME, ignored=keras.PREPROCESSING),
    "packaged": Source(packaged.LAYOUTS, SAME),
    "slim": Source(slim.LAYOUTS, SAME, ignored=tensorflow.TRAINING, averages=tensorflow.AVERAGES, has_background=True),
    "tpu": Source(tpu.LAYOUTS, SAME, ignored=tensorflow.TRAINING, averages=tensorflow.AVERAGES),
}


def find_source(name: str) -> Source:
    """The library called `name`. Raises `UnknownNameError` with close matches."""
    return SOURCES[choose(name, SOURCES, "source of weights")]


def find_layout(name: str, arch: Arch) -> Layout:
    """How the library `name` lays out `arch`.

    Raises:
        UnknownNameError: no such library.
        UsageError: it has no such network.
    """
    for layout in find_source(name).layouts:
        if layout.holds(arch.table):
            return layout
    able = [other for other, source in SOURCES.items() if any(layout.holds(arch.table) for layout in source.layouts)]
    hint = f"Libraries that do: {', '.join(able)}." if able else "No library does: keep it as a safetensors file."
    raise UsageError(f"{name} has no networks like {arch.name}", hint)
