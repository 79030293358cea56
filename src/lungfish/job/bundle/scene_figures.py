"""Measure how scenes affect the figures: cross-validate with scenes kept whole, and divided at random."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lungfish.data.photos import SPLITS
from lungfish.data.scan.near_duplicates import join
from lungfish.evaluation.report_data import SceneSummary
from lungfish.job.dataset import Dataset
from lungfish.training.crossvalidation import each_fold
from lungfish.training.probe import Head

JUDGED = 1000  # photos; more would take longer and show the same
FOLDS = 5
ROUGH = 1e-2  # gradient at which the fits stop
LEAST_WITHIN = 0.05  # share of photos in scenes; a smaller one has no effect that 1,000 photos could show


def summarize_scenes(dataset: Dataset, head: Head | None, seed: int) -> SceneSummary:
    """Return the number of scenes, and the figures that a random split, which divides scenes, would have reported.

    Whole scenes of a large dataset are sampled. Test photos of a large given split have no features, and are left out.

    Args:
        dataset: Photos and their features.
        head: Head fitted on the features; None without pretrained weights.
        seed: Seed for the folds.
    """
    sizes = dataset.scenes.sizes
    summary = SceneSummary(len(sizes), sum(sizes), max(sizes, default=0), dataset.scenes.unknown)
    summary = replace(summary, in_sequence=dataset.scenes.in_sequence)
    positions = _whole_units(dataset)
    units = join(len(dataset.truth), dataset.scenes.pairs)[positions]
    within = len(units) - int((np.unique(units, return_counts=True)[1] == 1).sum())
    truth, together = dataset.truth[positions], dataset.assignment.units[positions]
    fewest = min((len(set(together[truth == label])) for label in np.unique(truth)), default=0)
    if head is None or within < LEAST_WITHIN * len(positions) or fewest < 2:
        return summary
    samples, folds = dataset.samples(positions), min(FOLDS, fewest)
    apart, torn = (
        sum(
            int((logits.argmax(axis=1) == samples.labels[held_out]).sum())
            for held_out, logits in each_fold(samples, groups, head, folds, seed, tolerance=ROUGH)
        )
        / len(positions)
        for groups in (together, dataset.copies.groups[positions])
    )
    return replace(summary, top1=apart, random_top1=torn, judged=len(positions))


def _whole_units(dataset: Dataset) -> NDArray[np.int64]:
    """Return positions of about `JUDGED` photos with features, in whole units chosen by content; ascending."""
    embedded = dataset.embedded_indices(*SPLITS)
    units, records = dataset.assignment.units[embedded], dataset.examined.records
    first: dict[int, str] = {}
    for i, unit in zip(embedded.tolist(), units.tolist(), strict=True):
        first[unit] = min(records[i].seen.sha256, first.get(unit, "g"))
    order = np.array(sorted(range(len(embedded)), key=lambda k: (first[int(units[k])], k)), np.int64)
    if len(order) > JUDGED:
        cut = units[order[JUDGED]]  # the limit may divide this unit
        order = order[:JUDGED][units[order[:JUDGED]] != cut]
    return np.sort(embedded[order])
