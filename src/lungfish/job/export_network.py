"""Export a network that was trained outside Lungfish to a proven bundle."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lungfish.architecture import Arch
from lungfish.core.errors import ParityError, PhotosError, UsageError, WeightsError
from lungfish.core.names import plural, printable
from lungfish.core.progress import Progress
from lungfish.data.photos import PhotoSet
from lungfish.data.scan.examination import ExamineOptions, examine
from lungfish.data.scan.near_duplicates import find_near_duplicates
from lungfish.data.scan.scenes import no_scenes
from lungfish.data.sources import OneClassError, open_photos
from lungfish.data.split.halves import split_in_halves
from lungfish.data.split.integrity import check_photos
from lungfish.deploy.classifier import Classifier
from lungfish.job.bundle.finish import Trained, bundle_result, finish
from lungfish.job.dataset import Dataset
from lungfish.job.replace_bundle import staged_bundle
from lungfish.job.result import BundleResult
from lungfish.job.stages.run import TrainingResult
from lungfish.job.start import INITIAL, UNKNOWN
from lungfish.job.stopwatch import Stopwatch
from lungfish.job.target import choose_target
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.training.recipe import Recipe
from lungfish.weights.convert.exchange import plain_arrays
from lungfish.weights.convert.fit import match_arrays
from lungfish.weights.fetch.fetch import FetchOptions, fetch
from lungfish.weights.network_weights import NetworkWeights
from lungfish.weights.resolve.names import resolve
from lungfish.weights.store.record import WeightsRecord

if TYPE_CHECKING:
    from lungfish.nn import Network

RANDOM = INITIAL.name
SHOWN = 20  # class names in a message
SEEN_OR_NOT = (
    "the network was trained outside Lungfish: it was not checked whether these photos, or copies of them, were among "
    "its training photos; if some were, the figures are too optimistic"
)


@dataclass(frozen=True, eq=False)
class ExportJob:
    """The arguments of `lungfish.export`, which describes them."""

    network: Network
    labels: Sequence[str]
    out: Path
    photos: str | Path
    preprocessing: Preprocessing | None = None
    weights: str | None = None
    force: bool = False
    follow_links: bool = False


def export_network(job: ExportJob, progress: Progress) -> BundleResult:
    """Run an export job. Raises: As `lungfish.export`."""
    clock = Stopwatch()
    labels = _labels(job)
    record = _record(job)
    network = _weights(job.network, len(labels))
    preprocess = _preprocessing(job, record, network.arch)
    network = network.at_resolution(preprocess.resolution_px)
    record = _completed(record, network, preprocess)
    target = choose_target(job.photos, job.out, force=job.force)
    classifier = Classifier(network, 1.0, labels, preprocess, record.entry, _copied(job.network))
    with clock.phase("photos"):
        dataset = _scan(_labelled(job, labels), preprocess, progress)
    trained = Trained(
        seed=0,
        recipe=Recipe(name="export"),
        classifier=classifier,
        weights=record,
        dataset=dataset,
        training=TrainingResult(network, classifier.temperature, (), (), None),
        outside=True,
    )
    with staged_bundle(target.folder, target.replaced, progress) as files:
        try:
            created = finish(trained, files, target, clock, progress)
        except ParityError as error:
            raise ParityError(
                error.message,
                f"Export writes the original layers of {printable(network.arch.name)}. If you replaced any of them "
                f"other than the classifier, restore them. Otherwise: {error.hint}",
            ) from None
    return bundle_result(target, created, clock)


def _labels(job: ExportJob) -> tuple[str, ...]:
    from torch import nn

    from lungfish.nn import Network

    if not isinstance(job.network, Network):
        raise UsageError(
            f"export takes a network of lungfish.build, got {type(job.network).__name__}",
            "Pass the inner network: `ddp.module`, or `compiled._orig_mod`.",
        )
    labels, classifier = tuple(job.labels), job.network.classifier
    if isinstance(job.labels, str) or not all(isinstance(label, str) and label for label in labels):
        raise UsageError(f"labels is {job.labels!r}; it must be a list of class names, in the order of the logits")
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise UsageError(f"labels must be two or more different names, got {plural(len(labels), 'name')}")
    if not isinstance(classifier, nn.Linear):
        raise UsageError(
            f"the network's classifier is a {type(classifier).__name__}; only one torch.nn.Linear can be exported"
        )
    if classifier.out_features != len(labels):
        raise UsageError(
            f"the network has {classifier.out_features:,} logits, labels has {plural(len(labels), 'name')}",
            "Give one name for each logit, in their order.",
        )
    return labels


def _record(job: ExportJob) -> WeightsRecord:
    """Return the record of the weights that training started from; its license was accepted before."""
    if job.weights == RANDOM:
        return WeightsRecord(INITIAL, "")
    if job.weights:
        return fetch(resolve(job.weights), FetchOptions(offline=True))
    name = getattr(job.network, "weights", None)
    if name:
        with contextlib.suppress(UsageError, WeightsError):  # a bare file of weights states no license
            return fetch(resolve(name), FetchOptions(offline=True))
    return WeightsRecord(UNKNOWN, "")


def _weights(network: Network, classes: int) -> NetworkWeights:
    """Return copies of the network's weights in float32."""
    arch = network.arch.with_classes(classes)
    return NetworkWeights(arch, network.flavour, match_arrays(arch, plain_arrays(network.state_dict())))


