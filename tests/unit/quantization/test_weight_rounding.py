from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnxruntime import InferenceSession

from lungfish.quantization import weight_rounding
from lungfish.quantization.weight_rounding import LARGEST, round_weights

SIDE, CHANNELS = 20, 6


def graph(groups: int, kernel: int, seed: int = 0) -> onnx.ModelProto:
    """uint8 `image` to six channels that go together, to a convolution, to a matrix product of its means."""
    chance = np.random.default_rng(seed)

    def constant(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(chance.normal(size=shape).astype(np.float32), name)

    pad = kernel // 2
    nodes = [
        helper.make_node("Transpose", ["image"], ["bytes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["bytes"], ["pixels"], to=onnx.TensorProto.FLOAT),
        helper.make_node(
            "Conv",
            ["pixels", "stem.weight"],
            ["stem"],
            "stem",
            kernel_shape=[1, 1],
            pads=[0] * 4,
            strides=[1, 1],
            group=1,
        ),
        helper.make_node(
            "Conv",
            ["stem", "conv.weight", "conv.bias"],
            ["conv"],
            "conv",
            kernel_shape=[kernel, kernel],
            pads=[pad] * 4,
            strides=[2, 2],
            group=groups,
        ),
        helper.make_node("GlobalAveragePool", ["conv"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("Gemm", ["flat", "linear.weight", "linear.bias"], ["answer"], "linear", transB=1),
    ]
    tensors = [
        constant("stem.weight", CHANNELS, 3, 1, 1),
        constant("conv.weight", CHANNELS, CHANNELS // groups, kernel, kernel),
        constant("conv.bias", CHANNELS),
        constant("linear.weight", 4, CHANNELS),
        constant("linear.bias", 4),
    ]
    created = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("conv", "answer")],
        tensors,
    )
    return helper.make_model(created, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def photos(count: int, seed: int) -> np.ndarray:
    """Smooth patches, as photos are: what is rounded away in one pixel can be made up for in the next."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 5, 5, 3), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def nearest(weight: np.ndarray) -> np.ndarray:
    step = steps_of(weight)
    return (np.rint(weight / step) * step).astype(np.float32)


def steps_of(weight: np.ndarray) -> np.ndarray:
    return np.abs(weight).max(axis=tuple(range(1, weight.ndim)), keepdims=True) / LARGEST


def run(model: onnx.ModelProto, pixels: np.ndarray, output: str) -> np.ndarray:
    answer: np.ndarray = InferenceSession(model.SerializeToString()).run([output], {"image": pixels})[0]
    return answer


def rounded(model: onnx.ModelProto, **options: tuple[str, ...]) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    round_weights(copy, photos(16, seed=1), **options)
    return copy


@pytest.mark.parametrize(("groups", "kernel"), [(1, 1), (1, 3), (CHANNELS, 3), (CHANNELS, 5), (2, 3)])
def test_weights_lie_on_the_grid_that_their_largest_spans(groups: int, kernel: int) -> None:
    model = graph(groups, kernel)
    before, after = weights(model), weights(rounded(model))
    for name in ("stem.weight", "conv.weight", "linear.weight"):
        levels = after[name] / steps_of(before[name])
        assert np.abs(levels - np.rint(levels)).max() < 1e-4, name
        assert np.abs(levels).max() == pytest.approx(LARGEST), name
        np.testing.assert_allclose(steps_of(after[name]), steps_of(before[name]), rtol=1e-6)
        assert not np.array_equal(after[name], before[name])
    assert np.array_equal(after["conv.bias"], before["conv.bias"])


@pytest.mark.parametrize(("groups", "kernel"), [(1, 1), (1, 3), (CHANNELS, 3), (CHANNELS, 5), (2, 3)])
def test_outputs_stay_nearer_than_by_rounding_each_weight(groups: int, kernel: int) -> None:
    """On photos that were not looked at; the layer alone, its inputs as they were."""
    gains = []
    for seed in range(6):
        model = graph(groups, kernel, seed)
        after = rounded(model, skip=("stem", "linear"))
        plain = onnx.ModelProto()
        plain.CopyFrom(model)
        tensor = next(each for each in plain.graph.initializer if each.name == "conv.weight")
        tensor.CopyFrom(numpy_helper.from_array(nearest(weights(model)["conv.weight"]), "conv.weight"))
        unseen = photos(16, seed=2)
        exact = run(model, unseen, "conv")
        gains.append(
            np.square(run(plain, unseen, "conv") - exact).mean() / np.square(run(after, unseen, "conv") - exact).mean()
        )
    assert np.median(gains) > 1.5, gains


def test_layers_to_skip_and_layers_too_wide_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = graph(1, 3)
    before = weights(model)
    skipped = weights(rounded(model, skip=("stem", "linear")))
    assert [name for name in before if not np.array_equal(before[name], skipped[name])] == ["conv.weight"]
    monkeypatch.setattr(weight_rounding, "MOST_INPUTS", CHANNELS)
    narrow = weights(rounded(model))
    assert [name for name in before if not np.array_equal(before[name], narrow[name])] == [
        "stem.weight",
        "linear.weight",
    ]


@pytest.mark.parametrize("change", [lambda w: w * 0, lambda w: np.where(np.arange(len(w))[:, None, None, None], w, 0)])
def test_weights_that_are_all_zero_stay_zero(change: Callable[[np.ndarray], np.ndarray]) -> None:
    model = graph(CHANNELS, 3)
    tensor = next(each for each in model.graph.initializer if each.name == "conv.weight")
    changed = change(numpy_helper.to_array(tensor)).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(changed, "conv.weight"))
    after = weights(rounded(model))
    assert all(np.isfinite(each).all() for each in after.values())
    assert not after["conv.weight"][changed == 0].any()


def test_photos_that_are_black_are_no_harm() -> None:
    model = graph(1, 1)
    round_weights(model, np.zeros((2, SIDE, SIDE, 3), np.uint8))
    assert all(np.isfinite(each).all() for each in weights(model).values())
