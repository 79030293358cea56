"""Compare two bundles: classes, size, latency on this machine, and accuracy on the same photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lungfish.core.errors import UnreadablePhotoError, UsageError
from lungfish.core.hashing import sha256_bytes
from lungfish.core.names import plural, printable
from lungfish.core.progress import Progress
from lungfish.data.photos import Photo, PhotoSet
from lungfish.deploy.bundle_answers import answer
from lungfish.deploy.known_photos import KnownPhotos, known_photos
from lungfish.deploy.open_bundle import open_one_of_two
from lungfish.deploy.pairing import against, nothing_compared, pair_bundles, shared_labels
from lungfish.evaluation.what_changed import Against
from lungfish.runtime.artifact import Latency
from lungfish.runtime.bundle import Bundle
from lungfish.runtime.manifest import MANIFEST_NAME
from lungfish.runtime.measure import latencies
from lungfish.workflows.baseline import of_shared_classes
from lungfish.workflows.bundle_comparison import BundleComparison, BundleRow
from lungfish.workflows.compare import Timing
from lungfish.workflows.labelled_photos import check_class_names, choose_split, open_labelled


@dataclass(frozen=True)
class LabelledSource:
    """Photos to compare on.

    Args:
        photos: Photos, as for `lungfish.train`.
        split: Split, as for `lungfish.evaluate`; photos without splits get those of the new bundle, by content.
        follow_links: Whether to follow links that lead outside the photos' folder.
    """

    photos: str | Path
    split: str | None = None
    follow_links: bool = False


def are_bundles(names: Sequence[str]) -> bool:
    """Return whether the arguments of `compare` are two bundles, not architectures.

    Raises:
        UsageError: One is a bundle, but they are not two bundles.
    """
    found = [name for name in names if (Path(name) / MANIFEST_NAME).exists()]
    if not found:
        return False
    shown = printable(found[0])
    others = [name for name in names if name not in found and not Path(name).is_dir()]
    if others:
        raise UsageError(
            f"{shown} is a bundle, but {printable(others[0])} is not: no such folder",
            "Compare two bundles, or several architectures.",
        )
    if len(names) != 2:
        raise UsageError(
            f"{shown} is a bundle; two bundles can be compared, not {len(names)}", "lungfish compare OLD NEW"
        )
    return True  # if a folder has no bundle.json, opening it raises an error that says so


def compare_bundles(
    old: str | Path,
    new: str | Path,
    source: LabelledSource | None = None,
    timing: Timing | None = None,
    progress: Progress | None = None,
) -> BundleComparison:
    """Compare two bundles; if photos are given, also compare their answers to them.

    Args:
        old, new: Folders of the bundles.
        source: Labelled photos to compare on.
        timing: How to measure latency.
        progress: Receives progress events.

    Raises:
        UsageError: A folder does not exist, or the photos do not have the split.
        BundleError: One of them is damaged, or of a newer schema.
        PhotosError: A class of the photos is in neither bundle, none is in both, or no photo can be read.
    """
    progress, timing = progress or Progress(), timing or Timing()
    pair = (open_one_of_two(old), open_one_of_two(new))
    known = (known_photos(pair[0]), known_photos(pair[1]))
    photos = _choose(source, pair, known[1], progress) if source else None
    progress.say("Measuring latency")
    measured = latencies([bundle.session(threads=timing.threads) for bundle in pair], timing.seconds)
    rows = [_row(*each) for each in zip((old, new), pair, measured, strict=True)]
    terms = _terms(pair, known)
    comparison = BundleComparison(
        old=rows[0],
        new=rows[1],
        shared=shared_labels(pair[0].labels, pair[1].labels),
        added=terms.added,
        removed=terms.removed,
        same_test_photos=_same_test_photos(*known),
    )
    return _on_photos(comparison, pair, known, photos, progress) if photos else comparison


@dataclass(frozen=True, eq=False)
class _Chosen:
    """All photos, the chosen split, its photos of classes known to both bundles, and the number of its other photos."""

    photos: PhotoSet
    split: str
    comparable: Sequence[Photo]
    others: int


def _choose(source: LabelledSource, pair: tuple[Bundle, Bundle], known: KnownPhotos, progress: Progress) -> _Chosen:
    labelled = open_labelled(source.photos, source.follow_links)
    check_class_names(labelled.labels, *pair)
    split, chosen = choose_split(labelled, known, source.split, progress)
    comparable = of_shared_classes(labelled, chosen, *pair)
    return _Chosen(labelled, split, comparable, len(chosen) - len(comparable))


def _on_photos(
    comparison: BundleComparison,
    pair: tuple[Bundle, Bundle],
    known: tuple[KnownPhotos, KnownPhotos],
    chosen: _Chosen,
    progress: Progress,
) -> BundleComparison:
    """Add a comparison of the default artifacts' answers to photos that neither bundle was trained on."""
    labelled, comparable = chosen.photos, chosen.comparable
    fresh, validated = _sort_out(labelled, comparable, known, progress)
    terms = replace(_terms(pair, known), trained_on=len(comparable) - len(fresh), other_classes=chosen.others)
    comparison = replace(
        comparison,
        split=chosen.split,
        skipped=labelled.skipped,
        warnings=(*labelled.warnings, *_validation_warning(validated)),
    )
    if not fresh:
        return replace(comparison, what_changed=nothing_compared(comparison.shared, terms))
    old, new = (answer(bundle, [bundle.manifest.default], labelled, fresh, progress) for bundle in pair)
    return replace(
        comparison,
        what_changed=pair_bundles(pair, (old, new), frozenset(), terms),
        skipped=(*labelled.skipped, *new.skipped),
    )


