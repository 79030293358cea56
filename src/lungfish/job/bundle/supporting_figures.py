"""What is known beside the test figures: the threshold, the cross-validation, the user's own validation photos."""

from __future__ import annotations

import numpy as np

from lungfish.deploy.proof import Proof
from lungfish.evaluation.rejection import LabelledAnswers, choose_supported
from lungfish.evaluation.supporting_figures import CrossValidation, SupportingFigures
from lungfish.job.dataset import Dataset
from lungfish.training.crossvalidation import HeldOut


def supporting_figures(
    dataset: Dataset, proof: Proof, held_out: HeldOut | None, head_temperature: float | None, keep_known: float
) -> SupportingFigures:
    """Return what is said next to the test figures.

    Args:
        dataset: the photos.
        proof: of the default artifact.
        held_out: answers of the cross-validation; None if there was none.
        head_temperature: of the classifier if it is the head on the frozen trunk; None if a stage that trains further
            was kept, of which cross-validation of the head says nothing.
        keep_known: share of right answers that the threshold accepts.
    """
    val = LabelledAnswers(proof.val, dataset.to_prove("val").truth)
    crossed = folds = None
    if held_out is not None:
        right, units = held_out.correct, len(np.unique(held_out.groups))
        ships = head_temperature is not None
        folds = CrossValidation.of(held_out.top1, int(right.sum()), len(right), units, ships=ships)
    if held_out is not None and head_temperature is not None:
        crossed = LabelledAnswers(held_out.probabilities(head_temperature), held_out.labels)
    given = all(record.photo.split == "val" for record in dataset.records("val"))
    return SupportingFigures(choose_supported(val, crossed, keep_known), folds, proof.val_metrics if given else None)
