import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from lungfish.architecture import parse_arch
from lungfish.deploy.classifier import Classifier
from lungfish.deploy.quantize import FLOAT_BLOCKS, quantize_int8
from lungfish.nn import build
from lungfish.runtime.graph_check import checked_graph
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.runtime.session import BATCH_SIZE, Session
from lungfish.weights.catalogue import find_entry


@pytest.fixture
def fp32(classifier: Classifier, tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    classifier.write_onnx(path)
    return path


@pytest.fixture
def int8(fp32: Path, pixels: np.ndarray) -> Path:
    path = fp32.with_name("model-int8.onnx")
    quantize_int8(fp32, path, pixels)
    return path


def test_weights_have_7_bits_and_a_scale_for_each_channel(int8: Path) -> None:
    graph = onnx.load(int8).graph
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
    assert len(quantized) > 10
    assert "classifier" in quantized
    assert floats
    assert all(name.startswith(FLOAT_BLOCKS) for name in floats)


def test_pixels_and_softmax_stay_in_floats(int8: Path) -> None:
    graph = onnx.load(int8).graph
    made_by = {output: node for node in graph.node for output in node.output}
    assert made_by["probabilities"].op_type == "Softmax"
    assert graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert made_by["input.centered"].op_type == "Sub"
    assert made_by[made_by["input.centered"].input[0]].op_type == "Cast"


def test_it_answers_much_as_the_floats_do(fp32: Path, int8: Path, pixels: np.ndarray) -> None:
    exact, rounded = Session(fp32).run(pixels), Session(int8).run(pixels)
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
    classifier = Classifier(network.eval(), 1.0, ("a", "b", "c"), Preprocessing(64), entry)
    fp32, int8 = tmp_path / "fp32.onnx", tmp_path / "int8.onnx"
    classifier.write_onnx(fp32)
    quantize_int8(fp32, int8, pixels)
    exact, rounded = Session(fp32).run(pixels), Session(int8).run(pixels)
    assert np.ptp(exact) > 0.01
    assert np.abs(exact - rounded).mean() < 0.2 * np.ptp(exact)
    assert checked_graph(int8.read_bytes(), BATCH_SIZE) == (int8.read_bytes(), BATCH_SIZE)


def test_metadata_is_kept(fp32: Path, int8: Path) -> None:
    assert Session(int8).metadata == Session(fp32).metadata
    assert Session(int8).metadata["labels"]
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
