"""The files of a bundle: are they those that its manifest lists?"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lungfish.core.errors import BundleError, StorageError
from lungfish.core.files import TooLargeError, open_regular, read_at_most
from lungfish.core.hashing import sha256_bytes, sha256_file
from lungfish.core.names import printable
from lungfish.core.untrusted import HINT
from lungfish.runtime.artifact import ArtifactRow, FileRow
from lungfish.runtime.engines.engine import ModelFiles
from lungfish.runtime.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest

# What operating systems put beside the files of any folder that is looked at.
SYSTEM_FILES = re.compile(
    r"\.DS_Store|\._.*|\.localized|Icon\r|Thumbs\.db|ehthumbs\.db|desktop\.ini|\.directory", re.IGNORECASE
)


APPLE_DOUBLE = bytes.fromhex("00051607")


def read_manifest(folder: Path) -> Manifest:
    """The `bundle.json` of a folder that may come from anyone.

    Raises:
        BundleError: there is none, it is not valid, or of a newer schema.
        StorageError: it may not be read.
    """
    path = folder / MANIFEST_NAME
    with _reading(MANIFEST_NAME):
        if not _stands(path):
            raise BundleError(
                f"{printable(str(folder))} holds no {MANIFEST_NAME}: it is not a bundle",
                "lungfish train PHOTOS --out DIR makes a bundle.",
            )
        _check_inside(folder, MANIFEST_NAME)
        try:
            return Manifest.from_json(read_at_most(path, MAX_MANIFEST_BYTES))
        except TooLargeError as error:
            raise BundleError(f"{MANIFEST_NAME} has {error}", HINT) from None


def file_rows(folder: Path, artifacts: Collection[ArtifactRow]) -> dict[str, FileRow]:
    """What the manifest has to list of a bundle that is being written: its files but for the artifacts', by name."""
    listed = {name for row in artifacts for name in row.files}
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: FileRow(sha256_file(path), path.stat().st_size) for name, path in files.items() if name not in listed}


def check_files(folder: Path, manifest: Manifest) -> None:
    """Make sure that every file of the manifest is there and is what it was.

    Raises:
        BundleError: one is missing, altered, truncated, a link or outside the folder.
        StorageError: one may not be read.
    """
    for name, row in listed_files(manifest).items():
        _check_file(folder, name, row)


def check_present_files(folder: Path, manifest: Manifest) -> None:
    """As `check_files`, but all files except the default artifact's may be absent: see docs/decisions/0008."""
    needed = manifest.artifact().files
    for name, row in listed_files(manifest).items():
        if name in needed or _stands(folder / name):
            _check_file(folder, name, row)


def listed_files(manifest: Manifest) -> dict[str, FileRow]:
    """Hash and size of every file of the bundle but `bundle.json`, by name."""
    return {name: file for row in manifest.artifacts for name, file in row.files.items()} | manifest.files


def foreign_files(folder: Path, manifest: Manifest) -> list[str]:
    """What in a bundle's folder is somebody's own: whatever the manifest does not list, or lists with another content.

    Returns:
        Names with slashes, a folder of somebody's own by its name alone. What operating systems add is not among them,
        nor is `bundle.json`.

    Raises:
        StorageError: something may not be read.
    """
    rows = listed_files(manifest)
    folders = {parent.as_posix() for name in rows for parent in Path(name).parents}
    found: list[str] = []
    for path in _below(folder):
        name = path.relative_to(folder).as_posix()
        if any(name.startswith(f"{other}/") for other in found):  # in a folder that is named already
            continue
        if path.is_symlink():
            found.append(name)
        elif path.is_dir():
            if name not in folders:
                found.append(name)
        elif not (name == MANIFEST_NAME or _is_of_system(path) or _is_as_listed(folder, name, rows)):
            found.append(name)
    return found


def delete_bundle(folder: Path, manifest: Manifest) -> None:
    """Delete what the manifest lists, `bundle.json` last, and no other file; then the folders that are empty.

    What the system does not let go stays.
    """
    paths = [Path(parent, name) for parent, folders, names in os.walk(folder) for name in (*folders, *names)]
    system = [path for path in paths if _is_of_system(path)]
    for path in (*(folder / name for name in listed_files(manifest)), *system, folder / MANIFEST_NAME):
        with contextlib.suppress(OSError):
            path.unlink()
    for path in (*(path for path in reversed(paths) if path.is_dir() and not path.is_symlink()), folder):
        with contextlib.suppress(OSError):  # somebody's file is in it
            path.rmdir()


def read_artifact(folder: Path, artifact: ArtifactRow) -> ModelFiles:
    """The files of an artifact: the bytes that are hashed are those that are returned.

    Raises:
        BundleError: one is missing, altered or a link.
        StorageError: one may not be read.
    """
    contents = {name: read_file(folder, name, row) for name, row in artifact.files.items()}
    return ModelFiles(artifact.file, contents)


def read_file(folder: Path, name: str, row: FileRow) -> bytes:
    """Return the content of a file that the manifest lists, as it is there.

    Raises: As `read_artifact`.
    """
    with _reading(name):
        _check_there(folder, name)
        try:
            data = read_at_most(folder / name, row.bytes)
        except TooLargeError:
            raise _altered(name) from None
    if sha256_bytes(data) != row.sha256:
        raise _altered(name)
    return data


def _below(folder: Path) -> Iterator[Path]:
    """Files and folders, each before what is in it; links are not followed."""
    for parent, folders, names in os.walk(folder, onerror=_unreadable):
        yield from (Path(parent, name) for name in (*folders, *names))


def _unreadable(error: OSError) -> None:
    with _reading(Path(str(error.filename)).name):
        raise error


def _is_of_system(path: Path) -> bool:
    """Whether an operating system has put a file there. macOS's companions of files, `._NAME`, have a signature."""
    if not SYSTEM_FILES.fullmatch(path.name) or path.is_dir():
        return False
    try:
        with open_regular(path) as file:
            return not path.name.startswith("._") or file.read(4) == APPLE_DOUBLE
    except OSError:
        return False


def _is_as_listed(folder: Path, name: str, rows: Mapping[str, FileRow]) -> bool:
    try:
        _check_file(folder, name, rows[name])
    except (KeyError, BundleError):
        return False
    return True


def _check_file(folder: Path, name: str, row: FileRow) -> None:
    with _reading(name):
        _check_there(folder, name)
        size = (folder / name).stat().st_size
        if size != row.bytes:
            raise BundleError(f"{name} has {size:,} bytes; {MANIFEST_NAME} says {row.bytes:,}", HINT)
        if sha256_file(folder / name) != row.sha256:
            raise _altered(name)


def _check_there(folder: Path, name: str) -> None:
    if not _stands(folder / name):
        raise BundleError(f"{name} is missing from {printable(str(folder))}", HINT)
    _check_inside(folder, name)


def _check_inside(folder: Path, name: str) -> None:
    path = folder / name
    # resolve follows links and Windows junctions, in the name's folders too
    if path.resolve() != folder.resolve() / name or not path.is_file():
        raise BundleError(f"{name} is a link or not a regular file", HINT)


def _stands(path: Path) -> bool:
    return path.exists() or path.is_symlink()  # a link that leads nowhere is something, too


def _altered(name: str) -> BundleError:
    return BundleError(f"{name} was altered: its SHA-256 is not the one in {MANIFEST_NAME}", HINT)


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot read {name}: {error.strerror}", "Check that you may read the bundle.") from None
