"""Files of weights that somebody made to do harm: each is refused, nothing in it runs, nothing is written."""

import json
import os
import pickle
import random
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

import lungfish as lf
from lungfish.core.errors import WeightsError
from lungfish.weights.formats import limits
from lungfish.weights.formats.checkpoint import read_checkpoint
from lungfish.weights.layouts import find_layout, tensor_slots

ARCH = lf.arch("mobilenet_v1:width=0.25,resolution=32,classes=5")


Refused = Callable[..., None]


class Code:
    """Unpickled, it would make a folder."""

    def __init__(self, created: Path) -> None:
        self.created = created

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.created),)


def plain_pickle(value: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(value, 2))


def new_pickle(value: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(value, 5))


def legacy(value: object, path: Path) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("write", [torch.save, legacy, plain_pickle, new_pickle])
def test_pickles_with_code(write: Callable[[object, Path], None], tmp_path: Path, refused: Refused) -> None:
    path, created = tmp_path / "code.pth", tmp_path / "executed"
    write({"conv_stem.weight": Code(created)}, path)
    refused(path, ARCH, "timm", "it contains more than plain tensors")
    pickle.loads(pickle.dumps(Code(created)))  # that it would have run
    assert created.is_dir()


def test_the_code_is_named(tmp_path: Path, refused: Refused) -> None:
    torch.save(Code(tmp_path / "executed"), tmp_path / "code.pth")
    refused(tmp_path / "code.pth", ARCH, "timm", r"it contains more than plain tensors and would run (posix|nt)\.mkdir")


def test_whole_modules_and_programs(tmp_path: Path, refused: Refused) -> None:
    module = torch.nn.Linear(2, 2)
    torch.save(module, tmp_path / "module.pth")
    refused(tmp_path / "module.pth", ARCH, "timm", r"would run torch\.nn\.modules\.linear\.Linear")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(module, torch.zeros(1, 2)), tmp_path / "script.pt")
    refused(tmp_path / "script.pt", ARCH, "timm", "is a TorchScript archive: a program, not plain tensors")


def test_a_storage_of_absurd_size(tmp_path: Path, refused: Refused) -> None:
    class Claims(pickle.Pickler):
        def persistent_id(self, value: object) -> object:
            return ("storage", torch.FloatStorage, "0", "cpu", 10**15) if isinstance(value, Storage) else None

    class Storage:
        pass

    class Claimed:
        def __reduce__(self) -> tuple[object, ...]:
            return torch._utils._rebuild_tensor_v2, (Storage(), 0, (10**15,), (1,), False, {})

    torch.save({}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as whole, zipfile.ZipFile(tmp_path / "absurd.pth", "w") as archive:
        for member in whole.infolist():
            with archive.open(member.filename, "w") as file:
                if member.filename.endswith("data.pkl"):
                    Claims(file, 2).dump({"conv_stem.weight": Claimed()})
                else:
                    file.write(whole.read(member))
        archive.writestr("plain/data/0", bytes(16))
    refused(tmp_path / "absurd.pth", ARCH, "timm", "cannot read absurd.pth")


def test_a_bomb(tmp_path: Path, refused: Refused) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data.pkl", bytes(50_000_000))
    refused(tmp_path / "bomb.pth", ARCH, "timm", r"bomb\.pth claims to contain 50,000,000 bytes but has \d\d,\d\d\d")


@pytest.mark.parametrize(
    ("tensor", "why"),
    [
        (torch.full((8, 3, 3, 3), torch.nan), "conv_stem.weight contains NaN or infinity"),
        (torch.full((8, 3, 3, 3), -torch.inf, dtype=torch.float16), "conv_stem.weight contains NaN or infinity"),
        (torch.ones(8, 3, 3, 3, dtype=torch.int8), "conv_stem.weight is of type int8"),
        (torch.ones(8, 3, 3, 3, dtype=torch.complex64), "conv_stem.weight is of type complex64"),
        (torch.ones(8, 3, 3, 3).to_sparse(), "conv_stem.weight is not a plain tensor"),
        (torch.ones(8, 3, 3, 3, device="meta"), "conv_stem.weight is not a plain tensor"),
        (torch.ones(1).expand(10**9, 10**6), r"conv_stem.weight is \[1000000000, 1000000\]"),
        ([1.0, 2.0], "conv_stem.weight is a list"),
    ],
)
def test_numbers_that_are_no_weights(tensor: object, why: str, tmp_path: Path, refused: Refused) -> None:
    torch.save(torch_state() | {"conv_stem.weight": tensor}, tmp_path / "net.pth")
    refused(tmp_path / "net.pth", ARCH, "timm", why)


def torch_state() -> dict[str, torch.Tensor]:
    where = tensor_slots(ARCH, find_layout("timm", ARCH)).values()
    return {place.name: torch.full(place.shape, 0.5) for place in where if not place.optional}


def test_parts_of_a_checkpoint(tmp_path: Path, refused: Refused) -> None:
    state = torch_state()
    parallel = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"model_ema": parallel, "epoch": 3, "optimizer": {"lr": 0.1}}, tmp_path / "ema.pth")
    assert set(read_checkpoint(tmp_path / "ema.pth", ARCH, "timm")) == set(state)
    torch.save({"state_dict": state, "state_dict_ema": state}, tmp_path / "two.pth")
    refused(tmp_path / "two.pth", ARCH, "timm", "contains state_dict and state_dict_ema; the choice is ambiguous")
    torch.save(state | {"module.extra": torch.ones(1)}, tmp_path / "mixed.pth")
    refused(tmp_path / "mixed.pth", ARCH, "timm", r"unexpected module\.extra")


