"""What scenes do to the figures of a job: cross-validated with scenes kept whole, and torn apart."""

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

JUDGED = 1000  # photos; more would say the same, later
FOLDS = 5
ROUGH = 1e-2  # tolerance of the fits
LEAST_WITHIN = 0.05  # of the photos, in scenes: fewer make no difference that 1,000 photos could show


def summarize_scenes(dataset: Dataset, head: Head | None, seed: int) -> SceneSummary:
    """Return how many scenes there are, and what a random split would have claimed: from folds that tear scenes apart.

    Of many photos, whole scenes are sampled; test photos of a large given split have no features and stay out.

    Args:
        dataset: the photos and their features.
        head: what was fitted on the features; None without pretrained weights.
        seed: Seed of the folds.
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
    """Positions of about `JUDGED` photos with features, of whole units, chosen by content; rising."""
    embedded = dataset.embedded_indices(*SPLITS)
    units, records = dataset.assignment.units[embedded], dataset.examined.records
    first: dict[int, str] = {}
    for i, unit in zip(embedded.tolist(), units.tolist(), strict=True):
        first[unit] = min(records[i].seen.sha256, first.get(unit, "g"))
    order = np.array(sorted(range(len(embedded)), key=lambda k: (first[int(units[k])], k)), np.int64)
    if len(order) > JUDGED:
        cut = units[order[JUDGED]]  # its unit may be in part before the limit
        order = order[:JUDGED][units[order[:JUDGED]] != cut]
    return np.sort(embedded[order])
