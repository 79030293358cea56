"""Train a proven bundle from labelled photos: the main job."""

from __future__ import annotations

from pathlib import Path

from lungfish.core.errors import StoppedError
from lungfish.core.events import Event, Listener
from lungfish.core.progress import Progress, stderr_listeners
from lungfish.core.stopping import StopToken
from lungfish.job.result import TrainResult
from lungfish.job.run import run_job
from lungfish.job.spec import Job
from lungfish.training.recipe import Recipe


def train(  # noqa: PLR0913  one parameter for each option; `Job` declares them
    photos: str | Path,
    out: str | Path | None = Job.out,
    *,
    arch: str | None = Job.arch,
    weights: str | None = Job.weights,
    recipe: str | Path | Recipe = Job.recipe,
    epochs: int | None = Job.epochs,
    minutes: float | None = Job.minutes,
    seed: int = Job.seed,
    split: str | Path | None = Job.split,
    force: bool = Job.force,
    resume: bool = Job.resume,
    follow_links: bool = Job.follow_links,
    cache_gb: float | None = Job.cache_gb,
    progress: bool = False,
    on_event: Listener | None = None,
    stop: StopToken | None = None,
) -> TrainResult:
    """Train a proven bundle from labelled photos. The other arguments are those of `lungfish.job.spec.Job`.

    Args:
        recipe: Name of a built-in recipe, a TOML file, or a `lungfish.Recipe`.
        progress: Whether to show progress on stderr: bars on a terminal, plain lines elsewhere.
        on_event: Called with every event, see `lungfish.core.events`, in the thread of the job. If it raises, the job
            stops as with `stop`, and the error is raised here.
        stop: Stops the job when its `stop` is called, in any thread.

    Raises:
        UsageError: A name or option is invalid, or `out` cannot be used.
        PhotosError: The photos cannot be used as they are.
        ParityError: The exported file does not compute the same as the network.
        MachineError: Weights cannot be fetched, a package is missing, or files cannot be written.
        StoppedError: `stop` was called; the same call resumes the job.

    Examples:
        >>> import lungfish as lf
        >>> result = lf.train("photos/", out="shoes/", recipe=lf.Recipe(minutes=5, finetune=lf.Finetune(epochs=4)))
        >>> result.test.top1
        0.8916666666666667
        >>> result.bundle.predict(["a.jpg", "b.jpg"])[0].label
        'boot'
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
        cache_gb=cache_gb,
    )
    stop = StopToken(stop)
    caller = _Caller(on_event, stop)
    result = None
    try:
        result = run_job(job, Progress(*(stderr_listeners() if progress else ()), caller, stop=stop))
    except StoppedError:
        if caller.error is None:
            raise
    if caller.error is not None:
        raise caller.error
    assert result is not None
    return result


class _Caller:
    """Pass events to the caller's function until it raises, then stop the job between two steps.

    An error raised in the middle of the job could be mistaken for one of the job's own, and handled there.
    """

    def __init__(self, on_event: Listener | None, stop: StopToken) -> None:
        self._on_event, self._stop = on_event, stop
        self.error: Exception | None = None

    def __call__(self, event: Event) -> None:
        if self._on_event is None or self.error is not None:
            return
        try:
            self._on_event(event)
        except Exception as error:  # noqa: BLE001  `train` raises it
            self.error = error
            self._stop.stop()
