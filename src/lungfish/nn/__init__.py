"""Torch modules built from a lowered architecture."""

from lungfish.nn.backbone import Backbone
from lungfish.nn.network import Network, build

__all__ = ["Backbone", "Network", "build"]