def _terms(pair: tuple[Bundle, Bundle], known: tuple[KnownPhotos, KnownPhotos]) -> Against:
    unlisted = [bundle for bundle, photos in zip(pair, known, strict=True) if not photos.splits]
    return against(pair[0], pair[1].labels, unlisted)


def _sort_out(
    photos: PhotoSet, chosen: Sequence[Photo], known: Sequence[KnownPhotos], progress: Progress
) -> tuple[list[Photo], int]:
    """Return the photos that neither bundle was trained on, and how many are validation photos of either bundle."""
    fresh, validated = [], 0
    with progress.task("Finding photos that a bundle was trained on", len(chosen)) as advance:
        for photo in chosen:
            try:
                content = sha256_bytes(photos.read(photo))
            except UnreadablePhotoError:
                content = ""  # reported when the bundles predict it
            if not any(content in each.trained for each in known):
                fresh.append(photo)
                validated += any(each.splits.get(content) == "val" for each in known)
            advance(1)
    return fresh, validated


def _validation_warning(validated: int) -> tuple[str, ...]:
    if not validated:
        return ()
    are = "of these photos is a validation photo", "of these photos are validation photos"
    favored = f"{plural(validated, *are)} of a bundle, which makes its figures too optimistic"
    return (f"{favored}; --split test leaves them out",)


def _same_test_photos(old: KnownPhotos, new: KnownPhotos) -> bool | None:
    tested = [{content for content, split in each.splits.items() if split == "test"} for each in (old, new)]
    return tested[0] == tested[1] if all(tested) else None


def _row(name: str | Path, bundle: Bundle, latency: Latency) -> BundleRow:
    manifest = bundle.manifest
    artifact = manifest.artifact()
    return BundleRow(
        bundle=str(name),
        arch=manifest.architecture["name"],
        file=artifact.file,
        precision=artifact.precision,
        bytes=artifact.bytes,
        resolution_px=manifest.preprocess.resolution_px,
        classes=len(bundle.labels),
        test_photos=manifest.data.counts.get("test", 0),
        test_top1=artifact.top1,
        test_ci95=artifact.ci95,
        latency_ms=latency,
    )
