"""Torch modules, built from a lowered architecture."""

from lungfish.nn.network import Network, build

__all__ = ["Network", "build"]
