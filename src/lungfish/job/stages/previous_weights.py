"""Start from the weights of the previous bundle of a growing folder, if they give a lower validation loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import LungfishError
from lungfish.core.names import plural, printable
from lungfish.core.progress import Progress
from lungfish.data.scan.sample import embed_sample
from lungfish.job.dataset import Dataset
from lungfish.job.spec import Job
from lungfish.job.stages.head import HeadStage
from lungfish.job.start import Start, choose_start
from lungfish.runtime.bundle_files import read_manifest
from lungfish.training.paired_gain import Losses, gain, losses
from lungfish.training.probe import Head, fit_probe
from lungfish.training.recipe import Recipe
from lungfish.training.trunk import open_trunk
from lungfish.weights.convert.fit import same_layers
from lungfish.weights.fetch.converted import fetch_converted
from lungfish.weights.fetch.fetch import FetchOptions
from lungfish.weights.load import load_weights


def last_weights(dataset: Dataset, start: Start, job: Job, recipe: Recipe, progress: Progress) -> Start | None:
    """Return the weights of the last bundle as a start; None if this job cannot start from them.

    The bundle must have the same network and preprocessing, and be trained from the weights that the job names, if any.
    It must have other photos or another split, so that the same command on the same photos reproduces it.

    Args:
        dataset: Photos, and the folder of the last bundle.
        start: Start of this job.
        job: This job.
        recipe: Recipe of this job.
        progress: Receives a warning if a bundle is skipped.
    """
    previous = dataset.previous
    if previous is None or not recipe.tables or not recipe.pretrained:
        return None
    try:
        if read_manifest(previous).data.fingerprint == dataset.fingerprint():
            return None
        last = choose_start(None, str(previous))
    except LungfishError as error:
        progress.warn(f"Not starting from {printable(previous.name)}: {error.message}")
        return None
    fits = same_layers(start.arch, last.arch) and last.preprocess.to_json() == start.preprocess.to_json()
    is_wanted = job.weights is None or last.entry.trained_from == start.entry.sha256
    return Start(start.arch, last.entry) if fits and is_wanted else None


def better_start(last: Start, fresh: HeadStage, recipe: Recipe, progress: Progress) -> HeadStage | None:
    """Fit a head on the weights of the last bundle; return None unless its validation loss is clearly lower.

    With few photos a job always starts from the pretrained weights: it needs cross-validation, whose figures would be
    too optimistic on photos that the last network was trained on.

    Args:
        last: The `Start` that `last_weights` returned.
        fresh: Head stage on the pretrained weights.
        recipe: Recipe of the job.
        progress: Receives the outcome.

    Raises:
        UnreadablePhotoError: A photo is no longer readable.
    """
    dataset = fresh.dataset
    train, val = (dataset.embedded_indices(split) for split in ("train", "val"))
    if fresh.head is None or len(dataset.indices("train")) < recipe.few_photos:
        return None
    try:
        record = fetch_converted(last.entry, FetchOptions(progress=progress))
        network = load_weights(record.entry, last.arch)
        trunk = open_trunk(network, record.entry)
    except LungfishError as error:
        progress.warn(f"Not starting from {last.entry.name}: {error.message}")
        return None
    if trunk.key == fresh.trunk.key:
        return None  # the bundle has the pretrained trunk: only its head was trained
    positions = dataset.embedded_indices("train", "val")
    rule = last.preprocess
    examined = embed_sample(dataset.examined, positions, dataset.photos, rule, trunk, progress)
    dataset = replace(dataset, examined=examined)
    head = fit_probe(dataset.samples(train), dataset.samples(val), recipe)
    before, after, units = _losses(fresh, dataset, head)
    words = (
        f"on {plural(len(units), 'validation photo')} the loss of a head is {after.mean():.3f} with its weights, "
        f"{before.mean():.3f} with the pretrained ones"
    )
    if not gain(before, after, units).is_clear(1.0):
        progress.say(f"Not starting from {last.entry.name}: {words}")
        return None
    progress.say(f"Starting from {last.entry.name}: {words}")
    network = network.with_classifier(head.weight, head.bias)
    return HeadStage(network, head, Start(last.arch, record.entry), record, trunk, dataset)


def _losses(fresh: HeadStage, dataset: Dataset, head: Head) -> tuple[Losses, Losses, NDArray[np.int64]]:
    """Return the losses of the head of `fresh` and of `head` on validation photos, and the photos' scenes."""
    val = dataset.embedded_indices("val")
    truth = dataset.truth[val]
    assert fresh.head
    before = losses(fresh.head.logits(fresh.dataset.samples(val).features), truth)
    return before, losses(head.logits(dataset.samples(val).features), truth), dataset.assignment.units[val]
