"""The sets of weights that Lungfish knows: one TOML file for each publisher, beside this one."""

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
    """Every entry by name, in the order of the files."""
    files = sorted(resources.files(__name__).iterdir(), key=lambda file: file.name)
    texts = {file.name: file.read_text("utf-8") for file in files if file.name.endswith(".toml")}
    return MappingProxyType({entry.name: entry for name, text in texts.items() for entry in read_entries(name, text)})


def find_entry(name: str) -> WeightsEntry:
    """The entry called `name`. Raises `UnknownNameError` with close matches."""
    return catalogue()[choose(name, catalogue(), "set of weights")]
