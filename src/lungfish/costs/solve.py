"""The largest network of a family that costs no more than a target."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from lungfish.architecture import COMPOUND, Arch, ArchLike, to_arch
from lungfish.architecture.arch import MAX_MULTIPLIER, MAX_RESOLUTION_PX
from lungfish.core.errors import ArchitectureError, UsageError
from lungfish.core.names import choose
from lungfish.costs.cost import Cost, Precision, cost

AXES = ("phi", "width", "resolution")
STEPS_PER_UNIT = 1000  # phi and width are tried in steps of 0.001, resolution in steps of 8 pixels
PIXELS = 8


@dataclass(frozen=True)
class Solution:
    """A network scaled to a target.

    Args:
        arch: the network; one step further along the axis would exceed the target.
        by: the axis: `phi`, `width` or `resolution`.
        value: how far along it: phi, the factor of width, or pixels.
        quantity: what was bounded: `macs`, `params` or `memory_bytes`.
        target: its bound.
        cost: what the network costs.
    """

    arch: Arch
    by: str
    value: float
    quantity: str
    target: int
    cost: Cost = field(repr=False)

    @property
    def phi(self) -> float:
        """The compound coefficient that was applied; 0 along another axis."""
        return self.value if self.by == "phi" else 0.0

    @property
    def macs(self) -> int:
        """Multiply-adds for one image."""
        return self.cost.macs

    @property
    def params(self) -> int:
        """Parameters."""
        return self.cost.params

    @property
    def peak_activation_bytes(self) -> int:
        """Most bytes of activations that an ordinary executor holds at once, in the precision that was asked for."""
        return self.cost.peak_activation_bytes

    @property
    def achieved(self) -> int:
        """What the network costs of the quantity that was bounded."""
        return _quantity(self.cost, self.quantity)


def solve(
    arch: ArchLike,
    *,
    macs: float | None = None,
    params: float | None = None,
    memory_bytes: float | None = None,
    by: str = "phi",
    precision: Precision = "fp32",
) -> Solution:
    """Return the largest network along one axis of `arch` that one target allows, by its true, rounded cost.

    Args:
        arch: An architecture's name or JSON file, an `Arch`, or a network; phi and width count from it.
        macs: most multiply-adds.
        params: most parameters.
        memory_bytes: most bytes of activations that an ordinary executor holds at once.
        by: `phi`, `width` or `resolution`.
        precision: of `memory_bytes`.

    Raises:
        UsageError: not exactly one target, one that is no positive number, or one that the axis does not change.
        UnknownNameError: no such axis or precision.
        ArchitectureError: no network along the axis is small or large enough.

    Example:
        >>> import lungfish as lf
        >>> found = lf.solve("mobilenet_v2", macs=150e6, by="width")
        >>> found.value, found.macs
        (0.574, 147439552)
    """
    base = to_arch(arch)
    quantity, target = _only_target(macs=macs, params=params, memory_bytes=memory_bytes)
    choose(by, AXES, "axis of scaling")
    if (quantity, by) == ("params", "resolution"):
        raise UsageError("parameters do not depend on the resolution", "Scale by phi or width.")

    def measured(step: int) -> int | None:
        """The cost at a step, or None beyond the limits of an `Arch`."""
        try:
            return _quantity(cost(_at(base, by, step), precision), quantity)
        except ArchitectureError:
            return None

    step = _last_fitting(*_steps(base, by), measured, f"{quantity} of {target:,} by {by}", target)
    solved = _at(base, by, step)
    return Solution(solved, by, _value(by, step), quantity, target, cost(solved, precision))


def _quantity(counted: Cost, quantity: str) -> int:
    return {"macs": counted.macs, "params": counted.params, "memory_bytes": counted.peak_activation_bytes}[quantity]


def _only_target(**targets: float | None) -> tuple[str, int]:
    given = {name: value for name, value in targets.items() if value is not None}
    if len(given) != 1:
        names = " and ".join(given) or "none"
        raise UsageError(f"give one target: {', '.join(targets)}; given: {names}", "For example macs=600e6.")
    ((name, value),) = given.items()
    if not (math.isfinite(value) and value >= 1):
        raise UsageError(f"{name} is {value!r}; allowed are numbers from 1", f"For example {name}=1e6.")
    return name, int(value)


def _steps(arch: Arch, by: str) -> tuple[int, int]:
    """First and last step along the axis that an `Arch` may allow."""
    match by:
        case "resolution":
            return -(-arch.total_stride // PIXELS), MAX_RESOLUTION_PX // PIXELS
        case "width":
            return 1, int(MAX_MULTIPLIER / arch.width * STEPS_PER_UNIT)
        case _:
            unit = math.log(COMPOUND.gamma) / STEPS_PER_UNIT
            return tuple(  # type: ignore[return-value]
                int(math.log(pixels / arch.resolution_px) / unit) for pixels in (arch.total_stride, MAX_RESOLUTION_PX)
            )


def _value(by: str, step: int) -> float:
    return step * PIXELS if by == "resolution" else step / STEPS_PER_UNIT


def _at(arch: Arch, by: str, step: int) -> Arch:
    match by:
        case "resolution":
            return arch.scale(resolution=step * PIXELS)
        case "width":
            return arch.scale(width=step / STEPS_PER_UNIT)
        case _:
            return arch.scale(phi=step / STEPS_PER_UNIT)


def _last_fitting(low: int, high: int, measured: Callable[[int], int | None], what: str, target: int) -> int:
    """By bisection, a step that fits, the next one of which does not."""
    while (smallest := measured(low)) is None and low < high:
        low += 1  # a few pixels are rounded to none
    assert smallest is not None, "the network itself is on every axis"
    if smallest > target:
        raise ArchitectureError(f"{what} is out of reach: the smallest network has {smallest:,}")
    high += 1
    while high - low > 1:
        middle = (low + high) // 2
        found = measured(middle)
        low, high = (middle, high) if found is not None and found <= target else (low, middle)
    found = measured(high)
    if found is None or found <= target:
        raise ArchitectureError(f"{what} is out of reach: the largest network allowed has {measured(low):,}")
    return low
