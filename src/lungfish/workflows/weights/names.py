"""List the names of the known weights."""

from __future__ import annotations

from fnmatch import fnmatchcase

from lungfish.workflows.weights.list import by_network
from lungfish.workflows.weights.rows import known_entries, sorted_rows


def list_weights(pattern: str = "*") -> list[str]:
    """Return the names of the known weights: permissive licenses first, then by network and top-1.

    `lungfish weights list` also prints license, size and accuracy; `lungfish weights show NAME` prints everything else.

    Args:
        pattern: Shell pattern for a name, or for the part before its dot: `mobilenet_v2*`, `*lite0`.

    Example:
        >>> import lungfish as lf
        >>> lf.list_weights("efficientnet_lite?.in1k")
        ['efficientnet_lite0.in1k', 'efficientnet_lite1.in1k', 'efficientnet_lite2.in1k']
    """
    found = sorted_rows(sorted(known_entries(), key=by_network))
    return [entry.name for entry in found if _matches(entry.name, pattern)]


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name.partition(".")[0], pattern)
