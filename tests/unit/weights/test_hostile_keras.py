"""Files of Keras that somebody made to do harm: each is refused, nothing outside is read, nothing is written."""

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lungfish as lf
from lungfish.core.errors import WeightsError
from lungfish.weights.formats.checkpoint import read_checkpoint
from lungfish.weights.layouts import find_layout, tensor_slots

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'lungfish[keras]'")
ARCH = lf.arch("mobilenet_v1:width=0.25,resolution=32,classes=5")
STEM = "conv1/kernel"
Refused = Callable[..., None]


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    return {
        place.name: np.full(place.shape, 0.5, "f4") for place in tensor_slots(ARCH, find_layout("keras", ARCH)).values()
    }


@pytest.fixture
def published(tmp_path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """A sound file in the published layout."""
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.attrs["layer_names"] = [b"conv1"]
        for name, array in arrays.items():
            layer, _, variable = name.partition("/")
            file[f"{layer}/{layer}/{variable}:0"] = array
    assert set(read_checkpoint(tmp_path / "net.h5", ARCH, "keras")) == set(arrays)
    return tmp_path / "net.h5"


def external_link(file: Any) -> None:
    file["conv1/more"] = h5py.ExternalLink("other.h5", "/conv1")


def external_root(file: Any) -> None:
    file["model_weights"] = h5py.ExternalLink("other.h5", "/")


def soft_link(file: Any) -> None:
    file["conv1/more"] = h5py.SoftLink("/conv1_bn")


def dangling_link(file: Any) -> None:
    file["conv1/more"] = h5py.SoftLink("/nowhere")


def external_data(file: Any) -> None:
    file.create_dataset("conv1/more", (100,), "f4", external=[("secret.bin", 0, 400)])


def virtual_data(file: Any) -> None:
    layout = h5py.VirtualLayout((100,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "conv1", shape=(100,))
    file.create_virtual_dataset("conv1/more", layout)


def absurd_shape(file: Any) -> None:
    file.create_dataset("conv1/more", (2**40, 2**20), "f4", chunks=(2**10, 2**10))


def shape_that_wraps_around(file: Any) -> None:
    file.create_dataset("conv1/more", (2**32, 2**30), "f4", chunks=(2**10, 2**10))  # 2**64 bytes


def bomb(file: Any) -> None:
    file.create_dataset("conv1/more", data=np.zeros(30_000_000, "f4"), compression="gzip")


def cycle(file: Any) -> None:
    file["conv1/again"] = file["conv1"]


def cycle_to_the_root(file: Any) -> None:
    file["conv1/again"] = file["/"]


def depth(file: Any) -> None:
    file.create_group("/".join("d" * 3000))


def crowd(file: Any) -> None:
    for number in range(300):
        file.create_group(f"conv1/{number}")


def compound(file: Any) -> None:
    file["conv1/more"] = np.zeros(3, [("a", "f4"), ("b", "i4")])


def text(file: Any) -> None:
    file["conv1/more"] = np.array([b"words"])


def objects(file: Any) -> None:
    file.create_dataset("conv1/more", (3,), h5py.vlen_dtype(np.dtype("f4")))


def references(file: Any) -> None:
    file.create_dataset("conv1/more", (3,), h5py.ref_dtype)


def nothing(file: Any) -> None:
    file["conv1/more"] = h5py.Empty("f4")


def named_type(file: Any) -> None:
    file["conv1/more"] = np.dtype("f4")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (external_link, "/conv1/more is a link to somewhere else"),
        (external_root, "/model_weights is a link to somewhere else"),
        (soft_link, "/conv1/more is a link to somewhere else"),
        (dangling_link, "/conv1/more is a link to somewhere else"),
        (external_data, "conv1/more is not a plain array in this file"),
        (virtual_data, "conv1/more is not a plain array in this file"),
        (absurd_shape, r"claims to contain 4,611,\d\d\d,[\d,]+ bytes but has"),
        (shape_that_wraps_around, "claims to contain 18,446,744,[\\d,]+ bytes but has"),
        (bomb, r"claims to contain 12\d,\d\d\d,\d\d\d bytes but has"),
        (cycle, "/conv1/again is part of a cycle"),
        (cycle_to_the_root, "/conv1/again is part of a cycle"),
        (depth, "too deep"),
        (compound, "conv1/more is not a plain array"),
        (text, "conv1/more is not a plain array"),
        (objects, "conv1/more is not a plain array"),
        (references, "conv1/more is not a plain array"),
        (nothing, "conv1/more is not a plain array"),
        (named_type, "conv1/more is not a plain array"),
    ],
)
def test_hdf5(change: Callable[[Any], None], why: str, published: Path, refused: Refused) -> None:
    published.with_name("secret.bin").write_bytes(bytes(400))
    with h5py.File(published.with_name("other.h5"), "w") as file:
        file["conv1"] = np.ones(100, "f4")
    with h5py.File(published, "r+") as file:
        change(file)
    refused(published, ARCH, "keras", why)


