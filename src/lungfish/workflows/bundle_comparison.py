"""What is to be said of two bundles side by side."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lungfish.data.photos import SkippedFile
from lungfish.evaluation.what_changed import WhatChanged
from lungfish.runtime.artifact import Latency


@dataclass(frozen=True)
class BundleRow:
    """One bundle and its default artifact.

    Args:
        bundle: its folder, as it was given.
        arch: name of the network.
        file, precision, bytes: of the default artifact.
        resolution_px: side of the square input.
        classes: how many it knows.
        test_photos: how many the bundle was tested on when it was made.
        test_top1, test_ci95: what it reached on them; None if that is not recorded.
        latency_ms: measured now, at batch 1, from pixels to probabilities.
    """

    bundle: str
    arch: str
    file: str
    precision: str
    bytes: int
    resolution_px: int
    classes: int
    test_photos: int
    test_top1: float | None
    test_ci95: tuple[float, float] | None
    latency_ms: Latency

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class BundleComparison:
    """Two bundles.

    Args:
        old, new: one row each.
        shared: classes that both know, in the new bundle's order.
        added, removed: classes that only the new, only the old bundle knows.
        same_test_photos: whether the recorded test figures are of the same photos; None if a bundle does not list them.
        split: of the photos that were given; None without photos.
        what_changed: both on the photos of shared classes that neither was trained on; None without photos.
        skipped: photos that could not be read.
        warnings: what a person should know.
    """

    old: BundleRow
    new: BundleRow
    shared: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    same_test_photos: bool | None
    split: str | None = None
    what_changed: WhatChanged | None = None
    skipped: tuple[SkippedFile, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "old": self.old.to_json(),
            "new": self.new.to_json(),
            "classes": {"shared": list(self.shared), "added": list(self.added), "removed": list(self.removed)},
            "same_test_photos": self.same_test_photos,
            "split": self.split,
            "what_changed": self.what_changed.to_json() if self.what_changed else None,
            "skipped": list(map(asdict, self.skipped)),
            "warnings": list(self.warnings),
        }
