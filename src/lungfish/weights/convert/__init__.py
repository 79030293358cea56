"""State dicts of other libraries, and ours: one table of names for each library and kind of network."""

from lungfish.weights.convert.layout import Layout, Place, places
from lungfish.weights.convert.sources import SOURCES, Source, find_layout, find_source

__all__ = ["SOURCES", "Layout", "Place", "Source", "find_layout", "find_source", "places"]
