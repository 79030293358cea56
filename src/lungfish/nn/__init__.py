"""Torch modules built from a lowered architecture."""

from lungfish.nn.arrays import get_arrays, set_arrays
from lungfish.nn.backbone import Backbone
from lungfish.nn.network import Network, build

__all__ = ["Backbone", "Network", "build", "get_arrays", "set_arrays"]
