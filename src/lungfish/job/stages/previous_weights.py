"""The next bundle of a folder that grew: start from what the last one learned, if that validates better."""

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
from lungfish.training.attach import attach
from lungfish.training.paired_gain import Losses, gain, losses
from lungfish.training.probe import Head, fit_probe
from lungfish.training.recipe import Recipe
from lungfish.training.trunk import open_trunk
from lungfish.weights.convert.fit import same_layers
from lungfish.weights.fetch.converted import fetch_converted
from lungfish.weights.fetch.fetch import FetchOptions
from lungfish.weights.load import load_network


def last_weights(dataset: Dataset, start: Start, job: Job, recipe: Recipe, progress: Progress) -> Start | None:
    """Return what the last bundle learned, as a start; None if there is nothing that this job could go on from.

    It must be of the same network and resize rule, and trained from the weights that the job names, if it names any. It
    must be of other photos, or of another split: the same command on the same photos makes the same bundle again.

    Args:
        dataset: The photos, and the folder of the last bundle.
        start: Of this job.
        job: This one.
        recipe: Of this job.
        progress: Told why a bundle is left alone.
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
    """Fit a head on what the last bundle learned; None unless its loss on validation photos is clearly lower.

    With few photos a job starts from the pretrained weights: photos that the last one was tuned on would make
    cross-validation, which few photos need, read too high.

    Args:
        last: From `last_weights`.
        fresh: The head stage on the pretrained weights.
        recipe: Of the job.
        progress: Told of the outcome.

    Raises:
        UnreadablePhotoError: A photo that could be read before cannot be now.
    """
    dataset = fresh.dataset
    train, val = (dataset.embedded_indices(split) for split in ("train", "val"))
    if fresh.head is None or len(dataset.indices("train")) < recipe.few_photos:
        return None
    try:
        record = fetch_converted(last.entry, FetchOptions(progress=progress))
        network = load_network(record.entry, last.arch)
        trunk = open_trunk(network, record.entry)
    except LungfishError as error:
        progress.warn(f"Not starting from {last.entry.name}: {error.message}")
        return None
    if trunk.key == fresh.trunk.key:
        return None  # it had trained a head alone, as this job has by now
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
    attach(network, head, len(dataset.labels))
    return HeadStage(network, head, Start(last.arch, record.entry), record, trunk, dataset)


def _losses(fresh: HeadStage, dataset: Dataset, head: Head) -> tuple[Losses, Losses, NDArray[np.int64]]:
    """Return the losses on validation photos of the head of `fresh` and of `head`, and the photos' scenes."""
    val = dataset.embedded_indices("val")
    truth = dataset.truth[val]
    assert fresh.head
    before = losses(fresh.head.logits(fresh.dataset.samples(val).features), truth)
    return before, losses(head.logits(dataset.samples(val).features), truth), dataset.assignment.units[val]
