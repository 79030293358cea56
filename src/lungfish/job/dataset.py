"""Prepare the dataset of a job: list and scan its photos, compute features, and split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import UnreadablePhotoError
from lungfish.core.hashing import sha256_json
from lungfish.core.names import plural, printable
from lungfish.core.progress import Progress
from lungfish.data.photos import SPLITS, Photo, PhotoSet
from lungfish.data.scan.examination import ExamineOptions, examine
from lungfish.data.scan.examined import Examined, Record
from lungfish.data.scan.features import Trunk
from lungfish.data.scan.near_duplicates import NearDuplicates, find_near_duplicates
from lungfish.data.scan.sample import embed_sample, sample_by_class
from lungfish.data.scan.scenes import Descriptor, Scenes, no_scenes
from lungfish.data.split.assign import assign_splits
from lungfish.data.split.assignment import Assignment
from lungfish.data.split.integrity import check_photos
from lungfish.data.split.photos_csv import SplitRow, read_split, saved_split
from lungfish.data.split.problems import typos
from lungfish.deploy.proof import LabelledPhotos
from lungfish.job.previous_split import Candidates, kept_in_words, previous_split, split_source
from lungfish.job.scenes import describe_scenes
from lungfish.job.spec import Job
from lungfish.job.target import Target
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.training.descriptor import open_descriptor
from lungfish.training.probe import LabelledFeatures
from lungfish.weights.entry import WeightsEntry

# Largest number of photos to fit a head on, which takes minutes. The features of a million photos, with the copies that
# a fit makes of them, would take 20 GB of memory, and the fit would take hours.
HEAD_PHOTOS = 50_000
LEAST_OF_CLASS = 5  # photos of each class in the sample, however rare the class


@dataclass(frozen=True, eq=False)
class Dataset:
    """Photos, the results of the scan, and their splits.

    Args:
        photos: Photos as the source lists them.
        examined: Readable photos and their features.
        copies: Near-duplicates among the readable photos.
        assignment: Split of each readable photo.
        embedded: int64 `[m]`, ascending: positions of the photos whose features the job needs; the features are
            computed if there is a trunk.
        warnings: Warnings for the user so far.
        scenes: Photos of one thing at one place.
        previous: Folder of the bundle whose split is reused automatically; None if there is none.
    """

    photos: PhotoSet
    examined: Examined
    copies: NearDuplicates
    assignment: Assignment
    embedded: NDArray[np.int64]
    warnings: tuple[str, ...]
    scenes: Scenes = field(default_factory=lambda: no_scenes("scenes were not searched for"))
    previous: Path | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        return self.photos.labels

    @property
    def truth(self) -> NDArray[np.int64]:
        """Class index of every readable photo."""
        return np.array([record.photo.label for record in self.examined.records], np.int64)

    def indices(self, split: str) -> NDArray[np.int64]:
        """Return the positions of a split's photos among the readable ones."""
        return np.flatnonzero(np.array(self.assignment.splits) == split)

    def embedded_indices(self, *splits: str) -> NDArray[np.int64]:
        """Return the positions of the photos of these splits that have features, ascending."""
        return np.intersect1d(self.embedded, np.concatenate([self.indices(split) for split in splits]))

    def sampled(self) -> str:
        """Return a sentence on how many training photos the head is fitted on; empty if on all."""
        some, count = len(self.embedded_indices("train")), len(self.indices("train"))
        return f"The head learns from {some:,} of {plural(count, 'training photo')}" if some < count else ""

    def records(self, split: str) -> list[Record]:
        return [self.examined.records[i] for i in self.indices(split)]

    def samples(self, indices: NDArray[np.int64]) -> LabelledFeatures:
        """Return features and labels of photos that have features."""
        rows = self.examined.feature_rows[indices]
        assert (rows >= 0).all()
        return LabelledFeatures(self.examined.features[rows], self.truth[indices])

    def to_prove(self, split: str) -> LabelledPhotos:
        """Return a split's photos and labels, on which artifacts are proven."""
        readers = [self.reader(record.photo) for record in self.records(split)]
        return LabelledPhotos(readers, self.truth[self.indices(split)])

    def read(self, photo: Photo) -> bytes:
        """Return the bytes of a photo that was readable in the scan. Raises `UnreadablePhotoError` with its name."""
        try:
            return self.photos.read(photo)
        except UnreadablePhotoError as error:
            raise UnreadablePhotoError(
                f"{printable(photo.name)}: {error.message}", "Put it back and run again."
            ) from None

    def reader(self, photo: Photo) -> Callable[[], bytes]:
        return partial(self.read, photo)

    def counts(self) -> dict[str, int]:
        """Return the number of photos in each split."""
        return {split: len(self.indices(split)) for split in SPLITS}

    def counts_by_class(self) -> dict[str, dict[str, int]]:
        """Return the number of photos of each class in each split."""
        counted = {split: np.bincount(self.truth[self.indices(split)], minlength=len(self.labels)) for split in SPLITS}
        return {label: {split: int(counted[split][i]) for split in SPLITS} for i, label in enumerate(self.labels)}

    def fingerprint(self) -> str:
        """Return a hash of contents, labels and splits; the same photos in another folder have the same hash."""
        return sha256_json(sorted(self._contents()))

    def ordered_fingerprint(self) -> str:
        """Return a hash like `fingerprint` that includes the order of the photos, which new names may change."""
        return sha256_json(self._contents())

    def _contents(self) -> list[list[str]]:
        rows = zip(self.examined.records, self.assignment.splits, strict=True)
        return [[record.seen.sha256, self.labels[record.photo.label], split] for record, split in rows]

    def rows(self) -> list[SplitRow]:
        """Return the lines of `photos.csv`, including skipped files."""
        listed = {photo.name: self.labels[photo.label] for photo in self.photos.photos}
        taken = [
            SplitRow(record.seen.sha256, record.photo.name, self.labels[record.photo.label], split, reason)
            for record, split, reason in zip(
                self.examined.records, self.assignment.splits, self.assignment.reasons, strict=True
            )
        ]
        skipped = [
            SplitRow("", file.file, listed.get(file.file, ""), "", file.reason) for file in self.examined.skipped
        ]
        return taken + skipped


