"""Open a bundle for a command, and check its files and architecture."""

from __future__ import annotations

from pathlib import Path

from lungfish.architecture import Arch
from lungfish.core.errors import ArchitectureError, BundleError
from lungfish.core.names import printable
from lungfish.runtime.bundle import Bundle, load


def open_bundle(path: str | Path) -> Bundle:
    """Load a bundle and check that this version understands its architecture.

    Raises:
        UsageError: The folder does not exist.
        BundleError: The bundle is damaged, or its architecture is unknown.
    """
    bundle = load(path)
    architecture = bundle.manifest.architecture
    try:
        Arch.from_json(architecture)
    except ArchitectureError as error:
        raise BundleError(
            f"unknown architecture {printable(architecture['name'])}: {printable(error.message)}",
            "If a newer lungfish made the bundle, upgrade: pip install --upgrade lungfish",
        ) from None
    return bundle


def open_one_of_two(path: str | Path) -> Bundle:
    """Open one of two bundles, with errors that name it. Raises the same errors as `open_bundle`."""
    try:
        return open_bundle(path)
    except BundleError as error:
        raise BundleError(f"{printable(str(path))}: {error.message}", error.hint) from None
