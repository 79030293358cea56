"""Any checkpoint to one file with our names, which says where it came from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lungfish.architecture import Arch, Flavour, parse_arch
from lungfish.core.errors import UsageError
from lungfish.core.files import write_atomic
from lungfish.core.hashing import files_digest, sha256_bytes
from lungfish.core.names import printable
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.weights.convert.exchange import fill
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.formats.checkpoint import files_of, read_checkpoint
from lungfish.weights.formats.safetensors import safetensors_bytes
from lungfish.weights.layouts import detect_source, find_source, usual_preprocessing
from lungfish.weights.layouts.detection import OURS
from lungfish.weights.scheme import FILE
from lungfish.weights.store.store import Store


@dataclass(frozen=True)
class Provenance:
    """What is known of weights besides their tensors.

    Args:
        flavour: padding and batch-norm epsilon; those of the source if None.
        preprocessing: what the pixels go through; what is usual for the source if None.
        license: SPDX identifier; empty if nobody told.
        name: of the set of weights; empty if it has none.
        location: where the file came from; empty if nobody told.
    """

    flavour: Flavour | None = None
    preprocessing: Preprocessing | None = None
    license: str = ""
    name: str = ""
    location: str = ""

    @classmethod
    def of(cls, entry: WeightsEntry) -> Provenance:
        """What an entry says of its weights."""
        preprocessing = entry.preprocessing(parse_arch(entry.arch).resolution_px)
        location = "" if entry.location.startswith(FILE) else entry.location  # folders stay on this machine
        return cls(entry.flavour, preprocessing, entry.license, entry.name, location)


@dataclass(frozen=True)
class Converted:
    """A converted file.

    Args:
        out: the file.
        arch: name of the network.
        source: the library that the checkpoint came from.
        sha256_before: of the checkpoint; of its files one after another if it consists of several, index first.
        sha256: of `out`.
        params: parameters of the network.
        averages: how many tensors are moving averages of the trained weights.
        dropped: what of the checkpoint was left out.
        license: SPDX identifier; empty if nobody told.
    """

    out: Path
    arch: str
    source: str
    sha256_before: str
    sha256: str
    params: int
    averages: int
    dropped: tuple[str, ...]
    license: str

    def to_json(self) -> dict[str, Any]:
        return vars(self) | {"out": str(self.out), "dropped": list(self.dropped)}


def convert_file(path: Path, arch: Arch, source: str, out: Path, provenance: Provenance) -> Converted:
    """Write a checkpoint of another library as safetensors with our names; `lf.build` takes the file as it is.

    The same checkpoint and provenance give the same bytes.

    Args:
        path: the checkpoint, as `read_checkpoint` takes it.
        arch: the network that it holds, number of classes included.
        source: the library; found by the names of the tensors if empty.
        out: the file to write, which is replaced if it is there.
        provenance: what is known of the weights.

    Raises:
        UnknownNameError: no such source.
        UsageError: no such file, nobody's names, or a network that the source does not have.
        WeightsError: the file cannot be read, is of another network or holds numbers that are not finite.
        MissingExtraError: the package that reads it is not installed.
        StorageError: `out` cannot be written.
    """
    from lungfish.nn import Network

    if source:
        find_source(source)
    state = read_checkpoint(path, arch, source)
    source = source or detect_source(state)
    if source == OURS:
        raise UsageError(f"{printable(str(path))} has our names already", "Use it as it is: --weights file:PATH.")
    network = Network(arch, provenance.flavour or find_source(source).flavour_of(arch))
    filled = fill(network, state, source)
    before = files_digest(files_of(path))
    metadata = _flavour(network.flavour) | _pixels(provenance.preprocessing or usual_preprocessing(source, arch))
    metadata |= {
        "architecture": json.dumps(arch.to_json(), sort_keys=True),
        "averages": str(filled.averages),
        "dropped": json.dumps(filled.dropped),
        "file": printable(path.name),
        "license": provenance.license,
        "location": provenance.location,
        "lungfish": version("lungfish"),
        "name": provenance.name,
        "sha256_before": before,
        "source": source,
    }
    data = safetensors_bytes(network.state_dict(), {key: value for key, value in metadata.items() if value})
    write_atomic(out, data)
    if provenance.license:
        Store().state_license(sha256_bytes(data), provenance.license)
    params = sum(parameter.numel() for parameter in network.parameters())
    return Converted(
        out, arch.name, source, before, sha256_bytes(data), params, filled.averages, filled.dropped, provenance.license
    )


def _flavour(flavour: Flavour) -> dict[str, str]:
    return {"padding": flavour.padding, "bn_eps": repr(flavour.bn_eps)}


def _pixels(known: Preprocessing | None) -> dict[str, str]:
    if known is None:
        return {}
    return {
        "mean": json.dumps(known.mean),
        "std": json.dumps(known.std),
        "crop_fraction": repr(known.crop_fraction),
        "interpolation": known.interpolation,
    }
