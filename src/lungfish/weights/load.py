"""Load pretrained weights into a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from lungfish.architecture import Arch, Flavour, parse_arch
from lungfish.core.errors import ArchitectureError, UsageError, WeightsError
from lungfish.core.names import printable
from lungfish.runtime.bundle_files import read_manifest
from lungfish.runtime.manifest import MANIFEST_NAME
from lungfish.weights.convert.exchange import fill
from lungfish.weights.convert.fit import check_fit
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.fetch.checksum import verify_checksum
from lungfish.weights.fetch.converted import converted_file
from lungfish.weights.fetch.fetch import fetch, local_file
from lungfish.weights.fetch.package import PACKAGE, packaged_file
from lungfish.weights.formats.checkpoint import read_checkpoint
from lungfish.weights.formats.safetensors import read_safetensors
from lungfish.weights.layouts.detection import OURS
from lungfish.weights.resolve.completion import arch_name
from lungfish.weights.resolve.names import resolve
from lungfish.weights.scheme import split_scheme

if TYPE_CHECKING:
    from torch import Tensor

    from lungfish.nn import Backbone, Network


@overload
def build(
    arch: Arch,
    weights: str | Path | None = None,
    *,
    flavour: Flavour | None = None,
    seed: int | None = None,
    features_only: Literal[False] = False,
) -> Network: ...


@overload
def build(
    arch: Arch,
    weights: str | Path | None = None,
    *,
    flavour: Flavour | None = None,
    seed: int | None = None,
    features_only: Literal[True],
) -> Backbone: ...


def build(
    arch: Arch,
    weights: str | Path | None = None,
    *,
    flavour: Flavour | None = None,
    seed: int | None = None,
    features_only: bool = False,
) -> Network | Backbone:
    """Build a network, with pretrained weights or randomly initialized.

    Args:
        arch: Network to build.
        weights: A catalogue name (`efficientnet_lite0.in1k`) or a name with a scheme (`hf:OWNER/REPO`), fetched if it
            is not cached; the path of a `.safetensors` file with our names (a bundle's `weights.safetensors`); or None
            for the authors' initialization.
        flavour: Padding and batch-norm epsilon. If None, that of the weights, of the file's metadata or of the
            `bundle.json` in the same folder; `same` and 1e-3 if none of them states it.
        seed: Seed of the initialization; torch's global generator is used if None.
        features_only: Whether to omit head and classifier, and return feature maps for a detector or segmenter.

    Returns:
        A network from float `[n, channels, height, width]` to logits `[n, classes]`; in eval mode if it has weights.
        With `features_only` it returns a tuple of feature maps, the last one of each stride, finest first; `.levels`
        describes them.

    Raises:
        UnknownNameError: No weights have that name.
        LicenseError: Their license was not accepted.
        UsageError: The file does not exist.
        MachineError: They cannot be fetched, or a required package is not installed.
        WeightsError: The weights belong to another network; lists missing, unexpected and misshapen tensors.
    """
    from lungfish import nn

    network = nn.build(arch, flavour, seed=seed) if weights is None else _pretrained(arch, weights, flavour)
    return nn.Backbone(network) if features_only else network


def _pretrained(arch: Arch, weights: str | Path, flavour: Flavour | None) -> Network:
    from lungfish.nn import Network

    if str(weights).endswith(".safetensors") and not split_scheme(str(weights))[0]:
        return _from_file(arch, Path(weights), flavour)
    named = arch_name(arch) if split_scheme(str(weights))[0] else None
    entry = fetch(resolve(str(weights), named)).entry
    network = Network(arch, flavour or entry.flavour)
    _fill(network, entry)
    return network.eval()


def load_network(entry: WeightsEntry, arch: Arch | None = None) -> Network:
    """Return the network of an entry, in eval mode, with its original classifier.

    Args:
        entry: Weights that are on this machine.
        arch: The entry's own architecture at another resolution, or None.

    Raises:
        MissingExtraError: The package that contains or reads the file is not installed.
        WeightsError: The file is missing, is not the published one, or does not fit `arch`.
    """
    from lungfish.nn import Network

    own = parse_arch(entry.arch)
    network = Network((arch or own).with_classes(own.classes), entry.flavour)
    _fill(network, entry)
    return network.eval()


def _fill(network: Network, entry: WeightsEntry) -> None:
    """Copy the weights in, from the converted file if there is one, else through the key map."""
    converted = converted_file(entry)
    path = converted or local_file(entry) or _missing(entry)
    if converted or entry.converter == OURS:
        load_strictly(network, read_safetensors(path)[0])
    else:
        fill(network, read_checkpoint(path, network.arch, entry.converter), entry.converter)


def _missing(entry: WeightsEntry) -> Path:
    """Raise the error that explains why the entry's file cannot be used."""
    if entry.location.startswith(PACKAGE):
        verify_checksum(entry, packaged_file(entry))
    name = printable(entry.name)
    raise WeightsError(f"the file of {name} is not on this machine", f"Run: lungfish weights fetch {name}")


def _from_file(arch: Arch, path: Path, flavour: Flavour | None) -> Network:
    from lungfish.nn import Network

    if not path.is_file():
        raise UsageError(f"there is no file {printable(str(path))}")
    state, metadata = read_safetensors(path)
    network = Network(arch, flavour or _stored_flavour(path, metadata))
    load_strictly(network, state)
    return network.eval()


def load_strictly(network: Network, state: Mapping[str, Tensor]) -> None:
    """Copy `state`, which uses our names, into `network`. Every tensor must be used, and every parameter filled.

    Raises:
        WeightsError: Tensors are missing, unexpected or misshapen; lists them.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    counters = [name for name in expected if name.endswith(".num_batches_tracked")]
    # early bundles wrote the counters as arrays of one element
    state = {
        name: tensor.reshape(()) if name in counters and tensor.numel() == 1 else tensor
        for name, tensor in state.items()
    }
    check_fit(network.arch.name, state, expected, counters)
    network.load_state_dict(network.state_dict() | state)


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
