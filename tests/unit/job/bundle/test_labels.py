import io
from typing import Any

import pytest
from PIL import Image

from lungfish.evaluation.report_data import LabelReview
from lungfish.job.bundle import labels as module
from lungfish.job.bundle.labels import review_labels


def review(embedded: Any) -> LabelReview:
    return review_labels(embedded.dataset, embedded.head, embedded.classifier.preprocess, seed=0)


def test_photos_in_the_wrong_folder_are_found(embedded: Any, swapped: tuple[str, ...]) -> None:
    reviewed = review(embedded)
    assert reviewed.checked == 72  # 30 of each class, 6 of them to test
    found = {suspect.file: suspect for suspect in reviewed.suspects}
    assert set(swapped) <= set(found)
    assert len(found) <= 4
    for name in swapped:
        suspect = found[name]
        assert (suspect.label, suspect.suggested, suspect.split) == (name.split("/")[1], name[-5], "train")
        assert 0.5 < suspect.probability <= 1
        assert suspect.thumbnail_jpeg is not None
        assert Image.open(io.BytesIO(suspect.thumbnail_jpeg)).size == (40, 40)


def test_of_very_many_photos_a_sample_is_looked_at(embedded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEAD_PHOTOS", 36)
    assert 33 <= review(embedded).checked <= 36


def test_only_the_first_have_pictures(embedded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PICTURES", 1)
    first, *others = review(embedded).suspects
    assert first.thumbnail_jpeg
    assert others
    assert not any(suspect.thumbnail_jpeg for suspect in others)
