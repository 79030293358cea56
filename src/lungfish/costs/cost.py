"""Count the cost of a network for one image."""

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
        name: Dotted path; if the operation has parameters, also their prefix in the state dict.
        op: Kind: `conv`, `norm`, `act`, `add`, `mul`, `pool`, `dropout` or `linear`.
        in_shape: Shape of the input, (channels, height, width) or (features,), without the batch.
        out_shape: Shape of the output, in the same form.
        kernel: Side of the convolution kernel.
        stride: Stride of the convolution.
        groups: Groups of the convolution.
        params: Trainable parameters.
        macs: Multiply-adds.
        moved_bytes: Bytes of inputs and weights that are read, and of output that is written, each counted once. An
            operation that is folded into the previous one counts 0, except that a norm counts as a bias.
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
    """The cost of a network for one image.

    Args:
        params: Trainable parameters: kernels, biases, and scale and shift of batch norm (not its running statistics).
        macs: Multiply-adds of convolutions and the classifier.
        peak_activation_bytes: Peak memory of activations, including the input, if operations run one after another on
            whole tensors.
        peak_at: Name of the operation at the peak.
        peak_streamed_bytes: Peak memory if expansions are streamed, so that only bottlenecks are stored (MobileNetV2,
            section 5.1).
        moved_bytes: Bytes of activations and weights that the operations read and write, once each.
        precision: Precision in which bytes are counted.
        layers: All operations, in execution order.
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
        """Arithmetic intensity: multiply-adds per byte moved."""
        return self.macs / self.moved_bytes

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"macs_per_byte": self.macs_per_byte}


def cost(arch: ArchLike, precision: Precision = "fp32") -> Cost:
    """Count the cost of a network at its own resolution, for one image.

    Args:
        arch: Name or JSON file of an architecture, an `Arch`, or a network.
        precision: Precision in which bytes are counted: `fp32`, `fp16` or `int8`.

    Raises:
        UnknownNameError: The network or the precision is unknown.

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
