"""Choose the precision of each layer of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lungfish.core.errors import UsageError
from lungfish.core.names import printable

PRECISIONS = ("fp32", "int8")


@dataclass(frozen=True)
class PrecisionMap:
    """The precision of each layer, by prefix of its name.

    Args:
        by_prefix: `fp32` or `int8` by layer name or dotted prefix: `blocks.1` matches `blocks.1.expand.conv`, but not
            `blocks.10.expand.conv`. The longest matching prefix applies.
        otherwise: Precision of layers that match no prefix.

    Raises:
        UsageError: A precision is neither `fp32` nor `int8`.
    """

    by_prefix: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = "int8"

    def __post_init__(self) -> None:
        for prefix, precision in (*self.by_prefix.items(), ("the other layers", self.otherwise)):
            if precision not in PRECISIONS:
                raise UsageError(
                    f"precision of {printable(prefix)} is {precision!r}; it must be one of {', '.join(PRECISIONS)}"
                )

    def precision_of(self, layer: str) -> str:
        """Return the precision of a layer."""
        parts = layer.split(".")
        prefixes = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
        return next((self.by_prefix[prefix] for prefix in prefixes if prefix in self.by_prefix), self.otherwise)


# The first layers have few channels, whose ranges differ widely. Keeping them in FP32 costs almost no size or time:
# docs/decisions/0006.
DEFAULT_PRECISIONS = PrecisionMap({"stem": "fp32", "blocks.0": "fp32"})
