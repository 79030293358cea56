"""Photos in, proven bundle out: the main job."""

from __future__ import annotations

from pathlib import Path

from lungfish.core.progress import Progress, Silent
from lungfish.job.run import run_job
from lungfish.job.spec import Job, TrainResult


def train(  # noqa: PLR0913  one parameter for each option; `Job` declares them
    photos: str | Path,
    out: str | Path | None = Job.out,
    *,
    arch: str | None = Job.arch,
    weights: str | None = Job.weights,
    recipe: str = Job.recipe,
    epochs: int | None = Job.epochs,
    minutes: float | None = Job.minutes,
    seed: int = Job.seed,
    split: str | Path | None = Job.split,
    force: bool = Job.force,
    resume: bool = Job.resume,
    follow_links: bool = Job.follow_links,
    progress: Progress | None = None,
) -> TrainResult:
    """Make a proven bundle from labelled photos. The other arguments are those of `lungfish.job.spec.Job`.

    Args:
        progress: told of the steps; silent if None.

    Raises:
        UsageError: a name or option that is wrong, or a place that must not be written to.
        PhotosError: the photos cannot be used as they are.
        ParityError: the exported file computes something else than the network.
        MachineError: weights, packages or disk are in the way.
    """
    job = Job(
        photos=photos,
        out=Path(out) if out else None,
        arch=arch,
        weights=weights,
        recipe=recipe,
        epochs=epochs,
        minutes=minutes,
        seed=seed,
        split=Path(split) if split else None,
        force=force,
        resume=resume,
        follow_links=follow_links,
    )
    return run_job(job, progress or Silent())
