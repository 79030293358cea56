"""Detect the library whose tensor names a checkpoint uses."""

from __future__ import annotations

import re
from collections.abc import Collection

from lungfish.core.errors import UsageError
from lungfish.core.names import printable
from lungfish.weights.layouts.layout import Layout
from lungfish.weights.layouts.selection import select
from lungfish.weights.layouts.sources import SOURCES

OURS = "lungfish"
OUR_STEM = "stem.conv.weight"


def detect_source(names: Collection[str]) -> str:
    """Return the library that uses these names, `lungfish` included, judged by the first convolution.

    Raises:
        UsageError: No library uses them, or several do, such as `timm` and `timm_tf`, whose models differ only in
            padding and epsilon.
    """
    found = [source for source in SOURCES if _uses(source, names)] + ([OURS] if OUR_STEM in names else [])
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"the tensor names are ambiguous: {' and '.join(found)} use them",
            f"Choose one with --source: {', or '.join(_described(name) for name in found)}.",
        )
    shown = ", ".join(printable(str(name)[:80]) for name in sorted(names, key=str)[:3])
    raise UsageError(
        f"no known library uses these tensor names: {shown or 'there are no tensors'}",
        f"Known libraries: {', '.join(SOURCES)}. Is this a checkpoint of MobileNet or EfficientNet?",
    )


def _described(source: str) -> str:
    flavour = SOURCES[source].flavour
    return f"{source} ({flavour.padding} padding, batch-norm epsilon {flavour.bn_eps:g})"


def _uses(source: str, names: Collection[str]) -> bool:
    library = SOURCES[source]
    chosen = select(names, library).names
    return any(_stem(layout).fullmatch(name) for layout in library.layouts for name in chosen)


def _stem(layout: Layout) -> re.Pattern[str]:
    """Return a pattern for the name of the first convolution's kernel."""
    name = layout.outside["stem.conv"] + layout.variables["conv"]["weight"].name
    return re.compile(re.escape(name).replace(re.escape("{variant}"), r"[\w-]+"))
