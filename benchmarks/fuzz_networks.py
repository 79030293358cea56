"""Small sound files of networks and weights, to be damaged."""

from __future__ import annotations

import io
import json
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fuzz_seeds import LABELS, Seeds, photos, zipped

ARCH = "mobilenet_v1:width=0.1,depth=0.1,resolution=32,classes=3"
RICHER = "efficientnet_b0:width=0.1,depth=0.1,resolution=32,classes=3"  # squeeze and excite, SiLU, residuals


@lru_cache
def graphs(data: Path) -> dict[str, bytes]:
    """Networks as our exporter writes them: two in floats, one in INT8."""
    from lungfish import nn
    from lungfish.architecture import parse_arch
    from lungfish.deploy.classifier import Classifier
    from lungfish.job.start import INITIAL
    from lungfish.quantization.int8 import quantize_int8
    from lungfish.runtime.preprocessing import Preprocessing
    from lungfish.weights.load import from_network

    pixels = np.stack([np.asarray(photo.resize((32, 32))) for photo in photos(data)])
    with tempfile.TemporaryDirectory() as folder:
        for stem, name in (("model", ARCH), ("richer", RICHER)):
            network = nn.build(parse_arch(name), INITIAL.flavour, seed=0).eval()
            Classifier(from_network(network), 1.0, LABELS, Preprocessing(32, 0.875, "bicubic"), INITIAL).write(
                Path(folder), stem
            )
        model, int8, richer = (Path(folder, name) for name in ("model.onnx", "int8.onnx", "richer.onnx"))
        quantize_int8(model, int8, pixels)
        return {path.name: path.read_bytes() for path in (model, int8, richer)}


def bundle_seeds(data: Path) -> Seeds:
    """A bundle: its manifest is damaged; its model and weights are sound."""
    from lungfish.architecture import parse_arch
    from lungfish.core.hashing import sha256_bytes
    from lungfish.runtime.artifact import ArtifactRow, FileRow
    from lungfish.runtime.manifest import DataSummary, FlavourRow, Manifest, WeightsOrigin
    from lungfish.runtime.preprocessing import Preprocessing
    from lungfish.weights.catalogue import find_entry
    from lungfish.weights.store.record import WeightsRecord

    around = {"model.onnx": graphs(data)["model.onnx"], "weights.safetensors": safetensors_seeds(data).files["plain"]}
    model, weights = around.values()
    entry = find_entry("efficientnet_lite0.in1k")
    manifest = Manifest(
        lungfish="1.0",
        created="2026-01-01T00:00:00+00:00",
        seed=0,
        packages={"numpy": "2.0", "onnxruntime": "1.20"},
        architecture=parse_arch(ARCH).to_json(),
        flavour=FlavourRow("same", 1e-3),
        weights=WeightsOrigin(
            entry.name, entry.source, entry.license, entry.sha256, WeightsRecord(entry, "2026").to_json()
        ),
        labels=LABELS,
        thresholds={"known": 0.5},
        temperature=1.0,
        preprocess=Preprocessing(32, 0.875, "bicubic"),
        data=DataSummary("0" * 64, {"train": 8, "val": 1, "test": 1}, {"how": "hash"}),
        artifacts=(ArtifactRow("model.onnx", "onnx", "fp32", len(model), sha256_bytes(model), top1=0.9),),
        default="model.onnx",
        test={"top1": 0.9, "ci95": [0.8, 1.0], "n": 10},
        val={"top1": 0.9},
        machine={"cpu": "one"},
        files={"weights.safetensors": FileRow(sha256_bytes(weights), len(weights))},
    )
    return Seeds({"bundle": manifest.to_json().encode()}, around)


@lru_cache
def tensors() -> dict[str, Any]:
    """Some of the packaged weights of Lite0, the large ones cut down, and dtypes that they do not have."""
    import torch

    from lungfish.weights.catalogue import find_entry
    from lungfish.weights.fetch.package import packaged_file

    file = packaged_file(find_entry("efficientnet_lite0.in1k"))
    state: dict[str, Any] = dict(list(torch.load(file, map_location="cpu", weights_only=True).items())[:14])
    state = {name: tensor[:4].clone() if tensor.ndim else tensor for name, tensor in state.items()}
    whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    return state | {"shared": whole, "strided": whole.t()[1:], "half": whole.half(), "brain": whole.bfloat16()}


def torch_seeds(_: Path, *, in_zip: bool) -> Seeds:
    """State dicts and a checkpoint that holds one."""
    import torch

    files = {}
    for name, value in (
        ("plain", tensors()),
        ("nested", {"state_dict": tensors(), "epoch": 3}),
        ("two", list(tensors().items())[:2]),
    ):
        packed = io.BytesIO()
        torch.save(dict(value), packed, _use_new_zipfile_serialization=in_zip)
        files[name] = packed.getvalue()
    return Seeds(files)


def safetensors_seeds(_: Path) -> Seeds:
    from safetensors.torch import save

    contiguous = {name: tensor.contiguous().clone() for name, tensor in tensors().items()}
    header = {"architecture": ARCH, "license": "Apache-2.0", "padding": "same", "bn_eps": "1e-3"}
    few = {name: tensor[:1].clone() for name, tensor in contiguous.items() if tensor.ndim}
    return Seeds({"plain": save(contiguous), "ours": save(few, header)})


def hdf5_seeds(_: Path, *, archived: bool) -> Seeds:
    """The three layouts that Keras has written, of a convolution, a batch norm and a classifier."""
    import h5py

    rng = np.random.default_rng(0)
    shapes = {"conv2d/kernel": (3, 3, 3, 4), "bn/gamma": (4,), "bn/beta": (4,), "dense/kernel": (4, 3)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    files = {}
    for kind in ("published", "whole", "numbered", "named", "latest"):
        packed = io.BytesIO()
        with h5py.File(packed, "w", libver="latest" if kind == "latest" else "earliest") as file:
            root = file.create_group("model_weights") if kind == "whole" else file
            if kind in ("published", "whole", "latest"):
                root.attrs["layer_names"] = sorted({name.partition("/")[0].encode() for name in arrays})
            for number, (name, array) in enumerate(arrays.items()):
                layer = name.partition("/")[0]
                if kind in ("numbered", "named"):
                    group = file.require_group(f"layers/{layer}/vars")
                    group[str(number)] = array
                    group.attrs.update({"name": layer} if kind == "named" else {})
                else:
                    root[f"{layer}/{name}:0"] = array
        files[kind] = packed.getvalue()
    return (
        Seeds({kind: zipped({"model.weights.h5": file, "config.json": b"{}"}) for kind, file in files.items()})
        if archived
        else Seeds(files)
    )


def arch_seeds(_: Path) -> Seeds:
    from lungfish.architecture import parse_arch

    return Seeds({name.partition(":")[0]: json.dumps(parse_arch(name).to_json()).encode() for name in (ARCH, RICHER)})
