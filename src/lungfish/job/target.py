"""Where a bundle will be written, chosen and checked before any work is done."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

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
    """Where a bundle goes.

    Args:
        folder: absolute.
        replaced: which bundle stands there and may be replaced; None if nothing does.
        previous: the latest bundle of the same name, beside which this one is made; None if there is none.
    """

    folder: Path
    replaced: Identity | None = None
    previous: Path | None = None

    def to_say(self) -> str:
        """What a person should know before the work begins; empty if nothing."""
        if not self.previous:
            return ""
        return f"{printable(self.previous.name)} is kept; the new bundle will be {printable(self.folder.name)}"


def choose_target(photos: str | Path, out: Path | None, *, force: bool) -> Target:
    """Where the bundle goes: `./NAME-bundle` unless given, or the first free one of `NAME-bundle-2`, `-3`, ...

    An older bundle that a killed process had moved aside from there is put back.

    Args:
        photos: as `lungfish.data.sources.open_photos` takes them.
        out: where the user wants the bundle.
        force: replace the bundle that stands there.

    Raises:
        OutputError: equal to, inside or around the photos; or something stands there that may not be replaced.
        StorageError: nothing can be written there.
    """
    path = local_path(photos)
    source = None if path is None else _real(path)
    name = short_name(photos) if source is None else source.name if source.is_dir() else source.stem
    first = expanded(out, "--out") if out is not None else Path(f"{name or 'photos'}-bundle")
    first = _real(first) if ".." in first.parts else first.absolute()
    place = _real(first)
    if source is not None:
        _check_apart(source, first, place)
    with storage_errors(first):
        target = _numbered(first) if out is None and not force else _named(first, force=force)
        existing = next(folder for folder in place.parents if folder.exists())
        with TemporaryDirectory(dir=existing, prefix=f".{target.folder.name}-99.", suffix=".tmp"):
            pass  # a folder can be made there, and with a longer name
    return target


def _named(folder: Path, *, force: bool) -> Target:
    restore_bundle(folder)
    if not stands(folder):
        return Target(folder)
    if not force:
        raise OutputError(
            f"{printable(str(folder))} exists", "Choose another --out, or add --force to replace a bundle."
        )
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
    """Raise `OutputError` if Windows would not let a file go, as it does not while a program has it open."""
    for name in names:
        file = folder / name
        try:
            file.replace(file)  # onto itself: nothing happens, but for the check
        except FileNotFoundError:  # a bundle may lack some
            continue
        except PermissionError:
            raise OutputError(
                f"{printable(name)} in {printable(str(folder))} cannot be replaced: another program has it open, or "
                "you may not change that folder",
                "Close that program, or choose another --out.",
            ) from None


def _check_apart(source: Path, target: Path, place: Path) -> None:
    inside = source.is_dir() and source in place.parents
    if place == source or inside or place in source.parents:
        relation = (
            "the folder of the photos" if place == source else "inside the photos" if inside else "around the photos"
        )
        raise OutputError(
            f"--out {printable(str(target))} is {relation} ({printable(str(source))})",
            "Choose a folder beside them, for example --out ../my-bundle.",
        )


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve raises on a loop of links
