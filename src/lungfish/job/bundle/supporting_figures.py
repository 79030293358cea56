"""Compute the figures that support the test figures: the threshold, cross-validation, and given validation photos."""

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
    """Return the supporting figures.

    Args:
        dataset: Photos of the job.
        proof: Proof of the default artifact.
        held_out: Predictions of the cross-validation; None if there was none.
        head_temperature: Temperature of the classifier if it is the head on the frozen trunk; None if a later stage was
            kept, which the head's cross-validation does not measure.
        keep_known: Share of right predictions that the threshold must accept.
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