def _copied(network: Network) -> Network:
    """Return a copy on the CPU, in float32 and eval mode, including any layers that the user replaced."""
    import torch

    return deepcopy(network).to("cpu", torch.float32).eval().requires_grad_(False)


def _preprocessing(job: ExportJob, record: WeightsRecord, arch: Arch) -> Preprocessing:
    """Return the preprocessing used in training: the given one, else the network's, else that of the named weights."""
    known = job.preprocessing or getattr(job.network, "preprocessing", None)
    if isinstance(known, Preprocessing):
        return known
    if known is not None:
        raise UsageError(f"preprocessing is {known!r}; it must be a lungfish.Preprocessing")
    if record.entry.location:
        return record.entry.preprocessing(arch.resolution_px)
    raise UsageError(
        "the preprocessing used in training (resizing, normalization) is not known",
        "Give it: preprocessing=lungfish.Preprocessing(224, mean=(127, 127, 127), std=(128, 128, 128)), for pixels "
        "from 0 to 255; or weights=NAME, if you preprocessed photos as the weights NAME expect.",
    )


def _completed(record: WeightsRecord, network: NetworkWeights, preprocess: Preprocessing) -> WeightsRecord:
    """Return the record with the bundle's preprocessing and, for weights without a file, hash and network."""
    entry = record.entry.with_preprocessing(preprocess)
    if not entry.location:
        entry = replace(entry, arch=network.arch.name, flavour=network.flavour, sha256=network.sha256())
    return replace(record, entry=entry)


def _labelled(job: ExportJob, labels: tuple[str, ...]) -> PhotoSet:
    """List the photos, with the class indices of the network."""
    try:
        photos = open_photos(job.photos, follow_links=job.follow_links)
    except OneClassError as error:
        photos = error.photos
    unknown, absent = set(photos.labels) - set(labels), set(labels) - set(photos.labels)
    if unknown or absent:
        said = [("not in labels", unknown), ("without photos", absent)]
        raise PhotosError(
            "the classes of the photos are not those of labels; "
            + "; ".join(f"{what}: {', '.join(map(printable, sorted(some)[:SHOWN]))}" for what, some in said if some),
            "Name the class folders as in labels, and give photos of each class.",
        )
    index = {label: i for i, label in enumerate(labels)}
    renumbered = [replace(photo, label=index[photos.labels[photo.label]]) for photo in photos.photos]
    reader = photos.reader
    originals = dict(zip(renumbered, photos.photos, strict=True))
    return replace(photos, labels=labels, photos=tuple(renumbered), reader=lambda photo: reader(originals[photo]))


def _scan(photos: PhotoSet, preprocess: Preprocessing, progress: Progress) -> Dataset:
    """Scan the photos, and split those without a given split into `val` and `test`."""
    examined = examine(photos, preprocess, None, ExamineOptions(progress=progress))
    warnings = check_photos(photos, examined)
    copies = find_near_duplicates([record.seen for record in examined.records])
    assignment = split_in_halves(examined.records, photos.labels, copies)
    return Dataset(
        photos,
        examined,
        copies,
        assignment,
        np.empty(0, np.int64),
        (SEEN_OR_NOT, *examined.warnings, *warnings, *assignment.warnings),
        no_scenes("scenes were not searched for"),
    )
