"""List the supported libraries, with their layouts and the flavour of their weights."""

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
        layouts: Layouts of its networks.
        flavour: Flavour of its weights.
        exceptions: Flavours of networks that deviate from it, by our name.
        ignored: Patterns for names of tensors that are not part of a network.
        averages: Suffix of the names of moving averages, which replace the weights.
        has_background: Whether a network of 1,001 classes has a background class before ImageNet's 1,000.
    """

    layouts: tuple[Layout, ...]
    flavour: Flavour
    exceptions: Mapping[str, Flavour] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    averages: str = ""
    has_background: bool = False

    def flavour_of(self, arch: Arch) -> Flavour:
        """Return the flavour of the library's weights of `arch`, at any resolution and number of classes."""
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
    "timm_tf": Source(timm.LAYOUTS, SAME),  # tf_ models, or built with pad_type="same", bn_eps=1e-3
    "keras": Source(keras.LAYOUTS, SAME, ignored=keras.PREPROCESSING),
    "packaged": Source(packaged.LAYOUTS, SAME),
    "slim": Source(slim.LAYOUTS, SAME, ignored=tensorflow.TRAINING, averages=tensorflow.AVERAGES, has_background=True),
    "tpu": Source(tpu.LAYOUTS, SAME, ignored=tensorflow.TRAINING, averages=tensorflow.AVERAGES),
}


def find_source(name: str) -> Source:
    """Return the library called `name`. Raises `UnknownNameError` with close matches."""
    return SOURCES[choose(name, SOURCES, "source of weights")]


def find_layout(name: str, arch: Arch) -> Layout:
    """Return the layout of `arch` in the library `name`.

    Raises:
        UnknownNameError: The library does not exist.
        UsageError: It has no such network.
    """
    for layout in find_source(name).layouts:
        if layout.holds(arch.table):
            return layout
    able = [other for other, source in SOURCES.items() if any(layout.holds(arch.table) for layout in source.layouts)]
    hint = f"Libraries that do: {', '.join(able)}." if able else "No library does. Keep it as a safetensors file."
    raise UsageError(f"{name} has no networks like {arch.name}", hint)