def safetensors(tensors: Mapping[str, object], numbers: int) -> bytes:
    header = json.dumps(tensors).encode()
    return struct.pack("<Q", len(header)) + header + bytes(numbers)


def row(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    "data",
    [
        safetensors({"a": row([4], 0, 16), "b": row([4], 8, 24)}, 24),  # they overlap
        safetensors({"a": row([4], 0, 16), "b": row([4], 0, 16)}, 16),  # the same place
        safetensors({"a": row([4], 0, 16)}, 8),  # cut short
        safetensors({"a": row([4], 0, 16)}, 64),  # more than it says
        safetensors({"a": row([2**40, 2**40], 0, 16)}, 16),
        safetensors({"a": row([2**62, 4], 0, 16)}, 16),  # the product wraps around to 0
        safetensors({"a": row([-4], 0, 16)}, 16),
        safetensors({"a": row([4], 16, 0)}, 16),
        safetensors({"a": row([4], 0, 16, "PICKLE")}, 16),
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2**30) + b"{}",  # a header longer than the file
        struct.pack("<Q", 200_000_000) + b"{" + b" " * 100,
        struct.pack("<Q", 10) + b"[" * 10,
        struct.pack("<Q", 10) + b"\xff" * 10,
        b"\x02",
        b"",
    ],
)
def test_safetensors(data: bytes, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "net.safetensors").write_bytes(data)
    refused(tmp_path / "net.safetensors", ARCH, "timm", r"cannot read net\.safetensors: ")


def test_safetensors_of_other_types(tmp_path: Path, refused: Refused) -> None:
    from safetensors.torch import save_file

    for dtype in (torch.bool, torch.uint8, torch.float8_e4m3fn):
        save_file(torch_state() | {"bn1.weight": torch.ones(8).to(dtype)}, tmp_path / "net.safetensors")
        refused(tmp_path / "net.safetensors", ARCH, "timm", "cannot be used: bn1.weight is of type")


def test_our_own_files_are_looked_at_too(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = lf.build(ARCH, seed=0).state_dict()
    state["stem.norm.running_var"][3] = torch.inf
    save_file(state, tmp_path / "net.safetensors")
    with pytest.raises(WeightsError, match=r"cannot be used: stem\.norm\.running_var contains NaN or infinity"):
        lf.build(ARCH, tmp_path / "net.safetensors")


def test_files_that_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    torch.save(torch_state(), tmp_path / "net.pth")
    monkeypatch.setattr(limits, "MAX_BYTES", 1000)
    refused(tmp_path / "net.pth", ARCH, "timm", r"net\.pth has [\d,]+ bytes; at most 1,000 are read")


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_random_damage(ending: str, tmp_path: Path) -> None:
    """Whatever byte is wrong, the file is read or refused; nothing else is raised."""
    from safetensors.torch import save_file

    path, state = tmp_path / f"net{ending}", torch_state()
    torch.save(state, path) if ending == ".pth" else save_file(state, path)
    whole, rng = path.read_bytes(), random.Random(0)
    outcomes = set()
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(3):
            data[rng.choice((rng.randrange(len(data)), rng.randrange(3000), -rng.randrange(1, 3000)))] = rng.randrange(
                256
            )
        path.write_bytes(data[: rng.randrange(len(data))] if rng.random() < 0.2 else data)
        try:
            lf.import_weights(path, ARCH, source="timm")
            outcomes.add("read")
        except WeightsError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
