"""Whose names the tensors of a checkpoint have."""

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
    """The library whose names these are, `lungfish` included; it is told by the first convolution.

    Raises:
        UsageError: nobody's, or several libraries', as `timm` and `timm_tf`, whose models differ in their padding and
            epsilon, which no name tells.
    """
    found = [source for source in SOURCES if _uses(source, names)] + ([OURS] if OUR_STEM in names else [])
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"the tensors have the names of {' and of '.join(found)}: nothing tells which",
            f"Say it with --source: {', or '.join(_described(name) for name in found)}.",
        )
    shown = ", ".join(printable(str(name)[:80]) for name in sorted(names, key=str)[:3])
    raise UsageError(
        f"the tensors have the names of no library that is known: {shown or 'there are none'}",
        f"Known are {', '.join(SOURCES)}; is it a checkpoint of MobileNet or EfficientNet?",
    )


def _described(source: str) -> str:
    flavour = SOURCES[source].flavour
    return f"{source} ({flavour.padding} padding, batch-norm epsilon {flavour.bn_eps:g})"


def _uses(source: str, names: Collection[str]) -> bool:
    library = SOURCES[source]
    chosen = select(names, library).names
    return any(_stem(layout).fullmatch(name) for layout in library.layouts for name in chosen)


def _stem(layout: Layout) -> re.Pattern[str]:
    """Matches the name of the first convolution's kernel."""
    name = layout.outside["stem.conv"] + layout.variables["conv"]["weight"].name
    return re.compile(re.escape(name).replace(re.escape("{variant}"), r"[\w-]+"))
