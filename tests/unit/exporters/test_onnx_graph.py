from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from lungfish.architecture import INPUT, Arch, Flavour, lower, parse_arch
from lungfish.architecture.table import ACTIVATIONS, Activation
from lungfish.core.errors import ArchitectureError
from lungfish.exporters.exporter import GraphSpec
from lungfish.exporters.onnx_graph import IR_VERSION, OPSET, boundary_graph, classifier_graph, trunk_graph
from lungfish.nn import Network, build
from lungfish.runtime.engines.engine import BATCH_SIZE
from lungfish.runtime.engines.onnx import graph_check
from lungfish.runtime.engines.onnx.graph_check import checked_graph

SPEC = GraphSpec(mean=(127.0, 120.0, 110.0), std=(128.0, 60.0, 50.0), metadata={"labels": '["a", "b"]', "a": "1"})


@pytest.fixture(
    params=[
        "efficientnet_lite0",
        "efficientnet_b0:width=0.5",
        "mobilenet_v1:width=0.5",
        "mobilenet_v1_full:width=0.25",
        "mobilenet_v2:width=0.5",
    ]
)
def arch(request: pytest.FixtureRequest) -> Arch:
    return parse_arch(request.param).with_classes(5)


def random_network(arch: Arch, flavour: Flavour) -> Network:
    """Random weights and batch norm, its statistics those of one batch, so that activations stay of order one."""
    torch.manual_seed(0)
    network = build(arch, flavour)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            module.momentum = None  # the average over batches: of one, the batch itself
    nn.init.normal_(network.classifier.weight, std=0.05)
    nn.init.normal_(network.classifier.bias)
    with torch.no_grad():
        network.train()(normalized(pixels(arch.resolution_px, 6)))
    return network.eval()


