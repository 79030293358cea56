"""Find weights files inside installed Python packages."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from lungfish.core.errors import MissingExtraError
from lungfish.core.extras import install_command
from lungfish.weights.entry import WeightsEntry

PACKAGE = "package:"


def packaged_file(entry: WeightsEntry) -> Path:
    """Return the path of the file of a `package:` location.

    Raises:
        MissingExtraError: The package is not installed.
    """
    module, _, path = entry.location.removeprefix(PACKAGE).partition("/")
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        package = module.replace("_", "-")
        raise MissingExtraError(
            f"{entry.name} is in the package {package}, which is not installed", f"Run: {install_command(package)}"
        )
    return Path(spec.submodule_search_locations[0]) / path
