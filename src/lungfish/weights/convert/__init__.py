"""State dicts of other libraries, and ours: one table of names for each library and kind of network."""

from lungfish.weights.convert.detection import detect_source
from lungfish.weights.convert.layout import Layout, Place, places
from lungfish.weights.convert.preprocessing import Preprocessing, usual_preprocessing
from lungfish.weights.convert.selection import select
from lungfish.weights.convert.sources import SOURCES, Source, find_layout, find_source

__all__ = [
    "SOURCES",
    "Layout",
    "Place",
    "Preprocessing",
    "Source",
    "detect_source",
    "find_layout",
    "find_source",
    "places",
    "select",
    "usual_preprocessing",
]
