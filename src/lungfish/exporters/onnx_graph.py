"""Write a network as an ONNX graph with the operations and names of its lowering.

Batch norm is folded into the convolutions, and the graph starts by normalizing the pixels. Every job compares the graph
with the torch module (see `lungfish.deploy`); docs/decisions/0002 explains why torch.onnx is not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lungfish.architecture import INPUT, Arch, Flavour, Op, lower
from lungfish.core.errors import ArchitectureError
from lungfish.exporters.exporter import Exportable, GraphSpec, State
from lungfish.runtime.engines.engine import OUTPUT

if TYPE_CHECKING:
    import onnx

OPSET = 17  # released in 2022; supported by ONNX Runtime 1.12 and later, and by all common converters
IR_VERSION = 8
FLOAT, FLOAT16 = 1, 10  # values of onnx.TensorProto; onnx is imported only where it is used


class OnnxExporter:
    """Write a single ONNX file: see `lungfish.exporters.exporter.Exporter`."""

    packages = ("onnx",)

    def write(self, network: Exportable, folder: Path, stem: str) -> tuple[str, ...]:
        """Write `STEM.onnx`."""
        model = classifier_graph(network.arch, network.flavour, network.state, network.spec)
        name = f"{stem}.onnx"
        (folder / name).write_bytes(model.SerializeToString(deterministic=True))
        return (name,)


def classifier_graph(arch: Arch, flavour: Flavour, state: State, spec: GraphSpec) -> onnx.ModelProto:
    """Return the graph from uint8 `image` `[batch, height, width, 3]` to float32 `probabilities` `[batch, classes]`.

    Args:
        arch: The architecture.
        flavour: Padding and batch-norm epsilon.
        state: float32 arrays by torch name.
        spec: Normalization and metadata.
    """
    return _emit(arch, flavour, state, spec, _End(OUTPUT, "classifier", "Softmax", {"axis": -1}))


def trunk_graph(arch: Arch, flavour: Flavour, state: State, spec: GraphSpec) -> onnx.ModelProto:
    """Return the graph from uint8 `image` `[batch, height, width, 3]` to float32 `features` `[batch, head]`.

    The features are the input of the classifier. For the arguments, see `classifier_graph`.
    """
    return _emit(arch, flavour, state, spec, _End("features", "pool", "Flatten"))


def boundary_graph(arch: Arch, flavour: Flavour, state: State, spec: GraphSpec, block: int) -> onnx.ModelProto:
    """Return the graph from uint8 `image` `[batch, height, width, 3]` to float16 `activations`.

    The activations, `[batch, channels, h, w]`, are the input of `block`.

    Args:
        arch: The architecture.
        flavour: Padding and batch-norm epsilon.
        state: float32 arrays by torch name.
        spec: Normalization and metadata.
        block: Index of the block that the activations enter; the number of blocks means the head.

    Raises:
        ArchitectureError: There is no such block.
    """
    blocks = sum(arch.stage_depths)
    if not 0 <= block <= blocks:
        raise ArchitectureError(f"{arch.name} has no boundary before block {block}; block must be 0 to {blocks}")
    last = f"blocks.{block - 1}." if block else "stem."
    return _emit(arch, flavour, state, spec, _End("activations", last, "Cast", {"to": FLOAT16}, FLOAT16))


def class_map_graph(arch: Arch, flavour: Flavour, state: State, spec: GraphSpec) -> onnx.ModelProto:
    """Return the graph from uint8 `image` `[batch, height, width, 3]` to float32 `class_maps`.

    The maps, `[batch, classes, rows, columns]`, are what each position of the last feature map adds to each logit: the
    classifier is applied at every position, before averaging. For the arguments, see `classifier_graph`.
    """
    pool = next(op for op in lower(arch) if op.name == "pool")
    _, rows, columns = pool.in_shape
    kernel = state["classifier.weight"][:, :, None, None] / (rows * columns)
    return _emit(arch, flavour, state, spec, _End("class_maps", pool.inputs[0], "Conv", kernel=kernel))


@dataclass(frozen=True)
class _End:
    """The end of a graph: a final node, named `output`, after the last operation whose name begins with `until`.

    If `node` is a convolution, `kernel` is its weight, `[out_channels, in_channels, 1, 1]`.
    """

    output: str
    until: str
    node: str
    attributes: Mapping[str, int] = field(default_factory=dict)
    dtype: int = FLOAT
    kernel: NDArray[Any] | None = None


def _emit(arch: Arch, flavour: Flavour, state: State, spec: GraphSpec, end: _End) -> onnx.ModelProto:
    import onnx
    from onnx import TensorProto, helper

    ops = lower(arch)
    ops = ops[: 1 + max(i for i, op in enumerate(ops) if op.name.startswith(end.until))]
    graph = _Graph(state, flavour)
    graph.normalize(spec)
    for op in ops:
        graph.emit(op)
    inputs, shape = [graph.at[ops[-1].name]], ops[-1].out_shape
    if end.kernel is not None:
        inputs.append(graph.constant(f"{end.output}.weight", end.kernel))
        shape = (len(end.kernel), *shape[1:])
    graph.node(end.node, inputs, end.output, **end.attributes)

    side = arch.resolution_px
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            arch.name.partition(":")[0],
            [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["batch", side, side, arch.in_channels])],
            [helper.make_tensor_value_info(end.output, end.dtype, ["batch", *shape])],
            graph.initializers,
        ),
        producer_name="lungfish",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, dict(sorted(spec.metadata.items())))
    onnx.checker.check_model(model)
    return model


class _Graph:
    """A graph under construction. `at` maps the name of an operation to the name of its output tensor."""

    def __init__(self, state: State, flavour: Flavour) -> None:
        self.state, self.flavour = state, flavour
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.at = {INPUT: INPUT}

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: NDArray[np.floating[Any]]) -> str:
        from onnx import numpy_helper

        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=np.float32), name))
        return name

    def normalize(self, spec: GraphSpec) -> None:
        nchw = self.node("Transpose", [INPUT], "input.nchw", perm=[0, 3, 1, 2])  # before the cast: fewer bytes to move
        levels = self.node("Cast", [nchw], "input.float", to=FLOAT)
        mean = self.constant("input.mean", np.reshape(spec.mean, (1, 3, 1, 1)))
        scale = self.constant("input.scale", 1 / np.reshape(spec.std, (1, 3, 1, 1)))
        centered = self.node("Sub", [levels, mean], "input.centered")
        self.at[INPUT] = self.node("Mul", [centered, scale], "input.normalized")

    def emit(self, op: Op) -> None:
        inputs = [self.at[name] for name in op.inputs]
        match op.kind:
            case "conv":
                self.at[op.name] = self._conv(op, inputs)
            case "norm" | "dropout":  # norm: folded into the convolution; dropout: identity at inference
                self.at[op.name] = inputs[0]
            case "act":
                self.at[op.name] = self._act(op, inputs)
            case "add":
                self.at[op.name] = self.node("Add", inputs, op.name)
            case "mul":
                self.at[op.name] = self.node("Mul", inputs, op.name)
            case "pool":
                self.at[op.name] = self.node("GlobalAveragePool", inputs, op.name)
            case "linear":
                self.at[op.name] = self._linear(op, inputs)

    def _conv(self, op: Op, inputs: list[str]) -> str:
        weight, shift = (
            (self.state[f"{op.name}.weight"], self.state[f"{op.name}.bias"]) if op.bias else self._folded(op)
        )
        kernel, bias = self.constant(f"{op.name}.weight", weight), self.constant(f"{op.name}.bias", shift)
        top, bottom = self.flavour.pads(op.in_shape[1], op.kernel, op.stride)
        left, right = self.flavour.pads(op.in_shape[2], op.kernel, op.stride)
        return self.node(
            "Conv",
            [*inputs, kernel, bias],
            op.name,
            kernel_shape=[op.kernel, op.kernel],
            strides=[op.stride, op.stride],
            pads=[top, left, bottom, right],
            group=op.groups,
        )

    def _folded(self, op: Op) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return kernel and bias of a convolution with the following batch norm folded in."""
        norm = op.name.removesuffix(".conv") + ".norm"
        variance = self.state[f"{norm}.running_var"].astype(np.float64)
        scale = self.state[f"{norm}.weight"] / np.sqrt(variance + self.flavour.bn_eps)
        shift = self.state[f"{norm}.bias"] - self.state[f"{norm}.running_mean"] * scale
        return self.state[f"{op.name}.weight"] * scale[:, None, None, None], shift

    def _act(self, op: Op, inputs: list[str]) -> str:
        match op.function:
            case "relu":
                return self.node("Relu", inputs, op.name)
            case "relu6":
                return self.node("Clip", [*inputs, self._shared("zero", 0.0), self._shared("six", 6.0)], op.name)
            case "silu":
                return self.node("Mul", [*inputs, self.node("Sigmoid", inputs, f"{op.name}.sigmoid")], op.name)
            case "sigmoid":
                return self.node("Sigmoid", inputs, op.name)
        raise AssertionError(op.function)

    def _linear(self, op: Op, inputs: list[str]) -> str:
        flat = self.node("Flatten", inputs, f"{op.name}.flat")
        weight = self.constant(f"{op.name}.weight", self.state[f"{op.name}.weight"])
        bias = self.constant(f"{op.name}.bias", self.state[f"{op.name}.bias"])
        return self.node("Gemm", [flat, weight, bias], op.name, transB=1)

    def _shared(self, name: str, value: float) -> str:
        if all(tensor.name != name for tensor in self.initializers):
            self.constant(name, np.asarray(value))
        return name
