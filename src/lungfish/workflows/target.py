"""Where a bundle may be written."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from lungfish.core.errors import BundleError, OutputError
from lungfish.core.files import storage_errors
from lungfish.core.names import printable
from lungfish.data.sources import local_path, short_name
from lungfish.runtime.manifest import MANIFEST_NAME, Manifest


def choose_target(photos: str | Path, out: Path | None, *, force: bool) -> Path:
    """The folder that the bundle will become, `./NAME-bundle` unless given; checked before any work is done.

    Args:
        photos: as `lungfish.data.sources.open_photos` takes them.
        out: where the user wants the bundle.
        force: whether an existing bundle there may be replaced.

    Raises:
        OutputError: equal to, inside or around the photos; or something stands there that may not be replaced.
        StorageError: nothing can be written there.
    """
    path = local_path(photos)
    source = None if path is None else _real(path)
    name = short_name(photos) if source is None else source.name if source.is_dir() else source.stem
    target = (out if out is not None else Path(f"{name or 'photos'}-bundle")).expanduser().absolute()
    place = _real(target)
    if source is not None:
        _check_apart(source, target, place)
    with storage_errors(target):
        if target.exists() or target.is_symlink():
            _check_replaceable(target, force=force)
        existing = next(folder for folder in place.parents if folder.exists())
        with TemporaryDirectory(dir=existing, prefix=".lungfish-"):
            pass  # a folder can be made there
    return target


def _check_apart(source: Path, target: Path, place: Path) -> None:
    inside = source.is_dir() and source in place.parents
    if place == source or inside or place in source.parents:
        relation = (
            "the photos themselves" if place == source else "inside the photos" if inside else "around the photos"
        )
        raise OutputError(
            f"--out {printable(str(target))} is {relation} ({printable(str(source))})",
            "Choose a folder beside them, for example --out ../my-bundle.",
        )


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve raises on a loop of links


def _check_replaceable(target: Path, *, force: bool) -> None:
    shown = printable(str(target))
    if not force:
        raise OutputError(f"{shown} exists", "Choose another --out, or add --force to replace a bundle.")
    try:
        Manifest.from_json((target / MANIFEST_NAME).read_bytes())
    except (OSError, BundleError):
        raise OutputError(
            f"{shown} is no bundle: --force replaces only a folder that holds a valid {MANIFEST_NAME}",
            "Choose another --out, or move that folder away yourself.",
        ) from None
