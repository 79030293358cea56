"""Decide the split of each photo: keep given and saved ones, decide by content, then fill splits that lack a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lungfish.core.names import plural, printable
from lungfish.data.photos import SPLITS
from lungfish.data.scan.examined import Record
from lungfish.data.split.balance import Piece, even_out_class, fraction
from lungfish.data.split.class_names import likely_typos
from lungfish.data.split.photos_csv import SavedSplit
from lungfish.data.split.problems import Problem
from lungfish.data.split.review import shown_names
from lungfish.data.split.units import Units, most_common_split

# Shares of the space of content hashes; the rest is train.
TEST_SHARE = 0.1
VAL_SHARE = 0.1


class SplitPlan:
    """An assignment in progress: `splits` and `reasons` of each photo, empty until it is decided.

    Args:
        records: Readable photos, sorted by name.
        labels: Class names.
        units: Photos that are decided together.
        saved: Earlier assignment to keep.
    """

    def __init__(
        self, records: Sequence[Record], labels: Sequence[str], units: Units, saved: SavedSplit | None
    ) -> None:
        self.records = records
        self.labels = labels
        given = {record.photo.split for record in records} - {None}
        self.open_splits = {"train"} | (set(SPLITS) - given)
        self.splits, self.reasons = [""] * len(records), [""] * len(records)
        for i, record in enumerate(records):
            split = saved.split(record.seen.sha256, record.photo.name) if saved else None
            fixed = record.photo.split and not (record.photo.split == "train" and len(self.open_splits) > 1)
            if fixed and (split is None or (saved and saved.is_automatic)):
                self.splits[i], self.reasons[i] = record.photo.split or "", "given"
            elif split is not None:
                self.splits[i], self.reasons[i] = split, "saved"
        self.units = units
        self.free = [unit for unit in units.members if not any(self.splits[i] for i in unit)]
        self.bridges: list[tuple[str, str]] = []

    def label_of(self, i: int) -> int:
        return self.records[i].photo.label

    def untrained(self) -> list[Problem]:
        """Return at most one problem: the classes in val or test that cannot be in train."""
        trained = {self.label_of(i) for i, split in enumerate(self.splits) if split in ("", "train")}
        untrained = {self.label_of(i) for i in range(len(self.records))} - trained
        if not untrained:
            return []
        message = f"no training photos of {shown_names(self.labels, untrained)}, only validation or test photos"
        fix = "Add training photos, or remove the validation and test photos."
        names = tuple(self.labels[label] for label in sorted(untrained))
        return [Problem("untrained", message, names, stops=True, fix=fix)]

    def too_small(self) -> list[Problem]:
        """Return a problem per class with fewer free units than open splits that lack it, except saved ones."""
        covered = {(self.label_of(i), split) for i, split in enumerate(self.splits) if split}
        saved = {self.label_of(i) for i, reason in enumerate(self.reasons) if reason == "saved"}
        units = Counter(label for unit in self.free for label in {self.label_of(i) for i in unit})
        *others, last = [split for split in SPLITS if split in self.open_splits]
        need = f"{', '.join(others)} and {last} each need" if others else f"{last} needs"
        rule = f"{need} a photo of every class; copies, and photos of one group, count once"
        fix = "Add photos (30 make a fair start), merge the class with another one, or remove it."
        counts = Counter(record.photo.label for record in self.records)
        typos = likely_typos(self.labels, [counts[i] for i in range(len(self.labels))])
        meant = {typo.label: typo.meant for typo in typos}
        small = []
        for label in sorted({record.photo.label for record in self.records} - saved):
            wanted = sum((label, split) not in covered for split in self.open_splits)
            if units[label] < wanted:
                has = self._what_it_has(label, units[label])
                message = f"{printable(self.labels[label])!r} has {has}; the minimum is {wanted}"
                if label in meant:
                    message += f". Did you mean {printable(self.labels[meant[label]])!r}?"
                small.append(Problem("too_few", message, (self.labels[label],), stops=True, rule=rule, fix=fix))
        return small

    def _what_it_has(self, label: int, units: int) -> str:
        """Return how many photos of a class can still be assigned, and why no more can."""
        mine = {i for i, record in enumerate(self.records) if record.photo.label == label}
        standing = sum(bool(self.splits[i]) for i in mine)
        tied = len(mine) - standing - sum(i in mine for unit in self.free for i in unit)
        text = plural(len(mine), "photo")
        if units < len(mine):
            text += f", {units:,} of them distinct and unassigned"
        why = [f"{standing:,} in a given split"] if standing else []
        why += [f"{tied:,} tied to photos in a given split, as copies or by a group"] if tied else []
        return f"{text} ({', '.join(why)})" if why else text

    def place(self) -> None:
        """Assign every photo that is not yet in a split, by the hash of its unit, or to the split of its partners."""
        for unit in self.units.members:
            standing = [i for i in unit if self.splits[i]]
            if not standing:
                split = self._split_by_hash(unit[0])
                for i in unit:
                    self.splits[i] = split
                    self.reasons[i] = "content hash" if i == unit[0] else f"with {self.records[unit[0]].photo.name}"
                continue
            for i in sorted(set(unit) - set(standing)):
                if self.records[i].photo.split:
                    self.splits[i], self.reasons[i] = "train", "given"  # a leak: reported, not moved
                else:
                    self._join(i, standing)

    def _join(self, i: int, standing: Sequence[int]) -> None:
        """Assign a photo to the split of its closest partners; if only a scene ties them, to their most common one."""
        partners, only_scene = self.units.partners(i, standing)
        splits = [self.splits[j] for j in partners]
        split = most_common_split(splits) if only_scene else splits[0]
        anchor = partners[splits.index(split)]
        self.splits[i], self.reasons[i] = split, f"with {self.records[anchor].photo.name}"
        if only_scene and len(set(splits)) > 1:
            self.bridges.append((self.records[i].photo.name, split))

    def even_out(self) -> set[int]:
        """Even out every class that has scenes, except saved classes, and return those where this failed."""
        saved = {self.label_of(i) for i, reason in enumerate(self.reasons) if reason == "saved"}
        covered = {(self.label_of(i), self.splits[i]) for i, why in enumerate(self.reasons) if why == "given"}
        failed = set[int]()
        for label in sorted({self.label_of(i) for i in self.units.in_scenes} - saved):
            pieces = [
                Piece(fraction(self.records[unit[0]].seen.sha256), self.splits[unit[0]], unit)
                for unit in self.free
                if {self.label_of(i) for i in unit} == {label}
            ]
            open_splits = [
                split for split in ("test", "val") if split in self.open_splits and (label, split) not in covered
            ]
            if not even_out_class(pieces, open_splits):
                failed.add(label)
            for piece in pieces:
                for i in piece.unit:
                    if self.splits[i] != piece.split:
                        self.splits[i], self.reasons[i] = piece.split, "class needs it"
        return failed

    def fill(self, *, must: bool) -> list[Problem]:
        """Move free units so that every class has one in every open split.

        Args:
            must: Whether every split needs one; otherwise a class with too few photos gets training photos first.

        Returns:
            A problem for each class for which this is impossible, if `must` is set.
        """
        tied = {}
        count = Counter((label, split) for unit in self.units.members for label, split in self._covers(unit))
        for label in sorted({self.label_of(i) for i in range(len(self.records))}):
            for split in sorted(self.open_splits, key=("test", "val", "train").index):
                if count[label, split]:
                    continue
                unit = self._spare(label, count, at_any_cost=split == "train" and not must)
                if unit is None:
                    if must and label not in tied:
                        tied[label] = self._tied(label, split)
                    continue
                count.subtract(self._covers(unit))
                for i in unit:
                    self.splits[i], self.reasons[i] = split, "class needs it"
                count.update(self._covers(unit))
        return list(tied.values())

    def _tied(self, label: int, split: str) -> Problem:
        message = (
            f"class {printable(self.labels[label])!r} cannot have a {split} photo: its photos are tied to other classes"
            " by copies or groups"
        )
        return Problem(
            "tied", message, (self.labels[label],), stops=True, fix="Add photos of it, or change the groups."
        )

    def saved_gaps(self) -> list[Problem]:
        """Return a problem for val and test if they have no photos: a saved split may come from other photos."""
        fix = "Run with --split none, or give the photos.csv of a bundle made from these photos."
        return [
            Problem(
                "saved_split",
                f"the saved split leaves no {split} photos: {self.reasons.count('saved'):,} of"
                f" {plural(len(self.records), 'photo')} are in it, none of them in {split}",
                stops=True,
                fix=fix,
            )
            for split in ("test", "val")
            if split not in self.splits
        ]

    def _split_by_hash(self, i: int) -> str:
        """Return the split whose share of the hash space contains the photo's hash."""
        share = fraction(self.records[i].seen.sha256)
        if share < TEST_SHARE and "test" in self.open_splits:
            return "test"
        if TEST_SHARE <= share < TEST_SHARE + VAL_SHARE and "val" in self.open_splits:
            return "val"
        return "train"

    def _covers(self, unit: Sequence[int]) -> set[tuple[int, str]]:
        """Return the pairs of class and split that the photos of a unit are in."""
        return {(self.label_of(i), self.splits[i]) for i in unit}

    def _spare(self, label: int, count: Counter[tuple[int, str]], *, at_any_cost: bool) -> list[int] | None:
        """Return the unit of a class to move to another split; None if there is none.

        It is in the split with the most photos of the class, and has the smallest hash there. No split may lose its
        last photo of a class, unless `at_any_cost` is set.
        """
        spare = [
            unit
            for unit in self.free
            if any(self.label_of(i) == label for i in unit)
            and (at_any_cost or all(count[covered] > 1 for covered in self._covers(unit)))
        ]
        return min(
            spare,
            key=lambda unit: (-count[label, self.splits[unit[0]]], fraction(self.records[unit[0]].seen.sha256)),
            default=None,
        )
