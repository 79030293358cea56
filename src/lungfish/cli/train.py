"""Define the command `lungfish train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lungfish.job.spec import DEFAULT_RECIPE, OPTIONS, Job

if TYPE_CHECKING:
    from lungfish.job.result import TrainResult


def train(  # noqa: PLR0913  one parameter for each option; `Job` declares them
    photos: Annotated[str, typer.Argument(metavar="PHOTOS", help=OPTIONS["photos"])],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help=OPTIONS["out"])] = Job.out,
    arch: Annotated[str | None, typer.Option(help=OPTIONS["arch"])] = Job.arch,
    weights: Annotated[str | None, typer.Option(help=OPTIONS["weights"])] = Job.weights,
    recipe: Annotated[str, typer.Option(metavar="NAME|FILE", help=OPTIONS["recipe"])] = DEFAULT_RECIPE,
    epochs: Annotated[int | None, typer.Option(help=OPTIONS["epochs"])] = Job.epochs,
    minutes: Annotated[float | None, typer.Option(help=OPTIONS["minutes"])] = Job.minutes,
    seed: Annotated[int, typer.Option(help=OPTIONS["seed"])] = Job.seed,
    split: Annotated[Path | None, typer.Option(metavar="FILE|none", help=OPTIONS["split"])] = Job.split,
    force: Annotated[bool, typer.Option("--force", help=OPTIONS["force"])] = Job.force,
    resume: Annotated[bool, typer.Option("--resume", help=OPTIONS["resume"])] = Job.resume,
    follow_links: Annotated[bool, typer.Option("--follow-links", help=OPTIONS["follow_links"])] = Job.follow_links,
    cache_gb: Annotated[float | None, typer.Option(help=OPTIONS["cache_gb"])] = Job.cache_gb,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the photos, list all problems, show the plan, and stop.")
    ] = False,
    progress: Annotated[
        str,
        typer.Option(
            metavar="auto|plain|json|none",
            help="Progress on stderr. auto: bars on a terminal, plain lines elsewhere; json: one event per line.",
        ),
    ] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a small, proven classifier on labelled photos."""
    from lungfish.cli.output import print_json
    from lungfish.core.names import printable
    from lungfish.core.progress import for_stderr
    from lungfish.training.group import is_main_process

    events = for_stderr(progress)
    if is_main_process():
        events.say(f"Reading photos from {printable(photos)}")  # before the imports below, which take a second

    from lungfish.job.run import run_job

    job = Job(photos, out, arch, weights, recipe, epochs, minutes, seed, split, force, resume, follow_links, cache_gb)
    if dry_run:
        from lungfish.core.errors import PhotosError
        from lungfish.workflows.dry_run import plan_job

        plan = plan_job(job, events)
        print_json(plan.to_json()) if json else print(plan)
        if plan.stops:
            raise typer.Exit(PhotosError.exit_code)
        return
    result = run_job(job, events)
    if is_main_process():
        print_json(result.to_json()) if json else print(summary(result, photos, follow_links=follow_links))


def summary(result: TrainResult, photos: str, *, follow_links: bool = False) -> str:
    """Return the summary that is printed after a training job, as text."""
    import shlex

    from lungfish.core.columns import table
    from lungfish.core.names import plural, printable
    from lungfish.evaluation.wording import STATUS

    rows = [["artifact", "MB", "top-1", "95 % interval", "agreement", "p50 ms", "status"]]
    for row in result.artifacts:
        mark = " *" if row.file == result.default else ""
        assert row.ci95 is not None  # the job has measured both
        assert row.latency_ms is not None
        low, high = row.ci95
        rows.append(
            [
                row.file + mark,
                f"{row.bytes / 1e6:.1f}",
                f"{row.top1:.4f}",
                f"{low:.3f} to {high:.3f}",
                f"{row.agreement_with_fp32:.3f}",
                f"{row.latency_ms.p50:.1f}",
                STATUS[row.status],
            ]
        )
    steps = [
        f"{stage.recipe}: "
        + (f"{100 * stage.val.top1:.1f} % of validation photos right; " if stage.val else "")
        + stage.why
        for stage in result.candidates
    ]
    counts = ", ".join(f"{count:,} {split}" for split, count in result.counts.items())
    lines = [
        f"{plural(len(result.classes), 'class', 'classes')}; photos: {counts}",
        *steps,
        "",
        table(rows),
        "",
        "agreement: share of test photos that get the same label from the fp32 artifact",
        f"* the default; every figure is measured on the file itself, with {plural(result.test.n, 'test photo')}",
        *result.notes,
        f"details: {printable(str(result.folder))}/report.html; the job took {result.seconds['total']:.0f} s",
    ]
    if result.previous:
        options = ["--photos", photos, *(["--follow-links"] if follow_links else [])]
        command = shlex.join(["lungfish", "compare", result.previous, str(result.folder), *options])
        lines.append(f"{printable(result.previous)} is unchanged; to compare the two: {printable(command)}")
    lines += [f"{row.file}: {row.why}" for row in result.artifacts if row.why]
    lines += [f"warning: {printable(warning)}" for warning in result.warnings]
    if result.skipped:
        lines.append(f"{plural(len(result.skipped), 'file')} skipped; the report lists them")
    return "\n".join(lines)
