"""What one image costs in a network."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, Literal

from lungfish.architecture import Arch, ArchLike, lower, to_arch
from lungfish.architecture.lowering import Kind, Shape
from lungfish.core.names import choose
from lungfish.costs.count import op_macs, op_params
from lungfish.costs.memory import expansions, moved_elements, peak_activations

Precision = Literal["fp32", "fp16", "int8"]
BYTES: dict[Precision, int] = {"fp32": 4, "fp16": 2, "int8": 1}


@dataclass(frozen=True, slots=True)
class Layer:
    """One operation and its cost.

    Args:
        name: dotted path, as in the state dict.
        op: what it does: `conv`, `norm`, `act`, `add`, `mul`, `pool`, `dropout` or `linear`.
        in_shape: (channels, height, width) or (features,), without the batch.
        out_shape: the same of its output.
        kernel: side of a convolution's kernel.
        stride: of a convolution.
        groups: of a convolution.
        params: trained numbers.
        macs: multiply-adds.
        moved_bytes: inputs and weights read and output written, once each; 0 where folded into the one before.
    """

    name: str
    op: Kind
    in_shape: Shape
    out_shape: Shape
    kernel: int
    stride: int
    groups: int
    params: int
    macs: int
    moved_bytes: int


@dataclass(frozen=True)
class Cost:
    """What one image costs.

    Args:
        params: trained numbers: kernels, biases, batch norm's scale and shift (not its running statistics).
        macs: multiply-adds of convolutions and the classifier.
        peak_activation_bytes: most activations that an ordinary executor holds at once, input included.
        peak_at: the operation that runs then.
        peak_streamed_bytes: the same if only bottlenecks are held and expansions streamed (MobileNetV2, section 5.1).
        moved_bytes: activations and weights read and written, each once by each operation.
        precision: of the bytes.
        layers: every operation, in the order in which they run.
    """

    params: int
    macs: int
    peak_activation_bytes: int
    peak_at: str
    peak_streamed_bytes: int
    moved_bytes: int
    precision: Precision
    layers: tuple[Layer, ...] = field(repr=False)

    @property
    def macs_per_byte(self) -> float:
        """Arithmetic intensity: multiply-adds for each byte moved."""
        return self.macs / self.moved_bytes

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"macs_per_byte": self.macs_per_byte}


def cost(arch: ArchLike, precision: Precision = "fp32") -> Cost:
    """Count what one image costs in a network, at the network's own resolution.

    Args:
        arch: An architecture's name or JSON file, an `Arch`, or a network.
        precision: Of the bytes: `fp32`, `fp16` or `int8`.

    Raises:
        UnknownNameError: No such network or precision.

    Example:
        >>> import lungfish as lf
        >>> cost = lf.cost("efficientnet_b0")
        >>> cost.params, cost.macs
        (5288548, 385814752)
    """
    return _count(to_arch(arch), precision)


@lru_cache(maxsize=256)
def _count(arch: Arch, precision: Precision) -> Cost:
    width = BYTES[choose(precision, BYTES, "precision")]  # type: ignore[index]
    ops = lower(arch)
    moved = moved_elements(ops)
    layers = tuple(
        Layer(
            op.name,
            op.kind,
            op.in_shape,
            op.out_shape,
            op.kernel,
            op.stride,
            op.groups,
            op_params(op),
            op_macs(op),
            moved[op.name] * width,
        )
        for op in ops
    )
    peak = peak_activations(ops)
    return Cost(
        params=sum(layer.params for layer in layers),
        macs=sum(layer.macs for layer in layers),
        peak_activation_bytes=peak.elements * width,
        peak_at=peak.at,
        peak_streamed_bytes=peak_activations(ops, expansions(ops)).elements * width,
        moved_bytes=sum(layer.moved_bytes for layer in layers),
        precision=precision,
        layers=layers,
    )
