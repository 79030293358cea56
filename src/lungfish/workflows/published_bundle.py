"""Export published weights once, as a bundle that then predicts like any other."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lungfish.architecture import parse_arch
from lungfish.core import space
from lungfish.core.cache import cache_folder
from lungfish.core.errors import BundleError, StorageError, WeightsError
from lungfish.core.hashing import sha256_json
from lungfish.core.own_files import clear_place
from lungfish.core.progress import Progress
from lungfish.core.staging import put, staged_folder
from lungfish.core.version import __version__
from lungfish.exporters.table import DEFAULT_FORMAT, EXPORTERS, format_packages
from lungfish.runtime.artifact import ArtifactRow
from lungfish.runtime.bundle_files import check_files, file_rows, read_manifest
from lungfish.runtime.manifest import MANIFEST_NAME, DataSummary, FlavourRow, Manifest
from lungfish.runtime.measure import machine, versions
from lungfish.weights.fetch.converted import fetch_converted
from lungfish.weights.fetch.fetch import FetchOptions
from lungfish.weights.imagenet import imagenet_names
from lungfish.weights.resolve.names import resolve
from lungfish.weights.store.record import WeightsRecord

if TYPE_CHECKING:
    from lungfish.deploy.classifier import Classifier

CHANGES = "batch normalization folded into the convolutions"
PACKAGES = ("lungfish", "numpy", "pillow", "torch")  # in addition to those of the format


def published_bundle(name: str, progress: Progress) -> Path:
    """Return the cached bundle of the weights called `name`, which are fetched and exported at the first use.

    Raises:
        UnknownNameError: No weights have that name.
        LicenseError: Their license was not accepted.
        WeightsError: Their classes are not those of ImageNet.
        MachineError: They cannot be fetched or written.
    """
    record = fetch_converted(resolve(name), FetchOptions(progress=progress))
    labels = imagenet_names()
    if parse_arch(record.entry.arch).classes != len(labels):
        raise WeightsError(
            f"{name} has {parse_arch(record.entry.arch).classes:,} classes, whose names are not known",
            "Only weights with ImageNet's 1,000 classes predict without training. Train these on your photos first.",
        )
    created_from = sha256_json(
        [asdict(record.entry), labels, __version__, versions(EXPORTERS[DEFAULT_FORMAT].packages)]
    )
    folder = cache_folder() / "bundles" / f"{re.sub(r'[^a-z0-9.]+', '-', name.casefold())[-60:]}-{created_from[:12]}"
    if not _is_whole(folder):
        progress.say(f"Exporting {name} (at first use only)")
        try:
            with staged_folder(folder, _put) as stage:
                _write(stage, record, labels)
        except StorageError:
            if not _is_whole(folder):  # otherwise another process was faster
                raise
        space.make_room(folder, 0)
    space.touch(folder)
    return folder


def _put(new: Path, folder: Path) -> None:
    """Replace a bundle that was altered. Raises `OSError`, even if only because another process was faster."""
    if not _is_whole(folder):
        clear_place(folder, folder.parent)
    put(new, folder)


def _is_whole(folder: Path) -> bool:
    """Return whether the bundle exists unaltered: anything in a cache may be deleted at any time."""
    try:
        check_files(folder, read_manifest(folder))
    except (BundleError, StorageError):
        return False
    return True


def _write(stage: Path, record: WeightsRecord, labels: tuple[str, ...]) -> None:
    from lungfish.deploy.classifier import Classifier
    from lungfish.deploy.golden import golden_pixels, write_golden
    from lungfish.deploy.model_card import notice
    from lungfish.deploy.proof import check_parity
    from lungfish.weights.load import load_weights

    entry, network = record.entry, load_weights(record.entry)
    preprocess = entry.preprocessing(network.arch.resolution_px)
    classifier = Classifier(network, 1.0, labels, preprocess, entry)
    artifact = classifier.write(stage)
    pixels = golden_pixels(preprocess)
    check_parity(classifier, artifact, pixels)
    write_golden(stage, preprocess, {artifact.file: artifact.open().run(pixels)})
    (stage / "labels.txt").write_text("".join(f"{label}\n" for label in labels), "utf-8", newline="\n")
    (stage / "NOTICE").write_text(notice(record.entry, record.accepted_license, CHANGES), "utf-8", newline="\n")
    row = replace(artifact.row(), why="no labelled photos to measure it on")
    manifest = _manifest(stage, classifier, record, row)
    (stage / MANIFEST_NAME).write_text(manifest.to_json(), "utf-8", newline="\n")


def _manifest(stage: Path, classifier: Classifier, record: WeightsRecord, row: ArtifactRow) -> Manifest:
    from lungfish.deploy.origin import origin

    flavour = classifier.network.flavour
    return Manifest(
        lungfish=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=0,
        packages=versions(sorted({*PACKAGES, *format_packages([row.format])})),
        architecture=classifier.network.arch.to_json(),
        flavour=FlavourRow(flavour.padding, flavour.bn_eps),
        weights=origin(record),
        labels=classifier.labels,
        thresholds={"known": 0.0},
        temperature=classifier.temperature,
        preprocess=classifier.preprocess,
        data=DataSummary("", {}, {}),
        artifacts=(row,),
        default=row.file,
        test={},
        val={},
        machine=machine(),
        files=file_rows(stage, [row]),
    )