def test_a_crowd_of_objects(published: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    from lungfish.weights.formats import keras as keras_file

    monkeypatch.setattr(keras_file, "MAX_TENSORS", 300)
    with h5py.File(published, "r+") as file:
        crowd(file)
    refused(published, ARCH, "keras", "one of too many")


def test_hdf5_with_numbers_that_are_not_finite(published: Path, refused: Refused) -> None:
    with h5py.File(published, "r+") as file:
        file["conv1/conv1/kernel:0"][0] = np.nan
    refused(published, ARCH, "keras", f"cannot be used: {STEM} contains NaN or infinity")


def test_big_endian_numbers_are_numbers(published: Path, arrays: dict[str, np.ndarray]) -> None:
    with h5py.File(published, "r+") as file:
        del file["conv1/conv1/kernel:0"]
        file["conv1/conv1/kernel:0"] = (2 * arrays[STEM]).astype(">f4")
    stem = lf.import_weights(published, ARCH, source="keras").stem.conv.weight
    assert torch.equal(stem, torch.ones_like(stem))


def test_cut_short(published: Path, refused: Refused) -> None:
    published.write_bytes(published.read_bytes()[:-1000])
    refused(published, ARCH, "keras", r"cannot read net\.h5")


def test_archives_of_keras(published: Path, tmp_path: Path, refused: Refused) -> None:
    folder = tmp_path / "archives"
    folder.mkdir()
    with zipfile.ZipFile(folder / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(50_000_000))
    refused(folder / "bomb.keras", ARCH, "keras", "claims to contain 50,000,000 bytes")
    with zipfile.ZipFile(folder / "paths.keras", "w") as archive:
        archive.writestr("../../escaped.h5", published.read_bytes())
        archive.writestr("/escaped.h5", published.read_bytes())
        archive.writestr("config.json", '{"class_name": "Lambda", "module": "os", "config": {"function": "system"}}')
    refused(folder / "paths.keras", ARCH, "keras", "no item named 'model.weights.h5'")
    with zipfile.ZipFile(folder / "paths.keras", "a") as archive:
        archive.write(published, "model.weights.h5")
    before = set(sys.modules)
    lf.import_weights(folder / "paths.keras", ARCH, source="keras")
    assert not list(tmp_path.rglob("escaped*"))
    assert not {"keras", "tensorflow"} & (set(sys.modules) - before)  # no model was made


def test_what_is_compressed_may_unpack_to_more_than_it_says(published: Path, tmp_path: Path) -> None:
    """Keras compresses neither arrays nor the file in its archive."""
    with zipfile.ZipFile(tmp_path / "net.keras", "w", zipfile.ZIP_BZIP2) as archive:
        archive.write(published, "model.weights.h5")
    with pytest.raises(WeightsError, match="in a way that Keras never uses"):
        read_checkpoint(tmp_path / "net.keras", ARCH, "keras")
    with h5py.File(published, "a") as file:
        file.create_dataset("conv1/more", data=np.zeros(1000, "f4"), compression="gzip")
    with pytest.raises(WeightsError, match="compressed, which Keras never does"):
        read_checkpoint(published, ARCH, "keras")
