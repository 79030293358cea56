"""What a job would do, without doing it: classes, counts, problems, and about how long it will take here."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lungfish.core.names import plural, printable
from lungfish.core.progress import Progress
from lungfish.data.features import Trunk, open_features
from lungfish.data.sources import open_photos
from lungfish.runtime.preprocess import Preprocess
from lungfish.runtime.session import physical_cores
from lungfish.workflows.gather import Gathered, GatherOptions, gather
from lungfish.workflows.target import choose_target
from lungfish.workflows.train import Job, open_network, resolve

SAMPLE_PHOTOS = 16
ARTIFACTS = 2
# Relative to a photo's way through the trunk, and fixed seconds, as measured on clothing-small.
CALIBRATION_FACTOR = 2.0
FIXED_SECONDS = 12.0


@dataclass(frozen=True)
class Plan:
    """What a job would do.

    Args:
        bundle: where it would write.
        arch, weights, recipe: what it would use.
        classes: photos of each class in each split.
        counts: photos in each split.
        skipped: files that would take no part.
        leaks: copies on different sides.
        warnings: what a person should know.
        cached: photos whose features are at hand from an earlier run.
        estimate_seconds: about how long the job will take on this machine.
    """

    bundle: str
    arch: str
    weights: str
    recipe: str
    classes: dict[str, dict[str, int]]
    counts: dict[str, int]
    skipped: tuple[dict[str, str], ...]
    leaks: tuple[dict[str, Any], ...]
    warnings: tuple[str, ...]
    cached: int
    estimate_seconds: float

    def to_json(self) -> dict[str, Any]:
        return {"dry_run": True} | asdict(self)

    def __str__(self) -> str:
        width = max(len(printable(label)) for label in self.classes)
        lines = [f"{'class'.ljust(width)}  {'train':>7}  {'val':>7}  {'test':>7}"]
        lines += [
            f"{printable(label).ljust(width)}  {counts['train']:7,}  {counts['val']:7,}  {counts['test']:7,}"
            for label, counts in self.classes.items()
        ]
        lines += [f"skipped: {printable(each['file'])}: {each['reason']}" for each in self.skipped]
        lines += [f"warning: {printable(warning)}" for warning in self.warnings]
        total = sum(self.counts.values())
        lines += [
            f"{plural(total, 'photo')}, {plural(len(self.classes), 'class', 'classes')}",
            f"{self.arch} with {self.weights}, recipe {self.recipe}",
            f"about {max(self.estimate_seconds, 1):.0f} s on this machine, into {printable(self.bundle)}",
        ]
        return "\n".join(lines)


def plan_job(job: Job, progress: Progress) -> Plan:
    """Look at the photos of a job and tell what it would do. Raises what `train` would raise before it trains."""
    start, recipe = resolve(job)
    photos = open_photos(job.photos)
    target = choose_target(job.photos, job.out, force=job.force)
    preprocess = start.preprocess
    options = GatherOptions(job.split, recipe.cross_validate_below)
    gathered = gather(photos, preprocess, None, options, progress)

    _, trunk, _ = open_network(start, progress)
    at_hand = open_features(trunk, preprocess)
    cached = sum(at_hand.get(record.seen.sha256) is not None for record in gathered.examined.records)
    decode_s, trunk_s = _seconds_per_photo(gathered, preprocess, trunk)
    counts = gathered.counts()
    to_embed = max(sum(counts.values()) - cached, 0)
    to_prove = counts["val"] + counts["test"]
    photos_s = to_embed * (decode_s + trunk_s) + to_prove * (decode_s + ARTIFACTS * trunk_s)
    calibration_s = CALIBRATION_FACTOR * trunk_s * min(recipe.calibration_photos, counts["train"])
    return Plan(
        bundle=str(target),
        arch=start.arch.name,
        weights=start.entry.name,
        recipe=recipe.name,
        classes=gathered.counts_by_class(),
        counts=counts,
        skipped=tuple({"file": each.file, "reason": each.reason} for each in gathered.examined.skipped),
        leaks=tuple(asdict(leak) for leak in gathered.sides.leaks),
        warnings=gathered.warnings,
        cached=cached,
        estimate_seconds=round(photos_s / physical_cores() + calibration_s + FIXED_SECONDS, 1),
    )


def _seconds_per_photo(gathered: Gathered, preprocess: Preprocess, trunk: Trunk) -> tuple[float, float]:
    """Seconds on one core to decode a photo, and for its way through the trunk, on a sample spread over all."""
    records = gathered.examined.records
    sample = [records[i] for i in np.linspace(0, len(records) - 1, SAMPLE_PHOTOS).astype(int)]
    began = time.perf_counter()
    pixels = np.stack([preprocess.pixels(preprocess.decode(gathered.read(each.photo))) for each in sample])
    decoded = time.perf_counter()
    trunk(pixels)
    ended = time.perf_counter()
    return (decoded - began) / len(sample), (ended - decoded) / len(sample)