def state(network: Network) -> dict[str, NDArray[np.float32]]:
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def pixels(side: int, count: int = 2) -> NDArray[np.uint8]:
    return np.random.default_rng(count).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def run(model: onnx.ModelProto, x_nhwc: NDArray[np.uint8]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    result: NDArray[np.float32] = session.run(None, {INPUT: x_nhwc})[0]
    return result


def normalized(x_nhwc: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(
        ((x_nhwc - np.array(SPEC.mean)) / np.array(SPEC.std)).astype(np.float32).transpose(0, 3, 1, 2)
    )


@pytest.mark.parametrize("flavour", [Flavour("same", 1e-3), Flavour("symmetric", 1e-5)], ids=str)
@pytest.mark.parametrize("side", [96, 97])
def test_the_graph_computes_what_torch_computes(arch: Arch, flavour: Flavour, side: int) -> None:
    network = random_network(arch.scale(resolution=side), flavour)
    x_nhwc = pixels(side)
    with torch.inference_mode():
        probabilities = network(normalized(x_nhwc)).softmax(1).numpy()
        features = network.features(normalized(x_nhwc)).numpy()
    assert 1 < np.ptp(features) < 100
    of_graph = run(trunk_graph(network.arch, flavour, state(network), SPEC), x_nhwc)
    np.testing.assert_allclose(of_graph, features, atol=1e-4 * np.ptp(features))
    of_graph = run(classifier_graph(network.arch, flavour, state(network), SPEC), x_nhwc)
    np.testing.assert_allclose(of_graph, probabilities, atol=1e-5)


def test_what_is_written_may_stand_in_a_bundle(arch: Arch) -> None:
    network = random_network(arch.scale(resolution=32), Flavour("same", 1e-3))
    arguments = (network.arch, network.flavour, state(network), SPEC)
    for model in (classifier_graph(*arguments), trunk_graph(*arguments), boundary_graph(*arguments, block=3)):
        data = model.SerializeToString()
        assert checked_graph(data, BATCH_SIZE)[0] is data
    assert (((b"", OPSET),), IR_VERSION) == (graph_check.OPSETS, graph_check.IR_VERSION)


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_every_activation(act: Activation) -> None:
    """Whatever a table may name: no published one names plain ReLU."""
    arch = parse_arch("mobilenet_v2:width=0.25,depth=0.1,resolution=32").with_classes(5)
    network = random_network(replace(arch, table=replace(arch.table, act=act)), Flavour("same", 1e-3))
    x_nhwc = pixels(32)
    with torch.inference_mode():
        probabilities = network(normalized(x_nhwc)).softmax(1).numpy()
    model = classifier_graph(network.arch, network.flavour, state(network), SPEC)
    np.testing.assert_allclose(run(model, x_nhwc), probabilities, atol=1e-5)
    assert checked_graph(model.SerializeToString(), BATCH_SIZE)[0] == model.SerializeToString()


@pytest.mark.parametrize("flavour", [Flavour("same", 1e-3), Flavour("symmetric", 1e-5)], ids=str)
def test_what_enters_any_block_is_what_torch_computes(arch: Arch, flavour: Flavour) -> None:
    network = random_network(arch.scale(resolution=65), flavour)
    x_nhwc, weights = pixels(65), state(network)
    assert len(network.blocks) > 10
    for block in (0, 1, 2, 7, len(network.blocks) - 1, len(network.blocks)):
        with torch.inference_mode():
            entering = network.blocks[:block](network.stem(normalized(x_nhwc))).numpy()
        activations = run(boundary_graph(network.arch, flavour, weights, SPEC, block), x_nhwc)
        assert activations.dtype == np.float16
        assert activations.shape == entering.shape
        assert np.ptp(entering) > 0.5
        np.testing.assert_allclose(activations, entering, rtol=2**-11, atol=1e-4 * np.ptp(entering))


def test_a_boundary_is_before_a_block(arch: Arch) -> None:
    weights, blocks = state(build(arch, seed=0)), sum(arch.stage_depths)
    for block in (-1, blocks + 1):
        with pytest.raises(ArchitectureError, match=rf"block {block}; block must be 0 to {blocks}"):
            boundary_graph(arch, Flavour(), weights, SPEC, block)


def test_a_wrong_epsilon_or_padding_shows(arch: Arch) -> None:
    network = random_network(arch.scale(resolution=64), Flavour("same", 1e-3))
    right, x_nhwc = state(network), pixels(64)
    with torch.inference_mode():
        features = network.features(normalized(x_nhwc)).numpy()
    for wrong in (Flavour("symmetric", 1e-3), Flavour("same", 1e-2)):
        of_graph = run(trunk_graph(network.arch, wrong, right, SPEC), x_nhwc)
        assert np.abs(of_graph - features).max() > 1e-2 * np.ptp(features)


def test_interface(arch: Arch) -> None:
    arch = arch.scale(resolution=64)
    model = classifier_graph(arch, Flavour(), state(build(arch, seed=0)), SPEC)
    (image,), (output,) = model.graph.input, model.graph.output
    assert image.name == "image"
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [d.dim_param or d.dim_value for d in image.type.tensor_type.shape.dim] == ["batch", 64, 64, 3]
    assert output.name == "probabilities"
    assert output.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert [d.dim_param or d.dim_value for d in output.type.tensor_type.shape.dim] == ["batch", 5]
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]


def test_metadata_travels_in_the_file(arch: Arch) -> None:
    arch = arch.scale(resolution=64)
    model = classifier_graph(arch, Flavour(), state(build(arch, seed=0)), SPEC)
    assert {entry.key: entry.value for entry in model.metadata_props} == SPEC.metadata


def test_bytes_are_the_same_each_time(arch: Arch) -> None:
    arch = arch.scale(resolution=64)
    weights = state(build(arch, seed=0))
    other_order = GraphSpec(SPEC.mean, SPEC.std, dict(reversed(list(SPEC.metadata.items()))))
    first, again = (classifier_graph(arch, Flavour(), weights, spec) for spec in (SPEC, other_order))
    assert first.SerializeToString(deterministic=True) == again.SerializeToString(deterministic=True)


def test_batch_norm_is_folded_and_all_data_is_inside(arch: Arch) -> None:
    arch = arch.scale(resolution=64)
    graph = classifier_graph(arch, Flavour(), state(build(arch, seed=0)), SPEC).graph
    kinds = [node.op_type for node in graph.node]
    assert "BatchNormalization" not in kinds
    assert kinds.count("Conv") == sum(op.kind == "conv" for op in lower(arch))
    assert kinds.count("Add") == sum(op.kind == "add" for op in lower(arch))
    assert kinds.count("GlobalAveragePool") == sum(op.kind == "pool" for op in lower(arch))
    assert kinds.count("Sigmoid") == sum(op.function in ("sigmoid", "silu") for op in lower(arch))
    assert not any(tensor.external_data for tensor in graph.initializer)
    assert {node.name for node in graph.node} >= {
        op.name for op in lower(arch) if op.kind in ("conv", "add", "mul", "pool", "linear")
    }
