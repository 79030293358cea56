"""Load pretrained weights, as numpy arrays or as a torch network."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lungfish.architecture import Arch, Flavour, parse_arch
from lungfish.core.errors import ArchitectureError, UsageError, WeightsError
from lungfish.core.names import in_short, printable
from lungfish.runtime.bundle_files import read_manifest
from lungfish.runtime.description import WEIGHTS_NAME
from lungfish.runtime.manifest import MANIFEST_NAME
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.weights.convert.exchange import convert_arrays
from lungfish.weights.convert.fit import match_arrays
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.fetch.checksum import verify_checksum
from lungfish.weights.fetch.converted import converted_file
from lungfish.weights.fetch.fetch import fetch, local_file
from lungfish.weights.fetch.package import PACKAGE, packaged_file
from lungfish.weights.formats.checkpoint import read_checkpoint
from lungfish.weights.formats.safetensors import read_safetensors
from lungfish.weights.imagenet import imagenet_names
from lungfish.weights.layouts.detection import OURS
from lungfish.weights.network_weights import NetworkWeights
from lungfish.weights.resolve.completion import HEADER_ERRORS, arch_name, header_preprocessing
from lungfish.weights.resolve.local import bundle_entry
from lungfish.weights.resolve.names import resolve
from lungfish.weights.scheme import FILE, split_scheme

if TYPE_CHECKING:
    from lungfish.nn import Network


def load_pretrained(arch: Arch, weights: str | Path, flavour: Flavour | None, *, any_classes: bool) -> Network:
    """Return a network with weights, in eval mode, including their preprocessing and class names.

    Args:
        arch: Network that the weights must fit.
        weights: A catalogue name or one with a scheme, a bundle's folder, or the path of a `.safetensors` file.
        flavour: Padding and batch-norm epsilon; those of the weights if None.
        any_classes: Whether the weights may differ from `arch` in the number of classes; the network then has theirs.

    Raises:
        WeightsError: The weights belong to another network; lists missing, unexpected and misshapen tensors.
    """
    if str(weights).endswith(".safetensors") and not split_scheme(str(weights))[0]:
        return _from_file(arch, Path(weights), flavour, any_classes=any_classes)
    named = arch_name(arch) if split_scheme(str(weights))[0] else None
    entry = fetch(resolve(str(weights), named)).entry
    own = arch.with_classes(parse_arch(entry.arch).classes) if any_classes else arch
    network = to_network(replace(_read(entry, own), flavour=flavour or entry.flavour))
    _describe(network, entry)
    return network


def load_weights(entry: WeightsEntry, arch: Arch | None = None) -> NetworkWeights:
    """Return the weights of an entry, with its original classifier.

    Args:
        entry: Weights that are on this machine.
        arch: The entry's own architecture at another resolution, or None.

    Raises:
        MissingExtraError: The package that contains or reads the file is not installed.
        WeightsError: The file is missing, differs from the published one, or does not fit `arch`.
    """
    own = parse_arch(entry.arch)
    return _read(entry, (arch or own).with_classes(own.classes))


def load_network(entry: WeightsEntry, arch: Arch | None = None) -> Network:
    """Return the same weights as `load_weights`, in a torch network in eval mode."""
    return to_network(load_weights(entry, arch))


def to_network(weights: NetworkWeights) -> Network:
    """Return a torch network with these weights, in eval mode."""
    from lungfish.nn import Network, set_arrays

    network = Network(weights.arch, weights.flavour)
    set_arrays(network, weights.arrays)
    return network.eval()


def from_network(network: Network) -> NetworkWeights:
    """Return copies of the weights of a torch network."""
    from lungfish.nn import get_arrays

    return NetworkWeights(network.arch, network.flavour, get_arrays(network))


def _read(entry: WeightsEntry, arch: Arch) -> NetworkWeights:
    """Read the weights from the converted file if there is one, else through the key map."""
    converted = converted_file(entry)
    path = converted or local_file(entry) or _missing(entry)
    if converted or entry.converter == OURS:
        arrays = match_arrays(arch, read_safetensors(path)[0])
    else:
        arrays = convert_arrays(arch, read_checkpoint(path, arch, entry.converter), entry.converter).arrays
    return NetworkWeights(arch, entry.flavour, arrays)


def _describe(network: Network, entry: WeightsEntry) -> None:
    """Set the name, preprocessing and class names of a network from the entry of its weights."""
    network.weights = entry.name
    network.preprocessing = entry.preprocessing(network.arch.resolution_px)
    if entry.name.startswith("bundle:"):
        folder = Path(entry.location.removeprefix(FILE)).parent
        network.weights, network.labels = str(folder), read_manifest(folder).labels
    else:
        network.labels = _imagenet_labels(network)


def _imagenet_labels(network: Network) -> tuple[str, ...] | None:
    """Return ImageNet's class names if the number of classes matches, as `lungfish predict` assumes; else None."""
    names = imagenet_names()
    return names if network.num_classes == len(names) else None


def _missing(entry: WeightsEntry) -> Path:
    """Raise the error that explains why the entry's file cannot be used."""
    if entry.location.startswith(PACKAGE):
        verify_checksum(entry, packaged_file(entry))
    name = printable(entry.name)
    raise WeightsError(f"the file of {name} is not on this machine", f"Run: lungfish weights fetch {name}")


def _from_file(arch: Arch, path: Path, flavour: Flavour | None, *, any_classes: bool) -> Network:
    if not path.is_file():
        raise UsageError(f"there is no file {printable(str(path))}")
    state, metadata = read_safetensors(path)
    classes = getattr(state.get("classifier.bias"), "shape", ())
    own = arch.with_classes(*classes) if any_classes and len(classes) == 1 else arch
    arrays = match_arrays(own, state)
    network = to_network(NetworkWeights(own, flavour or _stored_flavour(path, metadata), arrays))
    network.weights = printable(path.name)
    if "mean" in metadata:
        network.preprocessing = _stored_preprocessing(path, metadata, network.arch.resolution_px)
        network.labels = _imagenet_labels(network)
    elif path.name == WEIGHTS_NAME and (path.parent / MANIFEST_NAME).is_file():
        with contextlib.suppress(WeightsError):  # an old or edited bundle may not state its preprocessing
            _describe(network, bundle_entry(str(path.parent)))
    return network


def _stored_preprocessing(path: Path, metadata: Mapping[str, str], resolution_px: int) -> Preprocessing:
    try:
        return header_preprocessing(metadata, resolution_px)
    except HEADER_ERRORS as error:
        raise WeightsError(f"the preprocessing of {printable(path.name)} cannot be used: {in_short(error)}") from None


def _stored_flavour(path: Path, metadata: Mapping[str, str]) -> Flavour:
    """Return the flavour from the file's metadata, else from its bundle, else the default."""
    bundle = path.parent / MANIFEST_NAME
    if "padding" in metadata and "bn_eps" in metadata:
        padding, bn_eps = metadata["padding"], metadata["bn_eps"]
    elif bundle.is_file():
        row = read_manifest(bundle.parent).flavour
        padding, bn_eps = row.padding, str(row.bn_eps)
    else:
        return Flavour()
    try:
        return Flavour(padding, float(bn_eps))  # type: ignore[arg-type]
    except (ValueError, ArchitectureError) as error:
        raise WeightsError(f"the flavour of {printable(path.name)} cannot be used: {error}") from None
