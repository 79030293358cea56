"""Photos in, proven bundle out: the main job."""

from __future__ import annotations

from pathlib import Path

from lungfish.core.events import Listener
from lungfish.core.progress import Progress, stderr_listeners
from lungfish.job.run import run_job
from lungfish.job.spec import Job, TrainResult


def train(  # noqa: PLR0913  the command's options, under the names that people type
    photos: str | Path,
    out: str | Path | None = None,
    *,
    arch: str | None = None,
    weights: str | None = None,
    recipe: str = "auto",
    epochs: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    split: str | Path | None = None,
    force: bool = False,
    resume: bool = False,
    follow_links: bool = False,
    progress: bool = False,
    on_event: Listener | None = None,
) -> TrainResult:
    """Make a proven bundle from labelled photos. The other arguments are those of `Job`.

    Args:
        progress: Show progress on stderr: bars on a terminal, plain lines elsewhere.
        on_event: Called with every event, see `lungfish.core.events`, in the thread of the job.

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
    listeners = [*(stderr_listeners() if progress else ()), *([on_event] if on_event else ())]
    return run_job(job, Progress(*listeners))
