"""A bundle, opened by a command: its files and its architecture are checked."""

from __future__ import annotations

from pathlib import Path

from lungfish.architecture import Arch
from lungfish.core.errors import ArchitectureError, BundleError
from lungfish.core.names import printable
from lungfish.runtime.bundle import Bundle, load


def open_bundle(path: str | Path) -> Bundle:
    """Load a bundle and make sure that its architecture is one that this version understands.

    Raises:
        UsageError: no such folder.
        BundleError: not a sound bundle, or an unknown architecture.
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
    """As `open_bundle`; an error says which of two bundles it is about."""
    try:
        return open_bundle(path)
    except BundleError as error:
        raise BundleError(f"{printable(str(path))}: {error.message}", error.hint) from None
