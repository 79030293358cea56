"""Create the weights entries of local files and bundles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lungfish.architecture import Arch, Flavour
from lungfish.core.errors import ArchitectureError, BundleError, UsageError, WeightsError
from lungfish.core.names import expanded, printable
from lungfish.runtime.bundle_files import read_manifest
from lungfish.runtime.description import WEIGHTS_NAME
from lungfish.runtime.manifest import Manifest
from lungfish.weights.catalogue import catalogue
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.formats.checkpoint import KERAS, files_of
from lungfish.weights.layouts.detection import OURS
from lungfish.weights.license import NOASSERTION
from lungfish.weights.resolve.completion import INCOMPLETE, arch_name, complete
from lungfish.weights.scheme import FILE
from lungfish.weights.store.record import WeightsRecord
from lungfish.weights.store.store import Store


def file_entry(text: str, arch: str | None) -> WeightsEntry:
    """Return the entry of `file:PATH`, or of `tf:PREFIX`, a TensorFlow checkpoint.

    Its name keeps only the last part of the path: names of weights appear in bundles, which must not reveal folders.

    Args:
        text: Name as typed.
        arch: Network; not needed if the file states it, if it is recognized, or if it was given in an earlier fetch.

    Raises:
        UsageError: The file does not exist, or the network or the library is unknown.
        WeightsError: The file cannot be read.
        MissingExtraError: The package that reads it is not installed.
    """
    scheme, _, rest = text.partition(":")
    path = expanded(rest, "the file")
    if scheme == "tf" and path.suffix == ".index":
        path = path.with_suffix("")
    files = (path.with_name(f"{path.name}.index"),) if scheme == "tf" else files_of(path)
    for file in files:
        if not file.is_file():
            raise UsageError(f"there is no file {printable(str(file))}", "Write file:PATH, or tf:PREFIX.")
    shown_name, location = f"{scheme}:{printable(path.name)}", f"{FILE}{path.resolve()}"
    entry = replace(
        INCOMPLETE,
        name=shown_name,
        arch=arch or (_named_before(shown_name, location) if path.suffix in KERAS else ""),
        location=location,
        source="a local file",
        license_source="not stated in the file",
        bytes=sum(file.stat().st_size for file in files_of(path)),
    )
    return complete(entry, path)


def _named_before(name: str, location: str) -> str:
    """Return the network that the user named when the file was first used, or an empty string."""
    record = Store().record(name)
    return record.entry.arch if record and record.entry.location == location else ""


def bundle_entry(text: str) -> WeightsEntry:
    """Return the entry of a bundle's weights, with the license and origin of the weights it was trained from.

    Args:
        text: Path of the bundle.

    Raises:
        BundleError: The folder is not a bundle, or the bundle needs a newer version of Lungfish.
        WeightsError: The bundle was slimmed for a device, or does not state its preprocessing.
    """
    folder = Path(text)
    manifest = read_manifest(folder)
    row = manifest.files.get(WEIGHTS_NAME)
    if row is None or not (folder / WEIGHTS_NAME).is_file():
        raise WeightsError(
            f"{printable(text)} contains no {WEIGHTS_NAME}: it was slimmed for a device", "Use the full bundle."
        )
    origin = _origin(manifest)
    if origin is None:
        raise WeightsError(f"{printable(text)} does not state its preprocessing", "Train it again.")
    name = printable(folder.resolve().name)
    return replace(
        origin,
        name=f"bundle:{name}",
        arch=arch_name(_arch(manifest)),
        converter=OURS,
        location=f"{FILE}{(folder / WEIGHTS_NAME).resolve()}",
        source=f"bundle {name}, trained from {origin.name} ({origin.source})",
        license=manifest.weights.license or NOASSERTION,
        flavour=Flavour(manifest.flavour.padding, manifest.flavour.bn_eps),  # type: ignore[arg-type]  # checked
        crop_fraction=manifest.preprocess.crop_fraction,
        interpolation=manifest.preprocess.interpolation,
        sha256=row.sha256,
        digest="",
        bytes=row.bytes,
        top1=None,
        top1_source="",
        trained_from=origin.sha256,
        unverified=(),
    )


def _origin(manifest: Manifest) -> WeightsEntry | None:
    """Return the weights that a bundle was trained from, as recorded or, for older bundles, as catalogued."""
    if manifest.weights.record:
        return WeightsRecord.from_json(manifest.weights.record).entry
    return catalogue().get(manifest.weights.name)


def _arch(manifest: Manifest) -> Arch:
    try:
        return Arch.from_json(manifest.architecture)
    except ArchitectureError as error:
        raise BundleError(
            f"unknown architecture {printable(manifest.architecture['name'])}: {printable(error.message)}",
            "If a newer lungfish made the bundle, upgrade: pip install --upgrade lungfish",
        ) from None
