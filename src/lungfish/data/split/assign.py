"""Assign photos to splits: keep given splits, and decide the others by content, with copies and scenes together."""

from __future__ import annotations

from collections.abc import Sequence

from lungfish.data.scan.examined import Record
from lungfish.data.scan.near_duplicates import NearDuplicates
from lungfish.data.scan.scenes import Scenes, no_scenes
from lungfish.data.split.assignment import Assignment
from lungfish.data.split.photos_csv import SavedSplit
from lungfish.data.split.plan import SplitPlan
from lungfish.data.split.problems import Problem, stop_for
from lungfish.data.split.review import (
    bridge_warnings,
    divided_warnings,
    group_ties,
    group_warnings,
    label_warnings,
    leak_warnings,
    missing_warnings,
    photo_pairs,
    saved_warnings,
    scene_warnings,
)
from lungfish.data.split.units import units_of


def assign_splits(
    records: Sequence[Record],
    labels: Sequence[str],
    copies: NearDuplicates,
    saved: SavedSplit | None = None,
    scenes: Scenes | None = None,
    *,
    stop: bool = True,
) -> Assignment:
    """Assign every photo to a split.

    A saved split takes precedence over a given one, unless it is automatic. Other photos are assigned by thresholds on
    their content hash (about 80/10/10), so that adding photos does not move existing ones. A photo, its copies and the
    photos of its group or scene form a unit, which follows its first photo by name. If `val` or `test` was not given,
    it is taken from `train` in the same way. If a class has no photos in such a split or in `train`, or far too few
    because of its scenes, its units with the smallest hashes are moved there. If a class has too few scenes for that,
    its scenes are divided, with a warning.

    Args:
        records: Readable photos, sorted by name.
        labels: Class names.
        copies: Copies from `find_near_duplicates`, over the same records.
        saved: Earlier assignment to keep.
        scenes: Scenes from `find_scenes`, over the same records; None for none.
        stop: Whether to raise the first problem; otherwise all are collected, and the splits are provisional.

    Raises:
        PhotosError: A class has too few distinct photos, or is in val or test but never in train; or the saved split
            leaves no val or test photos.
    """
    problems: list[Problem] = []

    def note(new: list[Problem]) -> None:
        if stop:
            stop_for(new)
        known = {label for problem in problems for label in problem.classes}
        problems.extend(each for each in new if not each.classes or not known.issuperset(each.classes))

    pairs = (scenes or no_scenes("")).pairs
    strict = SplitPlan(records, labels, units_of(records, copies, pairs[:0]), saved)
    note(strict.untrained())
    note(strict.too_small())
    plan, divided = strict, set[int]()
    if len(pairs):
        plan = SplitPlan(records, labels, units_of(records, copies, pairs), saved)
        plan.place()
        divided = plan.even_out()
        if divided:
            pairs = pairs[[records[i].photo.label not in divided for i in pairs[:, 0]]]
            plan = SplitPlan(records, labels, units_of(records, copies, pairs), saved)
    if not all(plan.splits):
        plan.place()
        plan.even_out()
    note(plan.fill(must=saved is None))
    if saved is not None:
        note(plan.untrained())  # again: a saved split may leave a class without training photos
        note(plan.saved_gaps())
    concerned = {label for problem in problems for label in problem.classes}
    leaks = tuple(pair for pair in photo_pairs(records, copies, plan.splits) if pair.leaks)
    warnings = [
        *(saved_warnings(records, plan.splits, plan.reasons, saved) if saved is not None else ()),
        *leak_warnings(leaks),
        *group_warnings(records, group_ties(records), plan.splits),
        *bridge_warnings(plan.bridges),
        *scene_warnings(records, pairs, copies, plan.splits),
        *divided_warnings(labels, divided),
        *label_warnings(records, labels, copies),
        *missing_warnings(records, labels, plan.splits, concerned),
    ]
    return Assignment(
        tuple(plan.splits), tuple(plan.reasons), plan.units.numbers, leaks, tuple(warnings), tuple(problems)
    )
