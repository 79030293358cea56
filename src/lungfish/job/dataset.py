"""The first half of a job: photos listed, looked at, embedded and divided."""

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
from lungfish.data.scan.examination import Examined, ExamineOptions, Record, examine
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

# All features of a million photos would be 20 GB in their copies, and a fit on them hours; on these it is minutes.
HEAD_PHOTOS = 50_000
LEAST_OF_CLASS = 5  # of them, however rare it is


@dataclass(frozen=True, eq=False)
class Dataset:
    """Photos, what was seen of them, and their sides.

    Args:
        photos: as the source lists them.
        examined: readable photos and their features.
        copies: near-duplicates among the readable photos.
        assignment: the split of each readable photo.
        embedded: int64 `[m]`, rising: positions of those whose features the job needs, and has if there is a trunk.
        warnings: all that a person should know so far.
        scenes: photos that were taken of one thing at one place.
        previous: folder of the bundle whose split is kept unasked; None if none is.
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
        """Positions of a split's photos among the readable ones."""
        return np.flatnonzero(np.array(self.assignment.splits) == split)

    def embedded_indices(self, *splits: str) -> NDArray[np.int64]:
        """Positions of some splits' photos that have features, rising."""
        return np.intersect1d(self.embedded, np.concatenate([self.indices(split) for split in splits]))

    def sampled(self) -> str:
        """What the head learns from, in words; empty if it is all training photos."""
        some, count = len(self.embedded_indices("train")), len(self.indices("train"))
        return f"The head learns from {some:,} of {plural(count, 'training photo')}" if some < count else ""

    def records(self, split: str) -> list[Record]:
        return [self.examined.records[i] for i in self.indices(split)]

    def samples(self, indices: NDArray[np.int64]) -> LabelledFeatures:
        """Features and labels of photos that went through the trunk."""
        rows = self.examined.feature_rows[indices]
        assert (rows >= 0).all()
        return LabelledFeatures(self.examined.features[rows], self.truth[indices])

    def to_prove(self, split: str) -> LabelledPhotos:
        """A split's photos, as the artifacts will read them."""
        readers = [self.reader(record.photo) for record in self.records(split)]
        return LabelledPhotos(readers, self.truth[self.indices(split)])

    def read(self, photo: Photo) -> bytes:
        """The bytes of a photo that was readable before.

        Raises:
            UnreadablePhotoError: it is not any more; names it.
        """
        try:
            return self.photos.read(photo)
        except UnreadablePhotoError as error:
            raise UnreadablePhotoError(
                f"{printable(photo.name)}: {error.message}", "Put it back and run again."
            ) from None

    def reader(self, photo: Photo) -> Callable[[], bytes]:
        return partial(self.read, photo)

    def counts(self) -> dict[str, int]:
        """Photos in each split."""
        return {split: len(self.indices(split)) for split in SPLITS}

    def counts_by_class(self) -> dict[str, dict[str, int]]:
        """Photos of each class in each split."""
        counted = {split: np.bincount(self.truth[self.indices(split)], minlength=len(self.labels)) for split in SPLITS}
        return {label: {split: int(counted[split][i]) for split in SPLITS} for i, label in enumerate(self.labels)}

    def fingerprint(self) -> str:
        """A hash over contents, labels and splits; the same for the same photos in any folder."""
        return sha256_json(sorted(self._contents()))

    def ordered_fingerprint(self) -> str:
        """As `fingerprint`, but over the order as well, in which training counts photos: new names may change it."""
        return sha256_json(self._contents())

    def _contents(self) -> list[list[str]]:
        rows = zip(self.examined.records, self.assignment.splits, strict=True)
        return [[record.seen.sha256, self.labels[record.photo.label], split] for record, split in rows]

    def rows(self) -> list[SplitRow]:
        """The lines of `photos.csv`, skipped files included."""
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
    """Look at every photo once, find copies, and put every photo on a side.

    Args:
        photos: what a source lists.
        preprocess: the resize rule.
        trunk: the frozen network; None looks without embedding.
        options: see `DatasetOptions`.
        progress: told of the pass.

    Raises:
        PhotosError: a class has no readable photo, or too few.
        UsageError: the saved split cannot be read.
    """
    saved = saved_split(read_split(options.split_file)) if options.split_file else None
    # Test photos are answered by the artifacts alone; features of them serve cross-validation of small sets only.
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
    """Photos that get features: a sample of those that train, for the head; all that validate, for steps are judged."""
    splits = np.array(assignment.splits)
    train = sample_by_class(records, np.flatnonzero(splits == "train"), HEAD_PHOTOS, LEAST_OF_CLASS)
    return np.union1d(train, np.flatnonzero(splits == "val"))


@dataclass(frozen=True)
class DatasetOptions:
    """How to gather.

    Args:
        split_file: a `photos.csv` whose sides are kept.
        cross_validate_below: with fewer photos than this, all get features, test photos too.
        candidates: bundles whose split may be kept; not asked for with a `split_file`.
        open_descriptor: opens the network that scenes are found by; None to look for none.
        stop: whether the first problem is raised; else `assignment.problems` has all, and the sides are only a sketch.
    """

    split_file: Path | None = None
    cross_validate_below: int = 3000
    candidates: Candidates = field(default_factory=Candidates)
    open_descriptor: Callable[[], Descriptor | None] | None = None
    stop: bool = True


def dataset_options(
    job: Job, target: Target, cross_validate_below: int, own: tuple[Trunk, WeightsEntry] | None = None
) -> DatasetOptions:
    """Return how the photos of a job are gathered; its `own` trunk and weights are not loaded twice."""
    split_file, candidates = split_source(job.split, target)
    return DatasetOptions(split_file, cross_validate_below, candidates, partial(open_descriptor, *(own or ())))
