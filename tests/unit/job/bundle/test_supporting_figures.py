"""What stands beside the test figures, from what a job has at hand."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lungfish.evaluation.metrics import score
from lungfish.job.bundle.supporting_figures import supporting_figures
from lungfish.training.crossvalidation import HeldOut

ANSWERS = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]], np.float32)
TRUTH = np.array([0, 1, 0])


def dataset(given: str | None) -> Any:
    records = [SimpleNamespace(photo=SimpleNamespace(split=given)) for _ in TRUTH]
    return SimpleNamespace(records=lambda _split: records, to_prove=lambda _split: SimpleNamespace(truth=TRUTH))


def proof() -> Any:
    return SimpleNamespace(val=ANSWERS, val_metrics=score(ANSWERS, TRUTH))


def held_out(n: int = 60) -> HeldOut:
    """All right but two of the first fold; the first six photos are of one group."""
    labels = np.arange(n) % 2
    logits = np.where(np.eye(2)[labels] > 0, 2.0, 0.0).astype(np.float32)
    logits[:2] = logits[:2, ::-1]
    return HeldOut(logits, labels, np.arange(n) * 5 // n, np.maximum(np.arange(n), 5))


@pytest.mark.parametrize(("given", "shown"), [("val", True), (None, False), ("train", False)])
def test_validation_photos_are_shown_if_they_were_set_apart(given: str | None, shown: bool) -> None:
    supporting = supporting_figures(dataset(given), proof(), None, None, 0.95)
    assert (supporting.given_val == proof().val_metrics) is shown
    assert bool(supporting.on_given_val()) is shown
    assert supporting.cross_validation is None
    assert supporting.threshold.chosen_on == "none"


def test_cross_validation_counts_photos_and_its_interval_groups() -> None:
    supporting = supporting_figures(dataset(None), proof(), held_out(), 2.0, 0.95)
    folds = supporting.cross_validation
    assert folds is not None
    assert (folds.n, folds.top1, folds.ships) == (60, 0.966667, True)
    assert folds.fold_top1 == (pytest.approx(10 / 12), 1.0, 1.0, 1.0, 1.0)
    apart = HeldOut(held_out().logits, held_out().labels, held_out().folds, np.arange(60))
    narrower = supporting_figures(dataset(None), proof(), apart, 2.0, 0.95).cross_validation
    assert narrower is not None
    assert folds.ci95[0] < narrower.ci95[0] < narrower.top1 < narrower.ci95[1] < folds.ci95[1]


def test_the_threshold_is_that_of_the_shipped_temperature() -> None:
    sharp, soft = (supporting_figures(dataset(None), proof(), held_out(), t, 0.95).threshold for t in (1.0, 4.0))
    assert sharp.chosen_on == soft.chosen_on == "cross-validation"
    assert (sharp.value, soft.value) == (0.8807, 0.6224)  # of logits 2 and 0: 1 / (1 + exp(-2 / temperature))
    assert (sharp.n, sharp.correct) == (60, 58)


def test_a_network_that_was_trained_further_is_not_judged_by_its_head() -> None:
    supporting = supporting_figures(dataset(None), proof(), held_out(), None, 0.95)
    assert supporting.cross_validation is not None
    assert supporting.cross_validation.ships is False
    assert supporting.threshold.chosen_on == "none"
    assert supporting.threshold.value == 0
    assert supporting.notes(test_photos=3) == ()
