"""The first stage of a job: fit a head on the features of a frozen trunk."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lungfish.core.progress import Progress
from lungfish.data.scan.features import Trunk
from lungfish.job.dataset import Dataset
from lungfish.job.start import Start
from lungfish.training.crossvalidation import HeldOut, cross_validate
from lungfish.training.probe import Head, fit_probe
from lungfish.training.recipe import Recipe
from lungfish.weights.fetch.converted import fetch_converted
from lungfish.weights.fetch.fetch import FetchOptions
from lungfish.weights.load import from_network, load_weights
from lungfish.weights.network_weights import NetworkWeights
from lungfish.weights.store.record import WeightsRecord


@dataclass(frozen=True, eq=False)
class HeadStage:
    """A network with a frozen trunk, and the head that was fitted on it.

    Args:
        network: Network with the head as its classifier.
        head: Head fitted on the features in `dataset`; None without pretrained weights.
        start: Architecture and weights.
        weights: Record of the weights.
        trunk: Trunk that computes the features.
        dataset: Photos and their features.
    """

    network: NetworkWeights
    head: Head | None
    start: Start
    weights: WeightsRecord
    trunk: Trunk
    dataset: Dataset


def initial_network(start: Start, seed: int) -> NetworkWeights:
    """Return the network with random initial weights, drawn by torch."""
    from lungfish import nn

    return from_network(nn.build(start.arch, start.entry.flavour, seed=seed))


def open_network(
    start: Start, recipe: Recipe, seed: int, fetching: FetchOptions
) -> tuple[NetworkWeights, WeightsRecord]:
    """Return the network that a job starts from, and the record of its weights; download them if necessary."""
    if not recipe.pretrained:
        network = initial_network(start, seed)
        return network, WeightsRecord(replace(start.entry, sha256=network.sha256()), "")
    record = fetch_converted(start.entry, fetching)
    return load_weights(record.entry, start.arch), record


def fit_head(dataset: Dataset, recipe: Recipe, seed: int, progress: Progress) -> tuple[Head | None, HeldOut | None]:
    """Return the head fitted on the training photos, and its cross-validation; both None without pretrained weights."""
    if not recipe.pretrained:
        return None, None
    progress.say(dataset.sampled() or "Fitting the head")
    train, val = (dataset.samples(dataset.embedded_indices(split)) for split in ("train", "val"))
    head = fit_probe(train, val, recipe)
    return head, _cross_validate(dataset, head, recipe, seed)


def _cross_validate(dataset: Dataset, head: Head, recipe: Recipe, seed: int) -> HeldOut | None:
    """Return the head's cross-validation over all photos; None with many photos, or too few for two folds."""
    truth, units = dataset.truth, dataset.assignment.units
    if len(dataset.photos.photos) >= recipe.cross_validate_below:
        return None
    folds = min(recipe.folds, *(len(set(units[truth == label])) for label in range(len(dataset.labels))))
    if folds < 2:
        return None
    everything = dataset.samples(np.arange(len(truth)))
    return cross_validate(everything, units, head, folds, seed)
