"""The files of a bundle: are they those that its manifest lists?"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from lungfish.core.errors import BundleError, StorageError
from lungfish.core.hashing import sha256_bytes, sha256_file
from lungfish.core.names import printable
from lungfish.runtime.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, FileRow, Manifest
from lungfish.runtime.untrusted import HINT


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
        size = path.stat().st_size
        if size > MAX_MANIFEST_BYTES:
            raise BundleError(f"{MANIFEST_NAME} has {size:,} bytes; at most {MAX_MANIFEST_BYTES:,} are allowed", HINT)
        return Manifest.from_json(path.read_bytes())


def file_rows(folder: Path, artifacts: Collection[str]) -> dict[str, FileRow]:
    """What the manifest has to list of a bundle that is being written: its files but for the artefacts, by name."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name: FileRow(sha256_file(path), path.stat().st_size) for name, path in files.items() if name not in artifacts
    }


def check_files(folder: Path, manifest: Manifest) -> None:
    """Make sure that every file of the manifest is there and is what it was.

    Raises:
        BundleError: one is missing, altered, truncated, a link or outside the folder.
        StorageError: one may not be read.
    """
    for name, row in _rows(manifest).items():
        _check_file(folder, name, row)


def check_present_files(folder: Path, manifest: Manifest) -> None:
    """As `check_files`, but all files except the default artefact may be absent: see docs/decisions/0008."""
    for name, row in _rows(manifest).items():
        if name == manifest.default or _stands(folder / name):
            _check_file(folder, name, row)


def read_artifact(folder: Path, manifest: Manifest, file: str) -> bytes:
    """The bytes of an artefact: those that are hashed are those that are returned.

    Raises:
        BundleError: it is missing, altered or a link.
        StorageError: it may not be read.
    """
    with _reading(file):
        _check_there(folder, file)
        data = (folder / file).read_bytes()
    if sha256_bytes(data) != manifest.artifact(file).sha256:
        raise _altered(file)
    return data


def _rows(manifest: Manifest) -> dict[str, FileRow]:
    return {row.file: FileRow(row.sha256, row.bytes) for row in manifest.artifacts} | manifest.files


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
