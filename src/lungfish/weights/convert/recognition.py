"""Recognize the network of a checkpoint by the names and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping

from lungfish.architecture import NAMED, Arch, parse_arch
from lungfish.core.errors import UsageError
from lungfish.weights.layouts import SOURCES, TensorSlot, find_layout, select, tensor_slots

WIDTHS = (0.25, 0.35, 0.5, 0.75, 1.25, 1.3, 1.4)  # widths of the published MobileNets
CANDIDATES = (*NAMED, *(f"mobilenet_v{version}:width={width:g}" for version in (1, 2) for width in WIDTHS))


def recognize(state: Mapping[str, object], source: str) -> str | None:
    """Return the name of the published network that `state` belongs to, including its classes, or None.

    Args:
        state: Tensors by the names of `source`.
        source: Library whose names the tensors have.
    """
    shapes = _shapes(state, source)
    for candidate in CANDIDATES:
        classes = _classes(shapes, source, parse_arch(candidate))
        if classes:
            settings = f"{',' if ':' in candidate else ':'}classes={classes}" if classes != 1000 else ""
            return candidate + settings
    return None


def count_classes(state: Mapping[str, object], source: str, arch: Arch) -> int:
    """Return the number of classes of `state`, without background, or 0 if its trunk is not that of `arch`."""
    return _classes(_shapes(state, source), source, arch)


def _shapes(state: Mapping[str, object], source: str) -> dict[str, tuple[int, ...]]:
    chosen = select(state, SOURCES[source]).names
    return {name: tuple(getattr(state[stored_name], "shape", ())) for name, stored_name in chosen.items()}


def _classes(shapes: Mapping[str, tuple[int, ...]], source: str, arch: Arch) -> int:
    """Compute `count_classes` from the shapes of the tensors."""
    try:
        slots = tensor_slots(arch, find_layout(source, arch))
    except UsageError:
        return 0
    head = {slot.name for ours, slot in slots.items() if ours.startswith("classifier.")}
    unchecked = head | {slot.name for slot in slots.values() if slot.optional}
    expected = {slot.name: slot.shape for slot in slots.values() if slot.name not in unchecked}
    if expected != {name: shape for name, shape in shapes.items() if name not in unchecked}:
        return 0
    classes = _outputs(shapes, slots["classifier.bias"])
    return classes - 1 if SOURCES[source].has_background and classes == 1001 else classes


def _outputs(shapes: Mapping[str, tuple[int, ...]], bias: TensorSlot) -> int:
    shape = shapes.get(bias.name, ())
    return shape[0] if len(shape) == 1 else 0
