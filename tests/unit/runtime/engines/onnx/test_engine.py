from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from lungfish.core.errors import BundleError
from lungfish.runtime.engines.engine import BATCH_SIZE
from lungfish.runtime.engines.onnx.engine import OnnxEngine
from lungfish.runtime.measure import latency

Model = Callable[..., Any]


def reds(count: int) -> np.ndarray:
    pixels = np.zeros((count, 8, 8, 3), np.uint8)
    pixels[..., 0] = 255
    return pixels


def test_it_says_what_it_is(color_model: Model) -> None:
    session = OnnxEngine(color_model().SerializeToString(), threads=1)
    assert (session.resolution_px, session.classes, session.threads) == (8, 3, 1)
    assert session.metadata["labels"] == '["red", "green", "blue"]'
    assert session.runtime.startswith("onnxruntime ")


def test_probabilities_are_the_softmax(color_model: Model) -> None:
    logits = np.array([0.02 * 255, 0, 0])
    expected = np.exp(logits) / np.exp(logits).sum()
    got = OnnxEngine(color_model().SerializeToString()).run(reds(2))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [expected, expected], rtol=1e-5)


@pytest.mark.parametrize("count", [0, 1, BATCH_SIZE, 2 * BATCH_SIZE + 3])
def test_batches_of_any_size_keep_their_order(color_model: Model, count: int) -> None:
    session = OnnxEngine(color_model().SerializeToString())
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    got = session.run(pixels)
    assert got.shape == (count, 3)
    for index in range(count):
        np.testing.assert_allclose(got[index], session.run(pixels[index : index + 1])[0], rtol=1e-5)


def test_same_input_same_bits(color_model: Model) -> None:
    data = color_model().SerializeToString()
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(OnnxEngine(data, 2).run(pixels), OnnxEngine(data, 2).run(pixels))


@pytest.mark.parametrize("pixels", [reds(1).astype(np.float32), np.zeros((1, 9, 8, 3), np.uint8), reds(1)[0]])
def test_other_pixels(color_model: Model, pixels: np.ndarray) -> None:
    with pytest.raises(BundleError, match=r"expected uint8 pixels .'batch', 8, 8, 3., got"):
        OnnxEngine(color_model().SerializeToString()).run(pixels)


def rename_input(model: Any) -> None:
    model.graph.input[0].name = model.graph.node[0].input[0] = "x"


def rename_output(model: Any) -> None:
    model.graph.output[0].name = model.graph.node[-1].output[0] = "logits2"


def fix_batch(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1


def take_floats(model: Any) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def add_output(model: Any) -> None:
    model.graph.output.append(model.graph.output[0])
    model.graph.output[1].name = "mean"


def channels_first(model: Any) -> None:
    for dim, size in zip(model.graph.input[0].type.tensor_type.shape.dim[1:], (3, 8, 8), strict=True):
        dim.dim_value = size


@pytest.mark.parametrize("break_it", [rename_input, rename_output, fix_batch, take_floats, add_output, channels_first])
def test_graphs_that_break_the_contract(color_model: Model, break_it: Callable[[Any], None]) -> None:
    model = color_model()
    break_it(model)
    with pytest.raises(BundleError, match=r"a bundle's graph has the input image|cannot load"):
        OnnxEngine(model.SerializeToString(), trusted=True)
    with pytest.raises(BundleError):
        OnnxEngine(model.SerializeToString())


def test_external_data_is_refused_before_it_is_read(
    color_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = color_model()
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "weights")
    (tmp_path / "secret.bin").write_bytes(weights.raw_data)
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="secret.bin")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match="stores tensors in other files"):
        OnnxEngine(model.SerializeToString())


def test_values_that_are_not_finite(color_model: Model) -> None:
    with pytest.raises(BundleError, match="not finite"):
        OnnxEngine(color_model(sharpness=float("nan")).SerializeToString()).run(reds(1))


def test_onnxruntime_refuses(color_model: Model, capfd: pytest.CaptureFixture[str]) -> None:
    model = color_model()
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(BundleError, match="onnxruntime cannot load the model"):
        OnnxEngine(model.SerializeToString(), trusted=True)
    assert capfd.readouterr().err == ""


def test_latency(color_model: Model) -> None:
    measured = latency(OnnxEngine(color_model().SerializeToString(), threads=1), seconds=0.05)
    assert 0 < measured.p50 <= measured.p95 < 1000
    assert measured.threads == 1
    assert measured.runtime.startswith("onnxruntime ")