def prepare_dataset(
    photos: PhotoSet,
    preprocess: Preprocessing,
    trunk: Trunk | None,
    options: DatasetOptions,
    progress: Progress,
) -> Dataset:
    """Scan every photo once, find copies and scenes, and assign every photo to a split.

    Args:
        photos: Photos as the source lists them.
        preprocess: Preprocessing of the pixels.
        trunk: Frozen network that computes features; None to scan without features.
        options: Options of the dataset.
        progress: Receives the progress of the scan.

    Raises:
        PhotosError: A class has no readable photo, or too few.
        UsageError: The saved split cannot be read.
    """
    saved = saved_split(read_split(options.split_file)) if options.split_file else None
    # Test photos are predicted by the artifacts; only the cross-validation of small datasets needs their features.
    spare_test = len(photos.photos) >= options.cross_validate_below
    too_many = len(photos.photos) > max(HEAD_PHOTOS, options.cross_validate_below)

    def needs_features(photo: Photo) -> bool:
        return not too_many and not (spare_test and photo.split == "test" and saved is None)

    examined = examine(photos, preprocess, trunk, ExamineOptions(needs_features, progress=progress))
    warnings = check_photos(photos, examined, stop=options.stop)
    records = examined.records
    copies = find_near_duplicates([record.seen for record in records])
    if too_many:
        scenes = no_scenes(f"scenes are not searched for among more than {HEAD_PHOTOS:,} photos")
    elif options.open_descriptor is None:
        scenes = no_scenes("scenes were not searched for")
    else:
        scenes = describe_scenes(photos, examined, copies, (trunk, preprocess), options.open_descriptor, progress)
    previous, about_previous = previous_split(options.candidates, {record.seen.sha256 for record in records})
    if previous:
        progress.say(kept_in_words(previous, len(records)))
    assignment = assign_splits(
        records, photos.labels, copies, previous.split if previous else saved, scenes, stop=options.stop
    )
    names = tuple(each.message for each in typos(photos.labels, np.array([r.photo.label for r in records], np.int64)))
    if too_many:
        embedded = _choose(records, assignment)
        if trunk is not None:
            examined = embed_sample(examined, embedded, photos, preprocess, trunk, progress)
    else:
        embedded = np.flatnonzero([needs_features(record.photo) for record in records])
    return Dataset(
        photos,
        examined,
        copies,
        assignment,
        embedded,
        (*examined.warnings, *warnings, *names, *about_previous, *assignment.warnings),
        scenes,
        previous.bundle if previous else None,
    )


def _choose(records: Sequence[Record], assignment: Assignment) -> NDArray[np.int64]:
    """Return the photos that get features: a sample of the training photos, and all validation photos."""
    splits = np.array(assignment.splits)
    train = sample_by_class(records, np.flatnonzero(splits == "train"), HEAD_PHOTOS, LEAST_OF_CLASS)
    return np.union1d(train, np.flatnonzero(splits == "val"))


@dataclass(frozen=True)
class DatasetOptions:
    """Options of `prepare_dataset`.

    Args:
        split_file: A `photos.csv` whose split is reused.
        cross_validate_below: With fewer photos than this, all get features, including test photos.
        candidates: Bundles whose split may be reused; ignored with a `split_file`.
        open_descriptor: Function that opens the network that finds scenes; None to find none.
        stop: Whether to raise the first problem; otherwise `assignment.problems` lists all, and the splits are
            provisional.
    """

    split_file: Path | None = None
    cross_validate_below: int = 3000
    candidates: Candidates = field(default_factory=Candidates)
    open_descriptor: Callable[[], Descriptor | None] | None = None
    stop: bool = True


def dataset_options(
    job: Job, target: Target, cross_validate_below: int, own: tuple[Trunk, WeightsEntry] | None = None
) -> DatasetOptions:
    """Return the options for the photos of a job; the job's `own` trunk and weights are reused for the descriptor."""
    split_file, candidates = split_source(job.split, target)
    return DatasetOptions(split_file, cross_validate_below, candidates, partial(open_descriptor, *(own or ())))
