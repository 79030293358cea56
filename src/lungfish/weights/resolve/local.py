"""Files and bundles of this machine as sets of weights."""

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
    """The entry of `file:PATH`, or of `tf:PREFIX`, which is a TensorFlow checkpoint.

    Its name keeps only the last part of the path: names of weights end up in bundles, which hold no one's folders.

    Args:
        text: the name as it was typed.
        arch: the network, if it is neither in the file nor recognized, nor was named when the file was fetched.

    Raises:
        UsageError: no such file, or nothing tells the network or the library.
        WeightsError: the file cannot be read.
        MissingExtraError: the package that reads it is not installed.
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
        source="a file of this machine",
        license_source="not stated in the file",
        bytes=sum(file.stat().st_size for file in files_of(path)),
    )
    return complete(entry, path)


def _named_before(name: str, location: str) -> str:
    """The network that a person named for a file which does not tell it."""
    record = Store().record(name)
    return record.entry.arch if record and record.entry.location == location else ""


def bundle_entry(text: str) -> WeightsEntry:
    """The entry of a bundle's weights, with the license and the origin of those that it was trained from.

    Args:
        text: path of the bundle.

    Raises:
        BundleError: it is no bundle, or none that this version understands.
        WeightsError: it was slimmed for a device, or does not say what its pixels go through.
    """
    folder = Path(text)
    manifest = read_manifest(folder)
    row = manifest.files.get(WEIGHTS_NAME)
    if row is None or not (folder / WEIGHTS_NAME).is_file():
        raise WeightsError(
            f"{printable(text)} holds no {WEIGHTS_NAME}: it was slimmed for a device", "Give the whole bundle."
        )
    origin = _origin(manifest)
    if origin is None:
        raise WeightsError(f"{printable(text)} does not say what its pixels go through", "Train it again.")
    name = printable(folder.resolve().name)
    return replace(
        origin,
        name=f"bundle:{name}",
        arch=arch_name(_arch(manifest)),
        converter=OURS,
        location=f"{FILE}{(folder / WEIGHTS_NAME).resolve()}",
        source=f"bundle {name}, trained from {origin.name} ({origin.source})",
        license=manifest.weights.license or NOASSERTION,
        flavour=Flavour(manifest.flavour.padding, manifest.flavour.bn_eps),  # type: ignore[arg-type]  # checked there
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
    """The set that a bundle was trained from: as its record says, or the catalogue, in older bundles."""
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
