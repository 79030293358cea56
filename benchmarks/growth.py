"""How many photos change their split as a folder grows: 6, 12, 30, 60 photos a class, a bundle's list beside each.

    python benchmarks/growth.py FOLDER ...

Each FOLDER holds class folders. Nothing is trained: the split is made as `lungfish train` makes it, and `photos.csv` of
the last one is what the next keeps. Beside it, for comparison, the split without memory (`--split none`).
"""

from __future__ import annotations

import argparse
import hashlib
from collections import Counter
from pathlib import Path

from lungfish.core.names import plural
from lungfish.core.progress import Progress
from lungfish.data.photos import Photo, PhotoSet
from lungfish.data.sources import open_photos
from lungfish.data.split.photos_csv import write_split
from lungfish.job.dataset import Dataset, DatasetOptions, prepare_dataset
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.training.descriptor import open_descriptor

SIZES = (6, 12, 30, 60)
RULE = Preprocessing(224)


def first_of_each_class(photos: PhotoSet, size: int) -> PhotoSet:
    """So many photos of each class, in an order that neither names nor content hashes decide; without given splits."""
    ordered = sorted(photos.photos, key=lambda photo: hashlib.md5(photo.name.encode()).digest())
    seen: Counter[int] = Counter()
    chosen: list[Photo] = []
    for photo in ordered:
        seen[photo.label] += 1
        if seen[photo.label] <= size:
            chosen.append(Photo(photo.name, photo.label, row=photo.row))
    return PhotoSet(photos.labels, tuple(sorted(chosen, key=lambda photo: photo.name)), photos.reader)


def moved(before: Dataset | None, after: Dataset) -> Counter[tuple[str, str]]:
    """How many photos went from one split to another."""
    if before is None:
        return Counter()
    old = splits_by_name(before)
    return Counter((old[name], split) for name, split in splits_by_name(after).items() if old.get(name, split) != split)


def splits_by_name(dataset: Dataset) -> dict[str, str]:
    names = (record.photo.name for record in dataset.examined.records)
    return dict(zip(names, dataset.assignment.splits, strict=True))


def grow(folder: Path, kept: Path) -> None:
    photos = open_photos(folder)
    print(f"{folder.name}: photos a class, in each split, scenes; photos moved with the last split kept, and without")
    with_memory = without = None
    for size in SIZES:
        some = first_of_each_class(photos, size)
        alone = prepare_dataset(some, RULE, None, DatasetOptions(open_descriptor=open_descriptor), Progress())
        options = DatasetOptions(kept if with_memory else None, open_descriptor=open_descriptor)
        following = prepare_dataset(some, RULE, None, options, Progress())
        moves, free_moves = moved(with_memory, following), moved(without, alone)
        lost = sum(count for (was, _), count in free_moves.items() if was == "test")
        counts = ", ".join(f"{count} {split}" for split, count in following.counts().items())
        sizes = following.scenes.sizes
        print(
            f"{size:3}: {counts}; {plural(len(sizes), 'scene')} of {sum(sizes)} photos;"
            f" {sum(moves.values())} moved; without memory {sum(free_moves.values())}, {lost} of them out of test"
        )
        write_split(kept, following.rows())
        with_memory, without = following, alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--kept", type=Path, default=Path("growth-photos.csv"), help="where the last split is written")
    options = parser.parse_args()
    for folder in options.folders:
        options.kept.unlink(missing_ok=True)
        grow(folder, options.kept)


if __name__ == "__main__":
    main()
