"""Move a finished bundle to its destination, replacing an older one if allowed. The user's files are never deleted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path

from lungfish.core.durable import flush_folder
from lungfish.core.errors import BundleError, OutputError, StorageError
from lungfish.core.files import storage_error
from lungfish.core.names import plural, printable
from lungfish.core.progress import Progress
from lungfish.core.renames import rename_new
from lungfish.core.staging import (
    NEW,
    OLD,
    Identity,
    end_stage,
    left_stages,
    put,
    staged_folder,
    swap,
    swap_back,
    was_staged,
)
from lungfish.runtime.bundle_files import check_present_files, delete_bundle, foreign_files, read_manifest
from lungfish.runtime.manifest import MANIFEST_NAME, Manifest

SHOWN = 3  # files that a message names


@contextmanager
def staged_bundle(folder: Path, replaced: Identity | None, progress: Progress) -> Iterator[Path]:
    """Yield a folder for a new bundle, like `staged_folder`; replace `folder` only if no file of the user can be lost.

    If it cannot be replaced after the block, the new bundle is kept under the next free name.

    Args:
        folder: Destination of the bundle.
        replaced: Identity of the bundle that may be replaced, noted before any work; None if nothing may exist there.
        progress: Receives a warning that names the new folder of the user's files, if the replaced bundle had any.

    Raises:
        OutputError: Something else exists there by now, or the older bundle contains the user's files.
        StorageError: The disk is full, read-only or forbidden.
    """
    with staged_folder(folder, partial(_place, replaced=replaced, progress=progress)) as stage:
        yield stage
    _sweep(folder, progress)


def check_replaceable(folder: Path, name: Path | None = None) -> Manifest:
    """Check that a folder is a bundle with only its own files, so that it may be replaced; return its manifest.

    Args:
        folder: Folder of the bundle.
        name: Name in messages, if not `folder`.

    Raises:
        OutputError: The folder is not a bundle, or contains the user's files.
        StorageError: The folder may not be read.
    """
    shown = printable(str(name or folder))
    if folder.is_symlink():
        raise OutputError(f"{shown} is a link: only a folder can be replaced", "Choose the folder that it points to.")
    try:
        manifest = read_manifest(folder)
        foreign = foreign_files(folder, manifest)
    except BundleError:
        raise OutputError(
            f"{shown} is not a bundle: only a folder that holds a valid {MANIFEST_NAME} can be replaced",
            "Choose another output folder, or move that folder away.",
        ) from None
    if foreign:
        more = f" and {plural(len(foreign) - SHOWN, 'other')}" if len(foreign) > SHOWN else ""
        raise OutputError(
            f"{shown} contains files that its {MANIFEST_NAME} does not list, or that have changed since: "
            f"{', '.join(map(printable, foreign[:SHOWN]))}{more}",
            "Only files of the bundle are replaced: move your own files away, or choose another output folder.",
        )
    return manifest


def restore_bundle(folder: Path) -> None:
    """Move back a bundle that was set aside by a process that was killed before it placed the new one.

    Args:
        folder: Original place of the bundle; nothing is done if something exists there.

    Raises:
        StorageError: The disk is full, read-only or forbidden.
    """
    if stands(folder):
        return
    for stage in left_stages(folder):
        if _is_sound(stage / OLD):
            try:
                rename_new(stage / OLD, folder)
                flush_folder(folder.parent)
            except OSError as error:
                raise storage_error(folder, error) from error
            return


def next_free(folder: Path) -> Path:
    """Return the first free path among NAME-2, NAME-3, ... next to `folder`."""
    return next(each for number in count(2) if not stands(each := folder.with_name(f"{folder.name}-{number}")))


def _place(new: Path, folder: Path, replaced: Identity | None, progress: Progress) -> None:
    created = Identity.of(new)
    try:
        if replaced and stands(folder):
            _replace(new, folder, replaced, progress)
        else:
            put(new, folder)
    except (OutputError, StorageError, OSError) as error:
        raise _placing_error(new.parent, created, folder, replaced, error) from error


def _placing_error(
    stage: Path, created: Identity, folder: Path, replaced: Identity | None, error: OutputError | StorageError | OSError
) -> OutputError:
    """Return the error for a bundle that could not be placed; it says where everything is now."""
    if isinstance(error, FileExistsError):
        reason = f"{printable(str(folder))} was created by another process while the job ran"
    elif isinstance(error, OSError):
        reason = storage_error(folder, error).message
    else:
        reason = error.message
    places = {stage / NEW, stage / OLD, folder}
    kept = next((place for place in places if _is(place, created)), stage / NEW)
    if kept == stage / NEW:
        with suppress(OSError):
            put(kept, free := next_free(folder))
            kept = free
    hints = [f"The new bundle is {printable(str(kept))}."]
    moved = next((place for place in places - {folder} if replaced and _is(place, replaced)), None)
    if moved:
        hints.append(f"The old one is {printable(str(moved))}.")
    return OutputError(reason, " ".join([*hints, "Look at both, and move or rename what you want to keep."]))


def _is(folder: Path, identity: Identity) -> bool:
    try:
        return Identity.of(folder) == identity
    except OSError:
        return False


def _replace(new: Path, folder: Path, replaced: Identity, progress: Progress) -> None:
    """Replace an older bundle; its files are deleted only once the new bundle is on disk."""
    _check_same(folder, folder, replaced)
    check_replaceable(folder)
    old = swap(new, folder)
    try:
        _check_same(old, folder, replaced)
        manifest = check_replaceable(old, folder)  # again, now that other programs cannot find it by name
    except BaseException:
        swap_back(old, folder)
        raise
    flush_folder(folder.parent)
    flush_folder(old.parent)
    delete_bundle(old, manifest)
    _show_rest(old, folder, progress)


def _check_same(folder: Path, name: Path, replaced: Identity) -> None:
    if Identity.of(folder) != replaced:
        raise OutputError(f"{printable(str(name))} was replaced by another folder while the job ran")


def _show_rest(old: Path, folder: Path, progress: Progress) -> None:
    """Move what remains of an old bundle, the user's files, to a visible folder."""
    if stands(old):
        with suppress(OSError):
            put(old, shown := next_free(folder))
            progress.warn(f"{printable(str(shown))} holds files that were not part of the replaced bundle")


def _sweep(folder: Path, progress: Progress) -> None:
    """Delete what killed processes left next to an intact bundle: unfinished and replaced bundles."""
    with suppress(OSError):
        for stage in left_stages(folder) if _is_sound(folder) else ():
            flush_folder(folder.parent)
            if was_staged(stage):
                shutil.rmtree(stage / NEW, ignore_errors=True)  # never published, so it has none of the user's files
            for old in (stage / NEW, stage / OLD):
                if stands(old / MANIFEST_NAME):
                    with suppress(OutputError, StorageError):
                        delete_bundle(old, check_replaceable(old))
                    _show_rest(old, folder, progress)
            end_stage(stage)


def _is_sound(folder: Path) -> bool:
    try:
        check_present_files(folder, read_manifest(folder))
    except (BundleError, StorageError):
        return False
    return True


def stands(path: Path) -> bool:
    """Return whether a name is taken, even by a dangling link. Raises `OSError`."""
    return path.exists() or path.is_symlink()
