"""Types of numbers in safetensors, with and without a NumPy type of their own."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from lungfish.weights.formats.safetensors import read_safetensors, safetensors_bytes
from lungfish.weights.formats.stored_tensors import NoPlainTensor


def test_every_float_and_counter(tmp_path: Path) -> None:
    stored = {
        "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
        "brain": torch.tensor([[1.5, -2.0, 3e38]], dtype=torch.bfloat16),
        "single": torch.tensor(0.1),
        "double": torch.tensor([0.1], dtype=torch.float64),
        "counter": torch.tensor(7),
        "empty": torch.empty(0, 3),
    }
    save_file(stored, tmp_path / "net.safetensors", {"name": "net"})
    arrays, metadata = read_safetensors(tmp_path / "net.safetensors")
    assert metadata == {"name": "net"}
    for name, tensor in stored.items():
        assert arrays[name].shape == tuple(tensor.shape), name
        np.testing.assert_array_equal(arrays[name], tensor.to(torch.float64).numpy())
    assert (arrays["brain"].dtype, arrays["counter"].dtype) == (np.float32, np.int64)


def test_a_type_that_numpy_lacks(tmp_path: Path) -> None:
    header = json.dumps({"eighth": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}).encode()
    (tmp_path / "net.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"ab")
    assert read_safetensors(tmp_path / "net.safetensors")[0] == {"eighth": NoPlainTensor((2,), "f8_e4m3")}


def test_the_same_bytes_whatever_the_order_of_the_metadata(tmp_path: Path) -> None:
    arrays = {"b": np.ones((2, 3), np.float32).T, "a": np.int64(3)}
    data = safetensors_bytes(arrays, {"x": "1", "y": "2"})
    assert data == safetensors_bytes(dict(reversed(arrays.items())), {"y": "2", "x": "1"})
    (tmp_path / "net.safetensors").write_bytes(data)
    read, metadata = read_safetensors(tmp_path / "net.safetensors")
    assert metadata == {"x": "1", "y": "2"}
    np.testing.assert_array_equal(read["b"], arrays["b"])
    assert read["a"] == 3
