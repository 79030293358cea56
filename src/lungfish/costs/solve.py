"""Find the largest network of a family within a target cost."""

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
STEPS_PER_UNIT = 1000  # phi and width
PIXELS = 8  # resolution, per step


@dataclass(frozen=True)
class Solution:
    """A network scaled to a target.

    Args:
        arch: The network; one step further along the axis would exceed the target.
        by: The axis: `phi`, `width` or `resolution`.
        value: Position on the axis: phi, width factor, or resolution in pixels.
        quantity: The bounded quantity: `macs`, `params` or `memory_bytes`.
        target: Upper bound of the quantity.
        cost: Cost of the network.
    """

    arch: Arch
    by: str
    value: float
    quantity: str
    target: int
    cost: Cost = field(repr=False)

    @property
    def phi(self) -> float:
        """The compound coefficient; 0 if another axis was scaled."""
        return self.value if self.by == "phi" else 0.0

    @property
    def macs(self) -> int:
        """Multiply-adds per image."""
        return self.cost.macs

    @property
    def params(self) -> int:
        """Trainable parameters."""
        return self.cost.params

    @property
    def peak_activation_bytes(self) -> int:
        """Peak memory of activations in the requested precision; see `Cost`."""
        return self.cost.peak_activation_bytes

    @property
    def achieved(self) -> int:
        """Value of the bounded quantity for this network."""
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
    """Scale `arch` along one axis to the largest network whose actual cost, after rounding, is within a target.

    Exactly one of `macs`, `params` and `memory_bytes` must be given.

    Args:
        arch: Name or JSON file of an architecture, an `Arch`, or a network; phi and width are relative to it.
        macs: Upper bound of the multiply-adds.
        params: Upper bound of the parameters.
        memory_bytes: Upper bound of the peak memory of activations, `Cost.peak_activation_bytes`.
        by: Axis to scale along: `phi`, `width` or `resolution`.
        precision: Precision for `memory_bytes`.

    Raises:
        UsageError: No target or more than one is given, it is less than 1, or the axis does not affect it.
        UnknownNameError: The axis or precision is unknown.
        ArchitectureError: The smallest network exceeds the target, or the largest one allowed does not reach it.

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
        """Return the bounded quantity at a step, or None if the `Arch` would exceed its limits."""
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
        raise UsageError(f"expected exactly one of {', '.join(targets)}; got {names}", "For example macs=600e6.")
    ((name, value),) = given.items()
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < math.inf:
        raise UsageError(f"{name} is {value!r}; it must be a number of at least 1", f"For example {name}=1e6.")
    return name, int(value)


def _steps(arch: Arch, by: str) -> tuple[int, int]:
    """Return the first and last step along the axis that may give a valid `Arch`."""
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
    """Find, by bisection, a step within the target whose successor exceeds it."""
    while (smallest := measured(low)) is None and low < high:
        low += 1  # tiny resolutions are rounded to 0
    assert smallest is not None, "every axis contains the unscaled network"
    if smallest > target:
        raise ArchitectureError(f"cannot scale to {what}: the smallest network has {smallest:,}")
    high += 1
    while high - low > 1:
        middle = (low + high) // 2
        value = measured(middle)
        low, high = (middle, high) if value is not None and value <= target else (low, middle)
    value = measured(high)
    if value is None or value <= target:
        raise ArchitectureError(f"cannot scale to {what}: the largest network allowed has {measured(low):,}")
    return low
