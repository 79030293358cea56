"""Split the photos of an export: one half to choose precision and threshold, the other for the reported figures."""

from __future__ import annotations

from collections.abc import Sequence

from lungfish.core.errors import PhotosError
from lungfish.core.names import plural, printable
from lungfish.data.scan.examined import Record
from lungfish.data.scan.near_duplicates import NearDuplicates
from lungfish.data.split.assignment import HALVES, Assignment
from lungfish.data.split.review import group_ties, group_warnings, label_warnings, leak_warnings, photo_pairs
from lungfish.data.split.units import Units, units_of

CHOICES = ("val", "test")


def split_in_halves(records: Sequence[Record], labels: Sequence[str], copies: NearDuplicates) -> Assignment:
    """Split the photos of an export into `val` and `test`; its network was trained on other photos.

    Given splits are kept if all photos have one, with `val` and `test` among them. Otherwise all photos but those given
    as `train` are divided into `val` and `test`: in each class alternately, by the hash of the content. Copies and
    photos of one group stay together.

    Args:
        records: Readable photos, sorted by name.
        labels: Class names.
        copies: Copies from `find_near_duplicates`, over the same records.

    Raises:
        PhotosError: A class has no photo for validation, or none for testing.
    """
    given = {record.photo.split for record in records}
    units = units_of(records, copies, copies.pairs[:0])
    splits = [record.photo.split or "val" for record in records]
    reasons = ["given"] * len(records)
    if given - {"train"} != set(CHOICES):
        _divide(records, units, splits, reasons)
    _check(records, labels, splits)
    leaks = tuple(pair for pair in photo_pairs(records, copies, splits) if pair.leaks)
    warnings = (
        *leak_warnings(leaks),
        *group_warnings(records, group_ties(records), splits),
        *label_warnings(records, labels, copies),
    )
    return Assignment(tuple(splits), tuple(reasons), units.numbers, leaks, warnings)


def _divide(records: Sequence[Record], units: Units, splits: list[str], reasons: list[str]) -> None:
    by_class: dict[int, list[list[int]]] = {}
    for unit in units.members:
        free = [i for i in unit if records[i].photo.split != "train"]
        if free:
            by_class.setdefault(records[free[0]].photo.label, []).append(free)
    for of_class in by_class.values():
        of_class.sort(key=lambda unit: min(records[i].seen.sha256 for i in unit))
        for number, unit in enumerate(of_class):
            for i in unit:
                splits[i] = CHOICES[number % 2]
                reasons[i] = HALVES if i == unit[0] else f"with {records[unit[0]].photo.name}"


def _check(records: Sequence[Record], labels: Sequence[str], splits: Sequence[str]) -> None:
    there = {(record.photo.label, split) for record, split in zip(records, splits, strict=True)}
    for label, name in enumerate(labels):
        if all((label, split) in there for split in CHOICES):
            continue
        count = sum(
            record.photo.label == label and split != "train" for record, split in zip(records, splits, strict=True)
        )
        raise PhotosError(
            f"{printable(name)!r} has {plural(count, 'photo')} for validation and test; the minimum is 2: one in "
            "validation, to choose INT8 and the threshold, and one in test (copies count once)",
            "Add photos of it.",
        )
