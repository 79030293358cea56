"""Check the files of a bundle against its manifest, read them, and delete them."""

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

# Files that operating systems add when a folder is viewed.
SYSTEM_FILES = re.compile(
    r"\.DS_Store|\._.*|\.localized|Icon\r|Thumbs\.db|ehthumbs\.db|desktop\.ini|\.directory", re.IGNORECASE
)
APPLE_DOUBLE = bytes.fromhex("00051607")


def read_manifest(folder: Path) -> Manifest:
    """Read the `bundle.json` of an untrusted folder.

    Raises:
        BundleError: It is missing, invalid or of a newer schema.
        StorageError: Permission to read it is denied.
    """
    path = folder / MANIFEST_NAME
    with _reading(MANIFEST_NAME):
        if not _exists(path):
            raise BundleError(
                f"{printable(str(folder))} contains no {MANIFEST_NAME}: it is not a bundle",
                "lungfish train PHOTOS --out DIR makes a bundle.",
            )
        _check_inside(folder, MANIFEST_NAME)
        try:
            return Manifest.from_json(read_at_most(path, MAX_MANIFEST_BYTES))
        except TooLargeError as error:
            raise BundleError(f"{MANIFEST_NAME} has {error}", HINT) from None


def file_rows(folder: Path, artifacts: Collection[ArtifactRow]) -> dict[str, FileRow]:
    """Return the rows of all files in a bundle being written, except those of the artifacts, by name."""
    listed = {name for row in artifacts for name in row.files}
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: FileRow(sha256_file(path), path.stat().st_size) for name, path in files.items() if name not in listed}


def check_files(folder: Path, manifest: Manifest) -> None:
    """Check that every file of the manifest is present and unaltered.

    Raises:
        BundleError: A file is missing, altered, truncated, a link or outside the folder.
        StorageError: Permission to read a file is denied.
    """
    for name, row in listed_files(manifest).items():
        _check_file(folder, name, row)


def check_present_files(folder: Path, manifest: Manifest) -> None:
    """Check files as `check_files` does, but require only those of the default artifact: see docs/decisions/0008."""
    needed = manifest.artifact().files
    for name, row in listed_files(manifest).items():
        if name in needed or _exists(folder / name):
            _check_file(folder, name, row)


def listed_files(manifest: Manifest) -> dict[str, FileRow]:
    """Return the rows of all files of the bundle except `bundle.json`, by name."""
    return {name: file for row in manifest.artifacts for name, file in row.files.items()} | manifest.files


def foreign_files(folder: Path, manifest: Manifest) -> list[str]:
    """Find what the user has added to a bundle's folder or changed in it.

    Returns:
        Paths relative to `folder`, separated by `/`, of files that are not in the manifest or differ from it, and of
        folders that contain no file of the manifest. Omits `bundle.json` and files that operating systems add.

    Raises:
        StorageError: Permission to read a file is denied.
    """
    rows = listed_files(manifest)
    folders = {parent.as_posix() for name in rows for parent in Path(name).parents}
    found: list[str] = []
    for path in _below(folder):
        name = path.relative_to(folder).as_posix()
        if any(name.startswith(f"{other}/") for other in found):  # its folder is already in the list
            continue
        if path.is_symlink():
            found.append(name)
        elif path.is_dir():
            if name not in folders:
                found.append(name)
        elif not (name == MANIFEST_NAME or _is_system_file(path) or _is_as_listed(folder, name, rows)):
            found.append(name)
    return found


def delete_bundle(folder: Path, manifest: Manifest) -> None:
    """Delete the manifest's files and those that operating systems added, then `bundle.json`, then empty folders.

    Files that the system refuses to delete stay.
    """
    paths = [Path(parent, name) for parent, folders, names in os.walk(folder) for name in (*folders, *names)]
    system = [path for path in paths if _is_system_file(path)]
    for path in (*(folder / name for name in listed_files(manifest)), *system, folder / MANIFEST_NAME):
        with contextlib.suppress(OSError):
            path.unlink()
    for path in (*(path for path in reversed(paths) if path.is_dir() and not path.is_symlink()), folder):
        with contextlib.suppress(OSError):  # not empty: it contains files of the user
            path.rmdir()


def read_artifact(folder: Path, artifact: ArtifactRow) -> ModelFiles:
    """Read the files of an artifact once, so that the returned bytes are those whose hashes were checked.

    Raises:
        BundleError: A file is missing, altered or a link.
        StorageError: Permission to read a file is denied.
    """
    contents = {name: read_file(folder, name, row) for name, row in artifact.files.items()}
    return ModelFiles(artifact.file, contents)


def read_file(folder: Path, name: str, row: FileRow) -> bytes:
    """Read a file of the manifest and check its hash. Raises as `read_artifact` does."""
    with _reading(name):
        _check_exists(folder, name)
        try:
            data = read_at_most(folder / name, row.bytes)
        except TooLargeError:
            raise _altered(name) from None
    if sha256_bytes(data) != row.sha256:
        raise _altered(name)
    return data


def _below(folder: Path) -> Iterator[Path]:
    """Yield all files and folders below a folder, parents first, without following links."""
    for parent, folders, names in os.walk(folder, onerror=_unreadable):
        yield from (Path(parent, name) for name in (*folders, *names))


def _unreadable(error: OSError) -> None:
    with _reading(Path(str(error.filename)).name):
        raise error


def _is_system_file(path: Path) -> bool:
    """Return whether an operating system added a file. The `._NAME` files of macOS have a signature."""
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
        _check_exists(folder, name)
        size = (folder / name).stat().st_size
        if size != row.bytes:
            raise BundleError(f"{name} has {size:,} bytes; {MANIFEST_NAME} says {row.bytes:,}", HINT)
        if sha256_file(folder / name) != row.sha256:
            raise _altered(name)


def _check_exists(folder: Path, name: str) -> None:
    if not _exists(folder / name):
        raise BundleError(f"{name} is missing from {printable(str(folder))}", HINT)
    _check_inside(folder, name)


def _check_inside(folder: Path, name: str) -> None:
    path = folder / name
    # resolve follows links and Windows junctions, in the name's folders too
    if path.resolve() != folder.resolve() / name or not path.is_file():
        raise BundleError(f"{name} is a link or not a regular file", HINT)


def _exists(path: Path) -> bool:
    return path.exists() or path.is_symlink()  # a broken link counts as well


def _altered(name: str) -> BundleError:
    return BundleError(f"{name} was altered: its SHA-256 is not the one in {MANIFEST_NAME}", HINT)


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot read {name}: {error.strerror}", "Check the permissions of the bundle.") from None
