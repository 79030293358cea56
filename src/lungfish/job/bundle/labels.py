"""Find training and validation photos whose label contradicts their content."""

from __future__ import annotations

from lungfish.data.scan.sample import sample_by_class
from lungfish.evaluation.report_data import LabelReview, SuspectLabel
from lungfish.evaluation.thumbnail import thumbnail
from lungfish.job.dataset import HEAD_PHOTOS, LEAST_OF_CLASS, Dataset
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.training.label_errors import find_label_errors
from lungfish.training.probe import Head

PICTURES = 24


def review_labels(dataset: Dataset, head: Head, preprocess: Preprocessing, seed: int) -> LabelReview:
    """Find labels that are probably wrong, with thumbnails of the most doubtful photos.

    Test photos are left out: those whose label contradicts the prediction are among the report's mistakes, and
    correcting test labels by the model's predictions would inflate its figures. Only a sample of a large dataset is
    checked, as five heads are fitted on it.

    Args:
        dataset: Photos and their features.
        head: Head fitted on the features.
        preprocess: Preprocessing of the pixels.
        seed: Seed of the job.

    Raises:
        UnreadablePhotoError: A photo is no longer readable.
    """
    embedded = dataset.embedded_indices("train", "val")
    positions = sample_by_class(dataset.examined.records, embedded, HEAD_PHOTOS, LEAST_OF_CLASS)
    suspects = find_label_errors(dataset.samples(positions), dataset.assignment.units[positions], head, seed)
    rows = []
    for rank, (index, suggested, probability) in enumerate(suspects):
        photo = dataset.examined.records[positions[index]].photo
        rows.append(
            SuspectLabel(
                file=photo.name,
                label=dataset.labels[photo.label],
                suggested=dataset.labels[suggested],
                probability=probability,
                split=dataset.assignment.splits[positions[index]],
                thumbnail_jpeg=thumbnail(preprocess.decode(dataset.read(photo))) if rank < PICTURES else None,
            )
        )
    return LabelReview(len(positions), tuple(rows))
