"""Put a finished bundle in its place, replacing an older one if allowed; the user's own files are never deleted."""

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

SHOWN = 3  # names of files that are in the way


@contextmanager
def staged_bundle(folder: Path, replaced: Identity | None, progress: Progress) -> Iterator[Path]:
    """As `staged_folder`, for a bundle: `folder` is replaced only as long as nothing of it can be lost.

    Where it cannot be replaced once the block has ended, the new bundle is kept under the next free name.

    Args:
        folder: where the bundle goes.
        replaced: which bundle may be replaced, as it was before any work was done; None if nothing may stand there.
        progress: told where the user's own files were moved if they appeared too late to cancel the replacement.

    Raises:
        OutputError: something else stands there by now, or the older bundle holds somebody's own files.
        StorageError: disk full, read-only or forbidden.
    """
    with staged_folder(folder, partial(_place, replaced=replaced, progress=progress)) as stage:
        yield stage
    _sweep(folder, progress)


def check_replaceable(folder: Path, name: Path | None = None) -> Manifest:
    """The manifest of a bundle that holds nothing but its own files, and may be replaced.

    Args:
        folder: where it is.
        name: under which people know it, if not as `folder`.

    Raises:
        OutputError: it is no bundle, or holds somebody's own files.
        StorageError: it may not be read.
    """
    shown = printable(str(name or folder))
    if folder.is_symlink():
        raise OutputError(f"{shown} is a link: --force replaces only a folder", "Choose the folder that it leads to.")
    try:
        manifest = read_manifest(folder)
        foreign = foreign_files(folder, manifest)
    except BundleError:
        raise OutputError(
            f"{shown} is not a bundle: --force replaces only a folder that holds a valid {MANIFEST_NAME}",
            "Choose another --out, or move that folder away.",
        ) from None
    if foreign:
        more = f" and {plural(len(foreign) - SHOWN, 'other')}" if len(foreign) > SHOWN else ""
        raise OutputError(
            f"{shown} contains files that its {MANIFEST_NAME} does not list, or that have changed since: "
            f"{', '.join(map(printable, foreign[:SHOWN]))}{more}",
            "--force replaces only what belongs to the bundle: move your own files away, or choose another --out.",
        )
    return manifest


def restore_bundle(folder: Path) -> None:
    """Put back a bundle that was moved aside by a process which was killed before it put the new one there.

    Args:
        folder: where the bundle was, and will be unless something stands there.

    Raises:
        StorageError: disk full, read-only or forbidden.
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
    """NAME-2, NAME-3, ...: the first beside `folder` where nothing stands."""
    return next(each for number in count(2) if not stands(each := folder.with_name(f"{folder.name}-{number}")))


def _place(new: Path, folder: Path, replaced: Identity | None, progress: Progress) -> None:
    created = Identity.of(new)
    try:
        if replaced and stands(folder):
            _replace(new, folder, replaced, progress)
        else:
            put(new, folder)
    except (OutputError, StorageError, OSError) as error:
        raise _told(new.parent, created, folder, replaced, error) from error


def _told(
    stage: Path, created: Identity, folder: Path, replaced: Identity | None, error: OutputError | StorageError | OSError
) -> OutputError:
    """The error of a bundle that could not be put in its place; it says where everything is now."""
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
    """Put a new bundle in the place of an older one, whose files are deleted only once that is on disk."""
    _check_same(folder, folder, replaced)
    check_replaceable(folder)
    old = swap(new, folder)
    try:
        _check_same(old, folder, replaced)
        manifest = check_replaceable(old, folder)  # again, where nobody finds it by its name any more
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
    """Move what remains of an old bundle, which holds files of the user's, to a visible name."""
    if stands(old):
        with suppress(OSError):
            put(old, shown := next_free(folder))
            progress.warn(f"{printable(str(shown))} holds files that were not part of the replaced bundle")


def _sweep(folder: Path, progress: Progress) -> None:
    """Delete what killed processes have left beside a bundle that is whole: unfinished bundles and replaced ones."""
    with suppress(OSError):
        for stage in left_stages(folder) if _is_sound(folder) else ():
            flush_folder(folder.parent)
            if was_staged(stage):
                shutil.rmtree(stage / NEW, ignore_errors=True)  # it was never seen under another name
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
    """Whether the name is taken, even by a dangling link. Raises `OSError`."""
    return path.exists() or path.is_symlink()
