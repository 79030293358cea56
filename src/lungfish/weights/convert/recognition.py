"""Which network a checkpoint is of, by the names and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping

from lungfish.architecture import NAMED, Arch, parse_arch
from lungfish.core.errors import UsageError
from lungfish.weights.layouts import SOURCES, TensorSlot, find_layout, select, tensor_slots

WIDTHS = (0.25, 0.35, 0.5, 0.75, 1.25, 1.3, 1.4)  # that MobileNets were published at
CANDIDATES = (*NAMED, *(f"mobilenet_v{version}:width={width:g}" for version in (1, 2) for width in WIDTHS))


def recognize(state: Mapping[str, object], source: str) -> str | None:
    """The name of the published network that `state` is of, classes included; None if it is none.

    Args:
        state: tensors by the names of `source`.
        source: the library.
    """
    shapes = _shapes(state, source)
    for candidate in CANDIDATES:
        classes = _classes(shapes, source, parse_arch(candidate))
        if classes:
            settings = f"{',' if ':' in candidate else ':'}classes={classes}" if classes != 1000 else ""
            return candidate + settings
    return None


def count_classes(state: Mapping[str, object], source: str, arch: Arch) -> int:
    """How many classes `state` tells apart, background left out, if its trunk is that of `arch`; else 0."""
    return _classes(_shapes(state, source), source, arch)


def _shapes(state: Mapping[str, object], source: str) -> dict[str, tuple[int, ...]]:
    chosen = select(state, SOURCES[source]).names
    return {name: tuple(getattr(state[there], "shape", ())) for name, there in chosen.items()}


def _classes(shapes: Mapping[str, tuple[int, ...]], source: str, arch: Arch) -> int:
    """`count_classes`, by the shapes of the tensors."""
    try:
        where = tensor_slots(arch, find_layout(source, arch))
    except UsageError:
        return 0
    head = {slot.name for ours, slot in where.items() if ours.startswith("classifier.")}
    apart = head | {slot.name for slot in where.values() if slot.optional}
    expected = {slot.name: slot.shape for slot in where.values() if slot.name not in apart}
    if expected != {name: shape for name, shape in shapes.items() if name not in apart}:
        return 0
    classes = _outputs(shapes, where["classifier.bias"])
    return classes - 1 if SOURCES[source].has_background and classes == 1001 else classes


def _outputs(shapes: Mapping[str, tuple[int, ...]], bias: TensorSlot) -> int:
    shape = shapes.get(bias.name, ())
    return shape[0] if len(shape) == 1 else 0
