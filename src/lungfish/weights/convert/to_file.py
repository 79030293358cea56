"""Convert any checkpoint to one safetensors file that has our names and records its origin."""

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
from lungfish.costs import cost
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.weights.convert.exchange import convert_arrays
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.formats.checkpoint import files_of, read_checkpoint
from lungfish.weights.formats.safetensors import safetensors_bytes
from lungfish.weights.layouts import detect_source, find_source, usual_preprocessing
from lungfish.weights.layouts.detection import OURS
from lungfish.weights.scheme import FILE
from lungfish.weights.store.store import Store


@dataclass(frozen=True)
class Provenance:
    """What is known about weights in addition to their tensors.

    Args:
        flavour: Padding and batch-norm epsilon; those of the source if None.
        preprocessing: Preprocessing of the photos; the source's usual one if None.
        license: SPDX identifier; empty if unknown.
        name: Name of the weights; empty if they have none.
        location: Where the file came from; empty if unknown.
    """

    flavour: Flavour | None = None
    preprocessing: Preprocessing | None = None
    license: str = ""
    name: str = ""
    location: str = ""

    @classmethod
    def of(cls, entry: WeightsEntry) -> Provenance:
        """Return what an entry states about its weights."""
        preprocessing = entry.preprocessing(parse_arch(entry.arch).resolution_px)
        location = "" if entry.location.startswith(FILE) else entry.location  # local paths are not recorded
        return cls(entry.flavour, preprocessing, entry.license, entry.name, location)


@dataclass(frozen=True)
class Converted:
    """A converted file.

    Args:
        out: The file.
        arch: Name of the network.
        source: Library that the checkpoint came from.
        sha256_before: SHA-256 of the checkpoint; for several files, of their concatenation, index first.
        sha256: SHA-256 of `out`.
        params: Number of parameters of the network.
        averages: Number of tensors that are moving averages of the trained weights.
        dropped: Parts of the checkpoint that were left out.
        license: SPDX identifier; empty if unknown.
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
    """Write a checkpoint of another library as safetensors with our names, which `lf.build` loads directly.

    The same checkpoint and provenance give the same bytes.

    Args:
        path: The checkpoint, in a form that `read_checkpoint` accepts.
        arch: Its network, including the number of classes.
        source: Its library; detected from the tensor names if empty.
        out: File to write; replaced if it exists.
        provenance: What is known about the weights.

    Raises:
        UnknownNameError: The source does not exist.
        UsageError: The file does not exist, no library uses its tensor names, or the source has no such network.
        WeightsError: The file cannot be read, belongs to another network or contains values that are not finite.
        MissingExtraError: The package that reads it is not installed.
        StorageError: `out` cannot be written.
    """
    if source:
        find_source(source)
    state = read_checkpoint(path, arch, source)
    source = source or detect_source(state)
    if source == OURS:
        raise UsageError(f"{printable(str(path))} already has our names", "Use it directly: --weights file:PATH.")
    converted = convert_arrays(arch, state, source)
    before = files_digest(files_of(path))
    metadata = _flavour(provenance.flavour or find_source(source).flavour_of(arch))
    metadata |= _pixels(provenance.preprocessing or usual_preprocessing(source, arch))
    metadata |= {
        "architecture": json.dumps(arch.to_json(), sort_keys=True),
        "averages": str(converted.averages),
        "dropped": json.dumps(converted.dropped),
        "file": printable(path.name),
        "license": provenance.license,
        "location": provenance.location,
        "lungfish": version("lungfish"),
        "name": provenance.name,
        "sha256_before": before,
        "source": source,
    }
    data = safetensors_bytes(converted.arrays, {key: value for key, value in metadata.items() if value})
    write_atomic(out, data)
    if provenance.license:
        Store().state_license(sha256_bytes(data), provenance.license)
    return Converted(
        out,
        arch.name,
        source,
        before,
        sha256_bytes(data),
        cost(arch).params,
        converted.averages,
        converted.dropped,
        provenance.license,
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
