"""Define the command `lungfish evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lungfish.workflows.evaluate import Evaluation


def evaluate(  # noqa: PLR0913  one parameter for each option
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder.")],
    photos: Annotated[str, typer.Argument(metavar="PHOTOS", help="Labelled photos, as lungfish train accepts them.")],
    split: Annotated[
        str | None,
        typer.Option(
            help="Split to use: train, val, test or all.  [default: test if the photos come with splits, else all]"
        ),
    ] = None,
    min_top1: Annotated[float | None, typer.Option(help="Exit with 1 if top-1 is below this, 0 to 1.")] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="BUNDLE", help="Exit with 1 if this bundle has a higher top-1.")
    ] = None,
    no_class_worse: Annotated[
        bool, typer.Option("--no-class-worse", help="With --baseline: exit with 1 if any class got worse.")
    ] = False,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Also follow links that lead outside the photo folder.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> int:
    """Measure every artifact of a bundle on labelled photos.

    Class names must be those of the bundle; classes without photos are listed and left out. --min-top1, --baseline and
    --no-class-worse check the default artifact. A class got worse if a one-sided exact test, corrected for the
    number of classes, is significant at the 5 % level, or if its top-1 fell by more than 50 points and by at least
    three photos.
    """
    from lungfish.cli.output import print_json
    from lungfish.core.progress import for_stderr
    from lungfish.workflows import evaluate as workflow
    from lungfish.workflows.gates import Gates

    gates = Gates(min_top1, baseline, no_class_worse)
    evaluation = workflow.evaluate(bundle, photos, split, gates, for_stderr(), follow_links=follow_links)
    if json:
        print_json(evaluation.to_json())
    else:
        _print(evaluation)
    return int(bool(evaluation.failed))


def _print(evaluation: Evaluation) -> None:
    from lungfish.cli.output import warn
    from lungfish.cli.what_changed import what_changed_lines
    from lungfish.core.columns import table
    from lungfish.core.names import plural, printable

    rows = [["artifact", "top-1", "95 % interval", "macro-F1", "ECE", "photos"]]
    named = [(row.file + (" *" if row.file == evaluation.default else ""), row.metrics) for row in evaluation.artifacts]
    if evaluation.baseline:
        named.append((f"baseline {evaluation.baseline.file}", evaluation.baseline.metrics))
    for name, metrics in named:
        low, high = metrics.ci95
        figures = (metrics.top1, metrics.macro_f1, metrics.ece)
        top1, macro_f1, ece = (f"{figure:.4f}" for figure in figures)
        rows.append([name, top1, f"{low:.4f} to {high:.4f}", macro_f1, ece, f"{metrics.n:,}"])
    print(table(rows))
    print()
    classes = [["class", "precision", "recall", "F1", "photos"]]
    for row in evaluation.per_class:
        shares = [f"{share:.4f}" if row.n else "-" for share in (row.precision, row.recall, row.f1)]
        classes.append([printable(row.label), *shares, f"{row.n:,}"])
    print(table(classes))
    print(f"\n* the default artifact, described by the table of classes; split: {evaluation.split}")
    if evaluation.what_changed:
        print(f"\n{what_changed_lines(evaluation.what_changed)}")
    for skipped in evaluation.skipped:
        warn(f"skipped {printable(skipped.file)}: {skipped.reason}")
    for warning in evaluation.warnings:
        warn(f"warning: {warning}")
    if evaluation.skipped:
        warn(f"{plural(len(evaluation.skipped), 'file')} skipped")
    for failure in evaluation.failed:
        warn(f"failed: {failure}")
