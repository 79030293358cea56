"""Photos in, proven bundle out: the main job."""

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
    """Make a proven bundle from labelled photos. The other arguments are those of `lungfish.job.spec.Job`.

    Args:
        recipe: Name of a built-in recipe, a TOML file, or a `lungfish.Recipe`.
        progress: Show progress on stderr: bars on a terminal, plain lines elsewhere.
        on_event: Called with every event, see `lungfish.core.events`, in the thread of the job. If it raises, the job
            stops as by `stop`, and the error is raised here.
        stop: Stops the job when its `stop` is called, in whatever thread.

    Raises:
        UsageError: a name or option that is wrong, or a place that must not be written to.
        PhotosError: the photos cannot be used as they are.
        ParityError: the exported file computes something else than the network.
        MachineError: weights, packages or disk are in the way.
        StoppedError: `stop` asked for it; the same call resumes the job.

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
    """Gives events to the caller until that fails: then the job stops between two steps, as if it was asked to.

    Raised in the middle of the job, the error could be taken for one of the job's own, and handled.
    """

    def __init__(self, on_event: Listener | None, stop: StopToken) -> None:
        self._on_event, self._stop = on_event, stop
        self.error: Exception | None = None

    def __call__(self, event: Event) -> None:
        if self._on_event is None or self.error is not None:
            return
        try:
            self._on_event(event)
        except Exception as error:  # noqa: BLE001  whatever it is, `train` raises it
            self.error = error
            self._stop.stop()
