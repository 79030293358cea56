"""What a job would do, without doing it: classes, counts, problems, and about how long it will take here."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from lungfish.core.names import plural, printable
from lungfish.core.progress import Progress
from lungfish.data.features import open_features
from lungfish.data.sources import open_photos
from lungfish.data.space import nothing_deleted
from lungfish.training.attach import attach
from lungfish.training.group import alone
from lungfish.training.trunk import open_trunk
from lungfish.workflows.gather import gather, gather_options
from lungfish.workflows.job import Job
from lungfish.workflows.pace import measure_pace
from lungfish.workflows.plan import open_steps, plan_steps
from lungfish.workflows.run_folder import run_folder
from lungfish.workflows.step import Setting
from lungfish.workflows.target import choose_target
from lungfish.workflows.train import open_network, resolve


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
        steps: of the recipe after the probe, with the time that each would take, in words; before them, what the head
            learns from if not from all training photos.
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
    steps: tuple[str, ...]
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
            *self.steps,
            f"about {max(self.estimate_seconds, 1):.0f} s on this machine, into {printable(self.bundle)}",
        ]
        return "\n".join(lines)


def plan_job(job: Job, progress: Progress) -> Plan:
    """Look at the photos of a job and tell what it would do. Raises what `train` would raise before it trains."""
    with nothing_deleted():
        return _plan(job, progress)


def _plan(job: Job, progress: Progress) -> Plan:
    start, recipe = resolve(job)
    photos = open_photos(job.photos, follow_links=job.follow_links)
    target = choose_target(job.photos, job.out, force=job.force)
    network, weights = open_network(start, recipe, job.seed, progress)
    start = replace(start, entry=weights.entry)  # with what only the file could tell
    preprocess = start.preprocess
    options = gather_options(job, target, recipe.cross_validate_below)
    gathered = gather(photos, preprocess, None, options, progress)
    recipe = recipe.for_photos(len(gathered.indices("train")))

    trunk = open_trunk(network, start.entry)
    at_hand = open_features(trunk, preprocess)
    records = gathered.examined.records
    cached = sum(at_hand.get(records[i].seen.sha256) is not None for i in gathered.embedded)
    pace = measure_pace(gathered, start, network, trunk)
    counts, sampled = gathered.counts(), gathered.sampled()
    new = len(gathered.embedded) - cached if recipe.pretrained else 0
    probe_s = pace.gather_s(new) + pace.finish_s(gathered, recipe)
    attach(network, None, len(gathered.labels))
    left_s = 60 * (recipe.minutes or math.inf) - probe_s
    setting = Setting(
        gathered=gathered,
        recipe=recipe,
        entry=start.entry,
        preprocess=preprocess,
        seed=job.seed,
        folder=run_folder(target.folder, {}),
        job={},
        began=time.monotonic(),
        deadline=math.inf,
        pace=pace,
        group=alone(),
        progress=progress,
    )
    steps, steps_s = plan_steps(recipe, open_steps(network, setting), left_s)
    return Plan(
        bundle=str(target.folder),
        arch=start.arch.name,
        weights=start.entry.name,
        recipe=recipe.name,
        classes=gathered.counts_by_class(),
        counts=counts,
        skipped=tuple({"file": each.file, "reason": each.reason} for each in gathered.examined.skipped),
        leaks=tuple(asdict(leak) for leak in gathered.sides.leaks),
        warnings=gathered.warnings,
        cached=cached,
        steps=(sampled, *steps) if sampled and recipe.pretrained else steps,
        estimate_seconds=round(probe_s + steps_s, 1),
    )
