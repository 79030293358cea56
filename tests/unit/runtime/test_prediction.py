from __future__ import annotations

import numpy as np
import pytest

from lungfish.runtime.prediction import Candidate, rank

LABELS = ("ash", "birch", "cedar")


@pytest.mark.parametrize(("threshold", "known"), [(0.4, True), (0.5, True), (0.501, False)])
def test_known_from_the_threshold_on(threshold: float, known: bool) -> None:
    prediction = rank("a.jpg", np.float32([0.25, 0.5, 0.25]), LABELS, threshold, top=1)
    assert prediction.known is known
    assert (prediction.file, prediction.label, prediction.probability) == ("a.jpg", "birch", 0.5)


def test_the_best_come_first_and_ties_in_class_order() -> None:
    prediction = rank(None, np.float32([0.25, 0.5, 0.25]), LABELS, 0.5, top=2)
    assert prediction.top == (Candidate("birch", 0.5), Candidate("ash", 0.25))


def test_without_a_list_there_is_still_an_answer() -> None:
    prediction = rank(None, np.float32([0.2, 0.2, 0.6]), LABELS, 0.5, top=0)
    assert (prediction.label, prediction.top) == ("cedar", ())
