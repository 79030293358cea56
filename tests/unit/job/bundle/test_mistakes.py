import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lungfish.deploy.proof import Proof
from lungfish.evaluation.metrics import score
from lungfish.evaluation.report_data import Mistake
from lungfish.job.bundle.mistakes import worst_mistakes


def mistakes_of(embedded: Any, wrong: dict[int, float]) -> tuple[Mistake, ...]:
    """Those of an artifact that takes some test photos for the next class, with these probabilities."""
    truth = embedded.dataset.to_prove("test").truth
    answers = 0.98 * np.eye(3, dtype=np.float32)[truth] + np.float32(0.02 / 3)
    for i, probability in wrong.items():
        answers[i] = (1 - probability) / 2
        answers[i, (truth[i] + 1) % 3] = probability
    figures = score(answers, truth)
    return worst_mistakes(embedded.classifier, embedded.dataset, Proof(answers, answers, figures, figures))


def test_the_most_certain_come_first_with_photo_and_heat(embedded: Any) -> None:
    records = embedded.dataset.records("test")
    first, second = mistakes_of(embedded, {2: 0.6, 9: 0.9})
    for mistake, i, probability in ((first, 9, 0.9), (second, 2, 0.6)):
        label = records[i].photo.label
        assert mistake.name == records[i].photo.name
        assert (mistake.truth, mistake.predicted) == (str(label), str((label + 1) % 3))
        assert mistake.probability == pytest.approx(probability)
        assert Image.open(io.BytesIO(mistake.thumbnail_jpeg)).size == (40, 40)
        assert Image.open(io.BytesIO(mistake.heat_jpeg)).size == (64, 64)  # as the network sees it
    assert first.heat_jpeg != second.heat_jpeg


def test_no_mistakes(embedded: Any) -> None:
    assert mistakes_of(embedded, {}) == ()
