"""Which precision each layer of a network has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lungfish.core.errors import UsageError
from lungfish.core.names import printable

PRECISIONS = ("fp32", "int8")


@dataclass(frozen=True)
class PrecisionMap:
    """A precision for each layer, by the beginning of its name.

    Args:
        by_prefix: Layer names, or what such names begin with up to a dot, to `fp32` or `int8`: `blocks.1` is of
            `blocks.1.expand.conv` and not of `blocks.10.expand.conv`. Where several fit, the longest holds.
        otherwise: Precision of all other layers.

    Raises:
        UsageError: An unknown precision.
    """

    by_prefix: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = "int8"

    def __post_init__(self) -> None:
        for prefix, precision in (*self.by_prefix.items(), ("the other layers", self.otherwise)):
            if precision not in PRECISIONS:
                raise UsageError(
                    f"precision of {printable(prefix)} is {precision!r}; allowed are {', '.join(PRECISIONS)}"
                )

    def precision_of(self, layer: str) -> str:
        """Return the precision of the layer of that name."""
        parts = layer.split(".")
        prefixes = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
        return next((self.by_prefix[prefix] for prefix in prefixes if prefix in self.by_prefix), self.otherwise)


# The first layers' few channels differ widely in range; in floats they cost no bytes and no time to speak of:
# docs/decisions/0006.
DEFAULT_PRECISIONS = PrecisionMap({"stem": "fp32", "blocks.0": "fp32"})
