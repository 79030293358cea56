"""State dicts of other libraries to Lungfish's names: one table of module names for each source."""

from lungfish.weights.convert import packaged
from lungfish.weights.convert.keymap import rename

KEY_MAPS = {"packaged": packaged.KEY_MAP}

__all__ = ["KEY_MAPS", "rename"]
