"""Collect the worst mistakes of a job, with pictures for the report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungfish.deploy.classifier import Classifier
from lungfish.deploy.proof import Proof
from lungfish.evaluation.answers import top_answers
from lungfish.evaluation.heat_map import overlay
from lungfish.evaluation.report_data import Mistake
from lungfish.evaluation.thumbnail import thumbnail
from lungfish.job.dataset import Dataset
from lungfish.training.class_maps import class_maps


def worst_mistakes(classifier: Classifier, dataset: Dataset, proof: Proof) -> tuple[Mistake, ...]:
    """Return the most confident wrong predictions on test photos, worst first, with thumbnails and heat maps.

    Args:
        classifier: Classifier whose artifact made the predictions.
        dataset: Photos of the job.
        proof: Predictions of the default artifact.

    Raises:
        UnreadablePhotoError: A photo is no longer readable.
    """
    labels, records = dataset.labels, dataset.records("test")
    answers = top_answers(proof.test, dataset.to_prove("test").truth)
    worst = answers.worst_mistakes()
    images = [classifier.preprocess.decode(dataset.read(records[i].photo)) for i in worst]
    heats = _heats(classifier, images, answers.predicted[worst])
    return tuple(
        Mistake(
            name=records[i].photo.name,
            truth=labels[records[i].photo.label],
            predicted=labels[answers.predicted[i]],
            probability=float(answers.confidence[i]),
            thumbnail_jpeg=thumbnail(image),
            heat_jpeg=heat,
        )
        for i, image, heat in zip(worst, images, heats, strict=True)
    )


def _heats(classifier: Classifier, images: Sequence[Image.Image], predicted: NDArray[np.int64]) -> Sequence[bytes]:
    """Return JPEG heat maps of the regions that support the predictions."""
    if not images:
        return ()
    pixels = np.stack([classifier.preprocess.pixels(image) for image in images])
    heats = class_maps(classifier.network, classifier.entry, pixels, predicted)
    return [thumbnail(overlay(seen, heat)) for seen, heat in zip(pixels, heats, strict=True)]
