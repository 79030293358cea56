"""The sets of weights that Lungfish knows: one TOML file for each converter, beside this one.

A name is NETWORK[_WIDTH].TAG. NETWORK is one of ours; WIDTH is in hundredths, left out at 1 (`mobilenet_v2_140`). TAG
says whose port it is (`tf`: timm's of TensorFlow's, `tv`: torchvision, `keras`, `slim` and `tpu`: the authors; none of
these: timm or PyPI), then how it was trained, the resolution where there is a set for each (`r160`), and on what.
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
    """Every entry by name, in the order of the files. Raises `ValueError` for a wrong file or a name given twice."""
    entries: dict[str, WeightsEntry] = {}
    for file in sorted(resources.files(__name__).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            for entry in read_entries(file.name, file.read_text("utf-8")):
                if entry.name in entries:
                    raise ValueError(f"{file.name}, {entry.name}: another row has that name")
                entries[entry.name] = entry
    return MappingProxyType(entries)


def find_entry(name: str) -> WeightsEntry:
    """The entry called `name`. Raises `UnknownNameError` with close matches."""
    return catalogue()[choose(name, catalogue(), "set of weights")]
