"""Define the result of comparing two bundles."""

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
        bundle: Folder of the bundle, as given.
        arch: Name of the network.
        file, precision, bytes: File name, precision and size of the default artifact.
        resolution_px: Side of the square input.
        classes: Number of classes.
        test_photos: Number of photos that the bundle was tested on when it was made.
        test_top1, test_ci95: Recorded figures on these photos; None if not recorded.
        latency_ms: Latency measured now, at batch 1, from pixels to probabilities.
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
    """Two compared bundles.

    Args:
        old, new: The bundles' rows.
        shared: Classes that both know, in the new bundle's order.
        added, removed: Classes known only to the new bundle, and only to the old one.
        same_test_photos: Whether the recorded test figures come from the same photos; None if a bundle does not list
            them.
        split: Split of the given photos; None without photos.
        what_changed: Comparison on photos of shared classes that neither was trained on; None without photos.
        skipped: Photos that could not be read.
        warnings: Messages for the user.
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
