"""Map tensor names of other libraries to ours, with one table for each library and kind of network."""

from lungfish.weights.layouts.detection import detect_source
from lungfish.weights.layouts.layout import Layout, TensorSlot, tensor_slots
from lungfish.weights.layouts.preprocessing import usual_preprocessing
from lungfish.weights.layouts.selection import select
from lungfish.weights.layouts.sources import SOURCES, Source, find_layout, find_source

__all__ = [
    "SOURCES",
    "Layout",
    "Source",
    "TensorSlot",
    "detect_source",
    "find_layout",
    "find_source",
    "select",
    "tensor_slots",
    "usual_preprocessing",
]
