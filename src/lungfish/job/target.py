"""Choose and check where a bundle will be written, before any work is done."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from lungfish.core.errors import OutputError
from lungfish.core.files import storage_errors
from lungfish.core.names import expanded, printable
from lungfish.core.staging import Identity
from lungfish.data.sources import local_path, short_name
from lungfish.job.replace_bundle import check_replaceable, restore_bundle, stands
from lungfish.runtime.bundle_files import listed_files
from lungfish.runtime.manifest import MANIFEST_NAME


@dataclass(frozen=True)
class Target:
    """The destination of a bundle.

    Args:
        folder: Absolute path of the bundle.
        replaced: Identity of the bundle there that may be replaced; None if there is none.
        previous: Latest bundle of the same name, next to which this one is made; None if there is none.
    """

    folder: Path
    replaced: Identity | None = None
    previous: Path | None = None

    def to_say(self) -> str:
        """Return a message for the user before the work begins, or an empty one."""
        if not self.previous:
            return ""
        return f"{printable(self.previous.name)} is kept; the new bundle will be {printable(self.folder.name)}"


def choose_target(photos: str | Path, out: Path | None, *, force: bool) -> Target:
    """Return the destination: `./NAME-bundle` unless given, or the first free one of `NAME-bundle-2`, `-3`, ...

    An older bundle that a killed process had moved aside is put back.

    Args:
        photos: Source as for `lungfish.data.sources.open_photos`.
        out: Folder that the user asks for, or None.
        force: Whether to replace an existing bundle.

    Raises:
        OutputError: The folder equals, is inside or contains that of the photos; or something exists there that may not
            be replaced.
        StorageError: The folder cannot be written.
    """
    path = local_path(photos)
    source = None if path is None else _real(path)
    name = short_name(photos) if source is None else source.name if source.is_dir() else source.stem
    first = _absolute(out, f"{name or 'photos'}-bundle")
    place = _real(first)
    if source is not None:
        _check_apart(source, first, place, "photos")
    with storage_errors(first):
        target = _numbered(first) if out is None and not force else _named(first, force=force)
        _check_writable(target, place)
    return target


def choose_slim_target(bundle: Path, out: Path | None) -> Target:
    """Return the destination of the slim copy of a bundle: `./NAME-slim` unless given, or `NAME-slim-2`, `-3`, ...

    Args:
        bundle: Folder of the bundle.
        out: Folder that the user asks for, or None.

    Raises:
        OutputError: The folder equals, is inside or contains the bundle; or something exists there.
        StorageError: The folder cannot be written.
    """
    source = _real(bundle)
    first = _absolute(out, f"{source.name.removesuffix('-bundle')}-slim")
    place = _real(first)
    _check_apart(source, first, place, "bundle")
    with storage_errors(first):
        target = _numbered(first) if out is None else _named(first)
        _check_writable(target, place)
    return target


def _absolute(out: Path | None, default: str) -> Path:
    path = expanded(out, "the output folder") if out is not None else Path(default)
    return _real(path) if ".." in path.parts else path.absolute()


def _check_writable(target: Target, place: Path) -> None:
    existing = next(folder for folder in place.parents if folder.exists())
    with TemporaryDirectory(dir=existing, prefix=f".{target.folder.name}-99.", suffix=".tmp"):
        pass  # shows that folders can be created there, even with a longer name


def _named(folder: Path, *, force: bool | None = None) -> Target:
    """Return the target of that name.

    Args:
        folder: Folder of the target.
        force: Whether a bundle there may be replaced; None if this cannot be requested.
    """
    restore_bundle(folder)
    if not stands(folder):
        return Target(folder)
    if not force:
        instead = "" if force is None else ", or replace a bundle with --force (in Python: force=True)"
        raise OutputError(f"{printable(str(folder))} exists", f"Choose another output folder{instead}.")
    manifest = check_replaceable(folder)
    _check_not_open(folder, [*listed_files(manifest), MANIFEST_NAME])
    return Target(folder, Identity.of(folder))


def _numbered(first: Path) -> Target:
    previous = None
    folder, numbers = first, count(2)
    restore_bundle(folder)
    while stands(folder):
        if (folder / MANIFEST_NAME).exists():
            previous = folder
        folder = first.with_name(f"{first.name}-{next(numbers)}")
        restore_bundle(folder)
    return Target(folder, previous=previous)


def _check_not_open(folder: Path, names: list[str]) -> None:
    """Raise `OutputError` if another program has a file open, as Windows then refuses to replace it."""
    for name in names:
        file = folder / name
        try:
            file.replace(file)  # onto itself: changes nothing, but runs the check
        except FileNotFoundError:  # bundles may lack files
            continue
        except PermissionError:
            raise OutputError(
                f"{printable(name)} in {printable(str(folder))} cannot be replaced: another program has it open, or "
                "you are not allowed to change that folder",
                "Close that program, or choose another output folder.",
            ) from None


def _check_apart(source: Path, target: Path, place: Path, what: Literal["photos", "bundle"]) -> None:
    inside = source.is_dir() and source in place.parents
    if place == source or inside or place in source.parents:
        same, it = ("the folder of the photos", "them") if what == "photos" else ("the bundle itself", "it")
        relation = f"is {same}" if place == source else f"{'is inside' if inside else 'contains'} the {what}"
        raise OutputError(
            f"the output folder {printable(str(target))} {relation} ({printable(str(source))})",
            f"Choose a folder beside {it}, for example ../my-bundle.",
        )


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve raises on circular links
