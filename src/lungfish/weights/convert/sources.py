"""The libraries that state dicts come from and go to: their layouts and the flavour of their weights."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from lungfish.architecture import NAMED, Arch, Flavour
from lungfish.core.errors import UsageError
from lungfish.core.names import choose
from lungfish.weights.convert import keras, packaged, timm, torchvision
from lungfish.weights.convert.layout import Layout


@dataclass(frozen=True)
class Source:
    """One library.

    Args:
        layouts: of the networks that it has.
        flavour: of its weights.
        exceptions: flavours of single networks, by our name.
        ignored: tensors of its checkpoints that are no part of a network.
    """

    layouts: tuple[Layout, ...]
    flavour: Flavour
    exceptions: Mapping[str, Flavour] = field(default_factory=dict)
    ignored: Set[str] = frozenset()

    def flavour_of(self, arch: Arch) -> Flavour:
        """The flavour that its weights of `arch` have, at whatever resolution and number of classes."""
        for name, flavour in self.exceptions.items():
            named = NAMED[name]
            if (arch.table, arch.width, arch.depth) == (named.table, named.width, named.depth):
                return flavour
        return self.flavour


TENSORFLOW = Flavour("same", 1e-3)
PYTORCH = Flavour("symmetric", 1e-5)

SOURCES = {
    "torchvision": Source(
        torchvision.LAYOUTS,
        PYTORCH,
        exceptions={f"efficientnet_b{number}": Flavour("symmetric", 1e-3) for number in (5, 6, 7)},
    ),
    "timm": Source(timm.LAYOUTS, PYTORCH),
    "timm_tf": Source(timm.LAYOUTS, TENSORFLOW),  # its models called tf_, or built with pad_type="same", bn_eps=1e-3
    "keras": Source(keras.LAYOUTS, TENSORFLOW, ignored=keras.PREPROCESSING),
    "packaged": Source(packaged.LAYOUTS, TENSORFLOW),
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
