"""Write the small copy of a bundle that a device needs, without information about its photos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lungfish.runtime.bundle import Bundle
from lungfish.runtime.bundle_files import listed_files, read_file
from lungfish.runtime.manifest import MANIFEST_NAME, Manifest

# In addition to one model: labels for other tools, and the notice that the license of the weights requires.
DEVICE_FILES = ("labels.txt", "NOTICE")


def write_slim_bundle(bundle: Bundle, folder: Path, artifact: str | None = None) -> Manifest:
    """Copy what a device needs. Each file is checked against its hash as it is read.

    Args:
        bundle: Bundle to copy from.
        folder: Existing empty folder to write into.
        artifact: File name of the artifact to copy; the default one if None.

    Returns:
        Manifest of the copy, which lists only the files that it contains.

    Raises:
        UnknownNameError: The artifact does not exist.
        BundleError: The artifact is missing, or a file was altered.
        StorageError: A file cannot be read.
    """
    manifest = _slim_manifest(bundle, artifact)
    for name, row in listed_files(manifest).items():
        data = read_file(bundle.folder, name, row)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8", newline="\n")
    return manifest


def _slim_manifest(bundle: Bundle, artifact: str | None) -> Manifest:
    """Return the manifest of the slim copy, whose only artifact is the default."""
    manifest = bundle.manifest
    row = manifest.artifact(artifact)
    files = {name: manifest.files[name] for name in DEVICE_FILES if name in manifest.files}
    splits = {key: value for key, value in manifest.data.splits.items() if key != "file"}  # photos.csv
    is_default = row.file == manifest.default
    return replace(
        manifest,
        artifacts=(row,),
        default=row.file,
        files={name: file for name, file in files.items() if (bundle.folder / name).exists()},
        data=replace(manifest.data, splits=splits),
        # these are figures of the default artifact; those of another artifact are in its row
        test=manifest.test if is_default else {},
        val=manifest.val if is_default else {},
    )
