"""Keras's formats, written here as Keras writes them; tests/parity reads files that Keras wrote itself."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import lungfish as lf
from lungfish.core.errors import MissingExtraError, WeightsError
from lungfish.weights.formats import keras as keras_file
from lungfish.weights.formats.keras import read_keras
from lungfish.weights.layouts import find_layout, tensor_slots

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'lungfish[keras]'")
V1 = lf.arch("mobilenet_v1:width=0.25,resolution=32,classes=5")
Arrays = Mapping[str, np.ndarray]


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    where = tensor_slots(V1, find_layout("keras", V1)).values()
    return {place.name: rng.normal(size=place.shape).astype(np.float32) for place in where}


def write_published(path: Path, arrays: Arrays, root: str = "") -> Path:
    """`layer_names` at the root; each variable's name repeats its layer's."""
    with h5py.File(path, "w") as file:
        group = file.create_group(root) if root else file
        group.attrs["layer_names"] = sorted({name.partition("/")[0].encode() for name in arrays})
        for name, array in arrays.items():
            layer, _, variable = name.partition("/")
            old = f"depthwise_{variable}" if layer.startswith("conv_dw") and variable == "kernel" else variable
            group[f"{layer}/{layer}/{old}:0"] = array
    return path


def write_new(path: Path, arrays: Arrays, *, named: bool) -> Path:
    """Layers are numbered by class, variables by number; later versions of Keras note the layer's own name."""
    numbers: dict[str, int] = {}
    layers: dict[str, str] = {}
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            layer, _, variable = name.partition("/")
            depthwise = layer.startswith("conv_dw") and not layer.endswith("_bn")
            kind = "batch_normalization" if layer.endswith("_bn") else "depthwise_conv2d" if depthwise else "conv2d"
            if layer not in layers:
                number = numbers[kind] = numbers.get(kind, -1) + 1
                layers[layer] = f"{kind}_{number}" if number else kind
            group = file.require_group(f"layers/{layers[layer]}/vars")
            if named:
                group.attrs["name"] = layer
            group[str(keras_file.VARIABLES[kind].index(variable))] = array
    return path


def assert_read(path: Path, arrays: Arrays) -> None:
    found = read_keras(path, V1)
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_published_files(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    assert_read(write_published(tmp_path / "weights.h5", arrays), arrays)
    assert_read(write_published(tmp_path / "whole.h5", arrays, root="model_weights"), arrays)


def test_new_files(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    assert_read(write_new(tmp_path / "named.weights.h5", arrays, named=True), arrays)
    assert_read(write_new(tmp_path / "numbered.weights.h5", arrays, named=False), arrays)


def test_archives(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    inner = write_new(tmp_path / "inner.weights.h5", arrays, named=True)
    with zipfile.ZipFile(tmp_path / "whole.keras", "w") as archive:
        archive.write(inner, "model.weights.h5")
    assert_read(tmp_path / "whole.keras", arrays)


def test_a_network_from_a_file(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    network = lf.import_weights(write_published(tmp_path / "weights.h5", arrays), V1, source="keras")
    expected = arrays["conv_preds/kernel"][0, 0].T
    np.testing.assert_array_equal(network.classifier.weight.detach().numpy(), expected)


def test_a_file_of_another_network(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    path = write_published(tmp_path / "weights.h5", arrays)
    wider = lf.arch("mobilenet_v1:width=0.5,resolution=32,classes=5")
    with pytest.raises(WeightsError, match=r"misshapen conv1/kernel is \[3, 3, 3, 8\], expected \[3, 3, 3, 16\]"):
        lf.import_weights(path, wider, source="keras")


def refused(path: Path, why: str) -> None:
    with pytest.raises(WeightsError, match=why):
        read_keras(path, V1)


def test_files_that_hold_no_weights(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no HDF5")
    refused(tmp_path / "text.h5", r"cannot read text\.h5")
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    refused(tmp_path / "empty.h5", r"empty\.h5 contains no Keras layers")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    refused(tmp_path / "other.keras", r"cannot read other\.keras")


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"needs h5py.*\n.*pip install .*\[keras\]"):
        read_keras(tmp_path / "weights.h5", V1)
