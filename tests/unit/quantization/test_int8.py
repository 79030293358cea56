import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from lungfish.architecture import parse_arch
from lungfish.deploy.classifier import Classifier
from lungfish.nn import build
from lungfish.quantization.int8 import quantize_int8
from lungfish.quantization.precision import PrecisionMap
from lungfish.runtime.engines.engine import BATCH_SIZE
from lungfish.runtime.engines.onnx.engine import OnnxEngine
from lungfish.runtime.engines.onnx.graph_check import checked_graph
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.weights.catalogue import find_entry
from lungfish.weights.load import from_network


@pytest.fixture
def fp32(classifier: Classifier, tmp_path: Path) -> Path:
    return classifier.write(tmp_path).path


@pytest.fixture
def int8(fp32: Path, pixels: np.ndarray) -> Path:
    path = fp32.with_name("model-int8.onnx")
    quantize_int8(fp32, path, pixels)
    return path


def opened(path: Path) -> OnnxEngine:
    return OnnxEngine(path.read_bytes())


def layers(file: Path) -> tuple[list[str], list[str]]:
    """Names of the layers with weights in 7 bits and a scale for each channel, and of those in floats."""
    graph = onnx.load(file).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    dequantized = {node.output[0]: node for node in graph.node if node.op_type == "DequantizeLinear"}
    quantized, floats = [], []
    for node in (node for node in graph.node if node.op_type in ("Conv", "Gemm")):
        if node.input[1] in constants:
            floats.append(node.name)
            continue
        values, scales, zeros = (constants[name] for name in dequantized[node.input[1]].input)
        assert values.dtype == np.int8
        assert 32 < np.abs(values.astype(int)).max() <= 64, node.name
        assert scales.shape == (values.shape[0],), node.name
        assert not zeros.any()
        quantized.append(node.name)
    return quantized, floats


def test_weights_have_7_bits_and_a_scale_for_each_channel(int8: Path) -> None:
    quantized, floats = layers(int8)
    assert len(quantized) > 10
    assert "classifier" in quantized
    assert floats
    assert all(name.startswith(("stem.", "blocks.0.")) for name in floats)


@pytest.mark.parametrize(
    "floats",
    [(), ("stem.", "blocks.0.", "blocks.1."), ("classifier",), ("blocks.2.depthwise.conv",)],
    ids=["everything in integers", "one block more", "a layer by its name", "a part of a block"],
)
def test_the_map_says_which_layers_are_quantized(
    fp32: Path, pixels: np.ndarray, tmp_path: Path, floats: tuple[str, ...]
) -> None:
    precisions = PrecisionMap({name.rstrip("."): "fp32" for name in floats})
    quantize_int8(fp32, tmp_path / "mapped.onnx", pixels[:4], precisions)
    expected = [node.name for node in onnx.load(fp32).graph.node if node.op_type in ("Conv", "Gemm")]
    in_floats = [name for name in expected if name.startswith(floats)]
    assert len(in_floats) >= len(floats)
    assert layers(tmp_path / "mapped.onnx") == ([name for name in expected if name not in in_floats], in_floats)
    before, after = (
        {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
        for path in (fp32, tmp_path / "mapped.onnx")
    )
    for name in in_floats:  # as they were, not rounded
        np.testing.assert_array_equal(after[f"{name}.weight"], before[f"{name}.weight"])
    assert opened(tmp_path / "mapped.onnx").run(pixels).shape == (16, 3)


def test_pixels_and_softmax_stay_in_floats(int8: Path) -> None:
    graph = onnx.load(int8).graph
    created_by = {output: node for node in graph.node for output in node.output}
    assert created_by["probabilities"].op_type == "Softmax"
    assert graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert created_by["input.centered"].op_type == "Sub"
    assert created_by[created_by["input.centered"].input[0]].op_type == "Cast"


def test_it_answers_much_as_the_floats_do(fp32: Path, int8: Path, pixels: np.ndarray) -> None:
    exact, rounded = opened(fp32).run(pixels), opened(int8).run(pixels)
    assert np.ptp(exact) > 0.2
    assert 0 < np.abs(exact - rounded).max() < 0.1
    assert int8.stat().st_size < fp32.stat().st_size


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v1:width=0.25,resolution=64",
        "mobilenet_v1_full:width=0.1,resolution=64",
        "mobilenet_v2:width=0.25,resolution=64",
        "efficientnet_b0:width=0.25,depth=0.5,resolution=64",
    ],
)
def test_every_family_can_be_quantized(name: str, pixels: np.ndarray, tmp_path: Path) -> None:
    arch = parse_arch(f"{name},classes=3")
    network = build(arch, seed=0).train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # the statistics of these pictures, else the signal would die out on the way
    with torch.no_grad():
        network(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 128 - 1)
    entry = find_entry("efficientnet_lite0.in1k")
    classifier = Classifier(from_network(network), 1.0, ("a", "b", "c"), Preprocessing(64), entry)
    fp32, int8 = classifier.write(tmp_path).path, tmp_path / "int8.onnx"
    quantize_int8(fp32, int8, pixels)
    exact, rounded = opened(fp32).run(pixels), opened(int8).run(pixels)
    assert np.ptp(exact) > 0.01
    assert np.abs(exact - rounded).mean() < 0.2 * np.ptp(exact)
    assert checked_graph(int8.read_bytes(), BATCH_SIZE) == (int8.read_bytes(), BATCH_SIZE)


def test_metadata_is_kept(fp32: Path, int8: Path) -> None:
    assert opened(int8).metadata == opened(fp32).metadata
    assert opened(int8).metadata["labels"]
    assert onnx.load(int8).producer_name == "lungfish"


def test_the_same_bytes_for_the_same_photos(fp32: Path, int8: Path, pixels: np.ndarray, tmp_path: Path) -> None:
    quantize_int8(fp32, tmp_path / "again.onnx", pixels)
    assert (tmp_path / "again.onnx").read_bytes() == int8.read_bytes()
    quantize_int8(fp32, tmp_path / "darker.onnx", pixels // 4)
    assert (tmp_path / "darker.onnx").read_bytes() != int8.read_bytes()


def test_nothing_is_left_behind(int8: Path, fp32: Path) -> None:
    assert {path.name for path in int8.parent.iterdir()} - {"cache"} == {int8.name, fp32.name}


def test_the_root_logger_is_as_it_was(fp32: Path, pixels: np.ndarray, tmp_path: Path) -> None:
    level = logging.getLogger().level
    quantize_int8(fp32, tmp_path / "int8.onnx", pixels[:2])
    assert logging.getLogger().level == level
    with pytest.raises(Exception, match="image"):
        quantize_int8(fp32, tmp_path / "int8.onnx", pixels[:2, :32])
    assert logging.getLogger().level == level
